//! The initramfs: busybox, ostree's prepare-root, e2fsck and the modules that reach a root disk, as one cpio archive.
//!
//! It is made here rather than by dracut: the same bytes every time, a tenth of the user-space work at boot, and nothing
//! in it that could wait for a person. What it does is `image/init`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::elf;
use crate::progress::StepLog;
use crate::toolbox::Toolbox;

/// What runs as PID 1 in there.
pub const INIT: &str = include_str!("../image/init");

/// What ostree-prepare-root does: verified composefs root, read-only physical root, `/etc` an empty overlay.
pub const PREPARE_ROOT: &str =
    "[composefs]\nenabled=yes\n\n[sysroot]\nreadonly=true\n\n[etc]\ntransient=true\n";

/// Loaded at once: the file systems of the root, and what systemd looks for before udev runs.
const ALWAYS: &[&str] =
    &["erofs", "overlay", "efivarfs", "autofs4", "dmi-sysfs", "qemu_fw_cfg", "virtio_blk"];

/// Loaded where the hardware is there: what a root disk can hang on. nvme and virtio_pci are part of the kernel.
const STORAGE: &[&str] = &[
    "virtio_scsi",
    "sd_mod",
    "ahci",
    "ata_piix",
    "ata_generic",
    "hv_storvsc",
    "hv_vmbus",
    "pci-hyperv",
    "vmw_pvscsi",
    "mptspi",
    "mpt3sas",
    "megaraid_sas",
    "xen-blkfront",
    "virtio_mmio",
    "nvme",
];

/// Loaded by the system itself on every boot, most of them for the first container.
const LATER: &[&str] = &[
    "bridge",
    "efivarfs",
    "i6300esb",
    "isofs",
    "nf_conntrack",
    "nf_nat",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "nls_ascii",
    "nls_cp437",
    "tun",
    "veth",
    "vfat",
    "virtio_net",
    "virtio_rng",
];

/// Every module that an ordinary boot loads, by name.
pub fn modules_of_a_boot() -> Vec<&'static str> {
    [ALWAYS, STORAGE, LATER].concat()
}

/// Programs with the libraries they need, out of the image's tree.
const PROGRAMS: &[(&str, &str)] =
    &[("usr/lib/ostree/ostree-prepare-root", "bin/ostree-prepare-root"), ("usr/sbin/e2fsck", "bin/e2fsck")];

/// Names that busybox goes by in there; `sync` and the others are as in its manual.
const APPLETS: &[&str] = &[
    "sh",
    "cat",
    "cut",
    "echo",
    "find",
    "findfs",
    "grep",
    "mkdir",
    "modprobe",
    "mount",
    "mv",
    "readlink",
    "sort",
    "switch_root",
    "sync",
    "tr",
    "usleep",
    "xargs",
];

/// Makes `initramfs.img` beside the kernel in the tree's `modules` directory. Modules there must be uncompressed.
pub fn build(
    log: &mut StepLog,
    tools: &Toolbox,
    tree: &Path,
    kernel: &str,
    scratch: &Path,
) -> Result<PathBuf> {
    let mut files = Files::default();
    files.add("init", 0o755, INIT.as_bytes().to_vec());
    files.add("usr/lib/ostree/prepare-root.conf", 0o644, PREPARE_ROOT.as_bytes().to_vec());
    files.add("bin/busybox", 0o755, read(&tools.root().join("usr/bin/busybox"))?);
    for applet in APPLETS {
        files.link(&format!("bin/{applet}"), "busybox");
    }
    for dir in ["proc", "sys", "dev", "run", "sysroot", "tmp"] {
        files.dir(dir);
    }
    for (from, to) in PROGRAMS {
        let bytes = read(&tree.join(from))?;
        add_libraries(&mut files, tree, &bytes)?;
        files.add(to, 0o755, bytes);
    }
    add_modules(log, tools, &mut files, tree, kernel, scratch)?;
    let archive = files.archive();
    let packed = zstd::bulk::compress(&archive, 19).context("cannot compress the initramfs")?;
    log.note(&format!("initramfs: {} bytes, {} compressed", archive.len(), packed.len()))?;
    let target = tree.join("usr/lib/modules").join(kernel).join("initramfs.img");
    fs::write(&target, packed).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(target)
}

/// The program interpreter and every library below it, at the paths the loader looks in.
fn add_libraries(files: &mut Files, tree: &Path, program: &[u8]) -> Result<()> {
    const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
    files.add(LOADER, 0o755, read(&tree.join("usr").join(LOADER))?);
    let mut waiting = elf::needed(program).context("a program of the initramfs is not an ELF file")?;
    while let Some(name) = waiting.pop() {
        let target = format!("lib/x86_64-linux-gnu/{name}");
        if files.contains(&target) || LOADER.ends_with(&name) {
            continue;
        }
        let bytes = read(&tree.join("usr/lib/x86_64-linux-gnu").join(&name))?;
        waiting.extend(elf::needed(&bytes).unwrap_or_default());
        files.add(&target, 0o755, bytes);
    }
    Ok(())
}

/// Modules with everything they depend on, and an index of just these made by depmod.
fn add_modules(
    log: &mut StepLog,
    tools: &Toolbox,
    files: &mut Files,
    tree: &Path,
    kernel: &str,
    scratch: &Path,
) -> Result<()> {
    let modules = tree.join("usr/lib/modules").join(kernel);
    let index = fs::read_to_string(modules.join("modules.dep")).context("cannot read modules.dep")?;
    let wanted: Vec<&str> = ALWAYS.iter().chain(STORAGE).copied().collect();
    let stage = scratch.join("lib/modules").join(kernel);
    crate::mmdebstrap::remove(scratch)?;
    fs::create_dir_all(&stage).with_context(|| format!("cannot create {}", stage.display()))?;
    for path in closure(&index, &wanted) {
        let bytes = read(&modules.join(&path))?;
        let at = stage.join(&path);
        fs::create_dir_all(at.parent().unwrap_or(&stage))?;
        fs::write(&at, &bytes).with_context(|| format!("cannot write {}", at.display()))?;
        files.add(&format!("lib/modules/{kernel}/{path}"), 0o644, bytes);
    }
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::copy(modules.join(name), stage.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    log.run(tools.command("depmod").arg("-b").arg(scratch).arg(kernel))?;
    for name in ["modules.dep", "modules.alias", "modules.symbols", "modules.softdep"] {
        files.add(&format!("lib/modules/{kernel}/{name}"), 0o644, read(&stage.join(name))?);
    }
    files.add("modules", 0o644, format!("{}\n", ALWAYS.join(" ")).into_bytes());
    crate::mmdebstrap::remove(scratch)
}

/// Paths of the named modules and of all they depend on. Names of modules built into the kernel are passed over.
pub fn closure(index: &str, wanted: &[&str]) -> BTreeSet<String> {
    let depends: BTreeMap<&str, Vec<&str>> = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, rest)| (path, rest.split_whitespace().collect()))
        .collect();
    let name = |path: &str| {
        path.rsplit('/').next().unwrap_or(path).split('.').next().unwrap_or("").replace('-', "_")
    };
    let mut found = BTreeSet::new();
    for wanted in wanted.iter().map(|name| name.replace('-', "_")) {
        for (path, needs) in depends.iter().filter(|(path, _)| name(path) == wanted) {
            found.insert((*path).to_owned());
            found.extend(needs.iter().map(|path| (*path).to_owned()));
        }
    }
    found
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Entries of a cpio archive by path.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, (u32, Vec<u8>)>);

impl Files {
    fn add(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        self.parents(path);
        self.0.insert(path.to_owned(), (0o100_000 | mode, bytes));
    }

    fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.0.insert(path.to_owned(), (0o120_777, target.as_bytes().to_vec()));
    }

    fn dir(&mut self, path: &str) {
        self.parents(path);
        self.0.insert(path.to_owned(), (0o040_755, Vec::new()));
    }

    fn parents(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.contains(parent)
        {
            self.dir(parent);
        }
    }

    fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The archive in the kernel's `newc` format (Documentation/driver-api/early-userspace/buffer-format), times zero.
    fn archive(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, (path, (mode, bytes))) in (1..).zip(&self.0) {
            entry(&mut out, number, path, *mode, bytes);
        }
        entry(&mut out, 0, "TRAILER!!!", 0, &[]);
        out
    }
}

fn entry(out: &mut Vec<u8>, inode: u32, path: &str, mode: u32, bytes: &[u8]) {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let fields = [inode, mode, 0, 0, links, 0, bytes.len() as u32, 0, 0, 0, 0, path.len() as u32 + 1, 0];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The kernel version that the tree has; there must be exactly one.
pub fn kernel_version(tree: &Path) -> Result<String> {
    let dir = tree.join("usr/lib/modules");
    let mut names: Vec<String> = fs::read_dir(&dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (other, _) => bail!("expected one kernel in {}, found {:?} and {names:?}", dir.display(), other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_along() {
        let index = "kernel/a/vfat.ko: kernel/a/fat.ko\nkernel/a/fat.ko:\nkernel/b/x-y.ko:\nkernel/b/z.ko:\n";
        let paths = closure(index, &["vfat", "x_y", "builtin"]);
        assert_eq!(
            paths.into_iter().collect::<Vec<_>>(),
            ["kernel/a/fat.ko", "kernel/a/vfat.ko", "kernel/b/x-y.ko"]
        );
    }

    #[test]
    fn an_archive_has_parents_before_children_and_a_trailer() {
        let mut files = Files::default();
        files.add("usr/lib/file", 0o644, b"abc".to_vec());
        files.link("bin/sh", "busybox");
        let bytes = files.archive();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(bytes.len() % 4, 0);
        assert!(text.find("usr\0").unwrap() < text.find("usr/lib\0").unwrap());
        assert!(text.find("usr/lib\0").unwrap() < text.find("usr/lib/file\0").unwrap());
        assert!(text.contains("TRAILER!!!"));
        assert_eq!(text.matches("070701").count(), 6);
    }
}
