//! The image's file tree: the base packages pruned, configured and laid out for OSTree.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::StepLog;
use crate::sandbox::Sandbox;
use crate::toolbox::Toolbox;
use crate::{elf, initramfs, mmdebstrap, prune};

/// Where the folders of the repository's `systemd` directory go.
const PLACES: &[(&str, &str)] = &[
    ("system", "usr/lib/systemd/system"),
    ("system-preset", "usr/lib/systemd/system-preset"),
    ("system.conf.d", "usr/lib/systemd/system.conf.d"),
    ("journald.conf.d", "usr/lib/systemd/journald.conf.d"),
    ("network", "usr/lib/systemd/network"),
    ("tmpfiles.d", "usr/lib/tmpfiles.d"),
    ("sysusers.d", "usr/lib/sysusers.d"),
    ("sysctl.d", "usr/lib/sysctl.d"),
    ("repart.d", "usr/lib/repart.d"),
    ("sshd_config.d", "etc/ssh/sshd_config.d"),
];

/// Symbolic links of the root directory: what may change lives below `/var`.
const LINKS: &[(&str, &str)] = &[
    ("home", "var/home"),
    ("srv", "var/srv"),
    ("opt", "var/opt"),
    ("mnt", "var/mnt"),
    ("root", "var/roothome"),
    ("media", "run/media"),
    ("ostree", "sysroot/ostree"),
    ("usr/local", "../var/usrlocal"),
];

/// Units that others pull in and that only take time here: there is no graphics, udev gets its rules and networkd its
/// files from the image and the agent.
const MASKED: &[&str] =
    &["modprobe@drm.service", "systemd-network-generator.service", "systemd-udev-load-credentials.service"];

/// Everything in this crate that decides what the tree becomes: part of the stage's name.
const RECIPE: &[&str] =
    &[include_str!("tree.rs"), include_str!("prune.rs"), include_str!("initramfs.rs"), initramfs::INIT];

/// Digest of what a tree is made from: the base tar's digest, the recipe and the `systemd` directory.
pub fn digest(base: &str, systemd: &Path) -> Result<String> {
    let mut parts: Vec<Vec<u8>> = vec![base.as_bytes().to_vec()];
    parts.extend(RECIPE.iter().map(|text| text.as_bytes().to_vec()));
    prune::walk(systemd, "", &mut |path, is_dir| {
        if !is_dir {
            parts.push(path.as_bytes().to_vec());
            parts.push(fs::read(systemd.join(&path[1..])).with_context(|| format!("cannot read {path}"))?);
        }
        Ok(true)
    })?;
    Ok(crate::definition::digest(parts.iter().map(Vec::as_slice)))
}

/// Makes the tree at `tree` from the base tar. `epoch` goes into the few files that carry a date.
pub fn build(
    log: &mut StepLog,
    tools: &Toolbox,
    base: &Path,
    systemd: &Path,
    tree: &Path,
    epoch: u64,
) -> Result<()> {
    mmdebstrap::remove(tree)?;
    fs::create_dir_all(tree).with_context(|| format!("cannot create {}", tree.display()))?;
    log.run(Command::new("tar").arg("-C").arg(tree).args(["--numeric-owner", "-xf"]).arg(base))?;
    write_package_list(log, tree)?;
    let kernel = initramfs::kernel_version(tree)?;
    keep_kernel(tree, &kernel)?;
    let count = prune::prune(tree)?;
    log.note(&format!("pruned {count} files and directories"))?;
    modules(log, tools, tree, &kernel)?;
    install_systemd(tree, systemd)?;
    log.run(
        tools
            .command("systemd-sysusers")
            .arg(format!("--root={}", tree.display()))
            .env("SOURCE_DATE_EPOCH", epoch.to_string()),
    )?;
    log.run(tools.command("systemctl").arg(format!("--root={}", tree.display())).args(["preset-all"]))?;
    configure(tree)?;
    verify_units(log, tree, systemd)?;
    lay_out(tree)?;
    check_libraries(tree)?;
    prune::check_gone(tree)?;
    let scratch = tree.with_extension("initramfs");
    initramfs::build(log, tools, tree, &kernel, &scratch).map(|_| ())
}

/// Which packages, at which versions, the image was made from: what is left of the package manager.
fn write_package_list(log: &mut StepLog, tree: &Path) -> Result<()> {
    let list =
        log.output(Sandbox::new(tree).command("dpkg-query").args(["-W", "-f", "${Package} ${Version}\n"]))?;
    let dir = tree.join("usr/share/hull");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("packages.txt"), list).context("cannot write the package list")
}

/// OSTree wants the kernel beside its modules; Debian keeps it in /boot.
fn keep_kernel(tree: &Path, kernel: &str) -> Result<()> {
    let target = tree.join("usr/lib/modules").join(kernel).join("vmlinuz");
    if !target.exists() {
        fs::copy(tree.join("boot").join(format!("vmlinuz-{kernel}")), &target)
            .context("cannot find the kernel")?;
    }
    Ok(())
}

/// The modules of every boot are kept uncompressed, since loading them is on the way to the first container; the others
/// stay as Debian packs them.
fn modules(log: &mut StepLog, tools: &Toolbox, tree: &Path, kernel: &str) -> Result<()> {
    let dir = tree.join("usr/lib/modules").join(kernel);
    log.run(tools.command("depmod").arg("-b").arg(tree).arg(kernel))?;
    let index = fs::read_to_string(dir.join("modules.dep")).context("cannot read modules.dep")?;
    let hot = initramfs::closure(&index, &initramfs::modules_of_a_boot());
    let packed: Vec<PathBuf> =
        hot.iter().filter(|path| path.ends_with(".xz")).map(|path| dir.join(path)).collect();
    log.run(tools.command("xz").arg("-d").args(packed))?;
    log.run(tools.command("depmod").arg("-b").arg(tree).arg(kernel))?;
    prune::check_modules(&dir)
}

fn install_systemd(tree: &Path, systemd: &Path) -> Result<()> {
    for (from, to) in PLACES {
        let source = systemd.join(from);
        prune::walk(&source, "", &mut |path, is_dir| {
            let target = tree.join(to).join(&path[1..]);
            if is_dir {
                fs::create_dir_all(&target)?;
            } else {
                fs::create_dir_all(target.parent().unwrap_or(tree))?;
                mmdebstrap::remove(&target)?;
                fs::copy(source.join(&path[1..]), &target)
                    .with_context(|| format!("cannot install {path}"))?;
                fs::set_permissions(&target, fs::Permissions::from_mode(0o644))?;
            }
            Ok(true)
        })?;
    }
    Ok(())
}

/// Files that no package brings.
fn configure(tree: &Path) -> Result<()> {
    let write = |path: &str, text: &str| -> Result<()> {
        let target = tree.join(path);
        fs::create_dir_all(target.parent().unwrap_or(tree))?;
        mmdebstrap::remove(&target)?;
        fs::write(&target, text).with_context(|| format!("cannot write {path}"))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).context("cannot set permissions")
    };
    write("etc/machine-id", "")?;
    write("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")?;
    write("etc/locale.conf", "LANG=C.UTF-8\n")?;
    write("usr/lib/ostree/prepare-root.conf", initramfs::PREPARE_ROOT)?;
    let link = |target: &str, path: &str| -> Result<()> {
        mmdebstrap::remove(&tree.join(path))?;
        symlink(target, tree.join(path)).with_context(|| format!("cannot link {path}"))
    };
    link("../run/systemd/resolve/stub-resolv.conf", "etc/resolv.conf")?;
    link("../proc/self/mounts", "etc/mtab")?;
    for unit in MASKED {
        link("/dev/null", &format!("usr/lib/systemd/system/{unit}"))?;
    }
    // Left by systemd-sysusers.
    for stale in ["etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/.pwd.lock"] {
        mmdebstrap::remove(&tree.join(stale))?;
    }
    // One bundle is all that is kept of the certificates; OpenSSL looks for it under this name.
    link("/etc/ssl/certs/ca-certificates.crt", "usr/lib/ssl/cert.pem")?;
    fs::create_dir_all(tree.join("etc/ssh/authorized_keys.d")).context("cannot create authorized_keys.d")
}

/// The directories and links of an OSTree deployment.
fn lay_out(tree: &Path) -> Result<()> {
    for (name, target) in LINKS {
        mmdebstrap::remove(&tree.join(name))?;
        symlink(target, tree.join(name)).with_context(|| format!("cannot link {name}"))?;
    }
    for name in ["sysroot", "boot", "efi", "var", "tmp", "run", "proc", "sys", "dev"] {
        mmdebstrap::remove(&tree.join(name))?;
        fs::create_dir(tree.join(name)).with_context(|| format!("cannot create {name}"))?;
        let mode = if name == "tmp" { 0o1777 } else { 0o755 };
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode))?;
        lchown(tree.join(name), Some(0), Some(0))?;
    }
    fs::rename(tree.join("etc"), tree.join("usr/etc")).context("cannot move /etc to /usr/etc")
}

/// Every library that a program of the tree needs must be in the tree: pruning must not have taken one away.
fn check_libraries(tree: &Path) -> Result<()> {
    let (mut present, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    prune::walk(tree, "/usr", &mut |path, is_dir| {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.contains(".so") {
            present.insert(name.to_owned());
        }
        let full = tree.join(&path[1..]);
        if !is_dir && full.symlink_metadata()?.is_file() && is_elf(&full)? && !name.ends_with(".ko") {
            let needed = elf::needed(&fs::read(&full)?).unwrap_or_default();
            wanted.extend(needed.into_iter().map(|library| (library, path.to_owned())));
        }
        Ok(true)
    })?;
    let missing: Vec<_> = wanted.iter().filter(|(library, _)| !present.contains(library)).collect();
    if !missing.is_empty() {
        bail!("pruning took libraries away that these programs need: {missing:?}");
    }
    Ok(())
}

fn is_elf(path: &Path) -> Result<bool> {
    let mut magic = [0; 4];
    let mut file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == *b"\x7fELF")
}

/// Lets systemd itself read our units, inside the tree they are for. Hull's programs, which come later, are stood in for
/// by empty files: only that the units name them is checked here.
fn verify_units(log: &mut StepLog, tree: &Path, systemd: &Path) -> Result<()> {
    let place = tree.join("usr/libexec/hull");
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    for name in ["hulld", "hull-runtime"] {
        fs::write(place.join(name), "")?;
        fs::set_permissions(place.join(name), fs::Permissions::from_mode(0o755))?;
    }
    let mut command = Sandbox::new(tree).command("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no", "--generators=no"]);
    prune::walk(&systemd.join("system"), "", &mut |path, is_dir| {
        if !is_dir && !path.ends_with(".conf") {
            command.arg(format!("/usr/lib/systemd/system{path}"));
        }
        Ok(!path.ends_with(".d"))
    })?;
    log.run(&mut command)?;
    mmdebstrap::remove(&place)
}

/// The path of the programs that the last stage adds, and where they go.
pub fn programs(bin_dir: &Path) -> Vec<(PathBuf, &'static str)> {
    vec![
        (bin_dir.join("hull"), "usr/bin/hull"),
        (bin_dir.join("hulld"), "usr/libexec/hull/hulld"),
        (bin_dir.join("hull-runtime"), "usr/libexec/hull/hull-runtime"),
    ]
}
