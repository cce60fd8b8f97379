//! The disk: a GPT with an EFI system partition and an ext4 root, written as one sparse file.
//!
//! mkfs.vfat, mtools and mke2fs all write at an offset into a file, so nothing is mounted and no loop device is used.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::progress::StepLog;
use crate::toolbox::Toolbox;
use crate::uki::Slot;

/// Bytes of a logical sector.
pub const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// The ESP holds three kernels of up to 300 MiB: both slots' and the one being written.
pub const ESP_BYTES: u64 = 1024 * MIB;

/// The smallest root that a first start and one update fit in.
const ROOT_MIN_BYTES: u64 = 1024 * MIB;

/// Kept free at the end for the second table (33 sectors), a multiple of 4 KiB: what systemd-repart keeps free too, so
/// that it has nothing to do on a disk of the image's own size.
const TAIL_BYTES: u64 = 20 << 10;

/// Where the partitions lie. Offsets are multiples of 1 MiB, sizes of 4 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Size of the disk in bytes.
    pub disk: u64,
    /// Offset of the ESP in bytes.
    pub esp_offset: u64,
    /// Offset of the root partition in bytes.
    pub root_offset: u64,
    /// Size of the root partition in bytes.
    pub root_size: u64,
}

impl Layout {
    /// The layout of a disk of this size: 1 MiB for the table, the ESP, the root, the second table.
    pub fn new(disk: u64) -> Result<Self> {
        let disk = disk / MIB * MIB;
        let root_offset = MIB + ESP_BYTES;
        let least = root_offset + ROOT_MIN_BYTES + MIB;
        ensure!(
            disk >= least,
            "a disk of {} MiB is too small, it takes at least {} MiB",
            disk / MIB,
            least / MIB
        );
        Ok(Self { disk, esp_offset: MIB, root_offset, root_size: disk - root_offset - TAIL_BYTES })
    }

    /// sgdisk's arguments. Identifiers are fixed, so that the same inputs give the same table; partitions are found by
    /// label, and systemd-repart gives nothing else away.
    fn sgdisk(&self) -> Vec<String> {
        let (esp, root) = (self.esp_offset / SECTOR, self.root_offset / SECTOR);
        let (esp_end, root_end) = (root - 1, (self.root_offset + self.root_size) / SECTOR - 1);
        [
            "--clear".to_owned(),
            "--disk-guid=6b0a4f4e-5d2f-4a2b-9d0c-48756c6c0000".to_owned(),
            format!("--new=1:{esp}:{esp_end}"),
            "--typecode=1:ef00".to_owned(),
            "--change-name=1:hull-esp".to_owned(),
            "--partition-guid=1:6b0a4f4e-5d2f-4a2b-9d0c-48756c6c0001".to_owned(),
            format!("--new=2:{root}:{root_end}"),
            "--typecode=2:8304".to_owned(),
            "--change-name=2:hull-root".to_owned(),
            "--partition-guid=2:6b0a4f4e-5d2f-4a2b-9d0c-48756c6c0002".to_owned(),
        ]
        .to_vec()
    }
}

/// Parses a size: a number of bytes, or with K, M, G or T (powers of 1024).
pub fn parse_size(text: &str) -> Result<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" | "KIB" => 1 << 10,
        "M" | "MIB" => 1 << 20,
        "G" | "GIB" => 1 << 30,
        "T" | "TIB" => 1 << 40,
        other => anyhow::bail!("unknown unit {other:?} in the size {text:?}: use K, M, G or T"),
    };
    let number: u64 = digits.parse().with_context(|| format!("{text:?} is not a size such as 4G"))?;
    number.checked_mul(factor).with_context(|| format!("the size {text:?} is too large"))
}

/// What goes onto a disk.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The physical root: repository, deployment and state.
    pub sysroot: &'a Path,
    /// The boot loader.
    pub loader: &'a Path,
    /// The unified kernel image of slot a.
    pub kernel: &'a Path,
    /// Seconds since 1970, for the file systems' timestamps.
    pub epoch: u64,
}

/// Writes the raw disk. It appears under its name only when it is complete.
pub fn write(
    log: &mut StepLog,
    tools: &Toolbox,
    layout: &Layout,
    contents: &Contents<'_>,
    target: &Path,
) -> Result<()> {
    let partial = target.with_extension("partial");
    mkdisk(log, tools, layout, &partial)?;
    write_esp(log, tools, layout, contents, &partial)?;
    write_root(log, tools, layout, contents, &partial)?;
    fs::rename(&partial, target).with_context(|| format!("cannot put {} in place", target.display()))
}

fn mkdisk(log: &mut StepLog, tools: &Toolbox, layout: &Layout, disk: &Path) -> Result<()> {
    let file = fs::File::create(disk).with_context(|| format!("cannot create {}", disk.display()))?;
    file.set_len(layout.disk).with_context(|| format!("cannot size {}", disk.display()))?;
    log.run(tools.command_with("sgdisk", &[parent(disk)]).args(layout.sgdisk()).arg(disk))
}

fn write_esp(
    log: &mut StepLog,
    tools: &Toolbox,
    layout: &Layout,
    contents: &Contents<'_>,
    disk: &Path,
) -> Result<()> {
    let dir = tools_scratch(disk);
    fs::create_dir_all(&dir)?;
    let loader_conf = dir.join("loader.conf");
    fs::write(&loader_conf, "timeout 0\neditor no\nauto-firmware no\n")
        .context("cannot write loader.conf")?;
    let sectors = layout.esp_offset / SECTOR;
    let run = |program: &str| {
        let mut command = tools.command_with(program, &[parent(disk)]);
        command.env("SOURCE_DATE_EPOCH", contents.epoch.to_string()).env("TZ", "UTC");
        command
    };
    log.run(
        run("mkfs.vfat")
            .args(["-F", "32", "-n", "HULL-ESP", "-i", "48756c6c", "--invariant", "-h", &sectors.to_string()])
            .arg(format!("--offset={sectors}"))
            .arg(disk)
            .arg((ESP_BYTES / 1024).to_string()),
    )?;
    let image = format!("{}@@{}", disk.display(), layout.esp_offset);
    let dirs = ["::EFI", "::EFI/BOOT", "::EFI/Linux", "::EFI/systemd", "::loader"];
    log.run(run("mmd").args(["-i", &image]).args(dirs))?;
    let kernel = format!("::EFI/Linux/{}", Slot::A.file_name(3, 0));
    for (source, target) in [
        (contents.loader, "::EFI/BOOT/BOOTX64.EFI"),
        (contents.loader, "::EFI/systemd/systemd-bootx64.efi"),
        (loader_conf.as_path(), "::loader/loader.conf"),
        (contents.kernel, kernel.as_str()),
    ] {
        log.run(run("mcopy").args(["-i", &image]).arg(source).arg(target))?;
    }
    fs::remove_dir_all(dir).context("cannot remove scratch files")
}

fn write_root(
    log: &mut StepLog,
    tools: &Toolbox,
    layout: &Layout,
    contents: &Contents<'_>,
    disk: &Path,
) -> Result<()> {
    let options = format!(
        "offset={},lazy_itable_init=1,lazy_journal_init=1,hash_seed=6b0a4f4e-5d2f-4a2b-9d0c-48756c6c0003",
        layout.root_offset
    );
    log.run(
        tools
            .command_with("mke2fs", &[parent(disk), contents.sysroot])
            .args(["-q", "-t", "ext4", "-L", "hull-root", "-O", "verity", "-b", "4096", "-m", "1"])
            .args(["-U", "6b0a4f4e-5d2f-4a2b-9d0c-48756c6c0004", "-E", &options, "-d"])
            .arg(contents.sysroot)
            .arg(disk)
            .arg(format!("{}k", layout.root_size / 1024))
            .env("E2FSPROGS_FAKE_TIME", contents.epoch.to_string()),
    )
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn tools_scratch(disk: &Path) -> PathBuf {
    disk.with_extension("esp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_aligned_and_do_not_overlap() {
        for size in ["3G", "4G", "10000M", "4294967297"] {
            let layout = Layout::new(parse_size(size).unwrap()).unwrap();
            assert_eq!(layout.esp_offset % MIB, 0);
            assert_eq!(layout.root_offset, layout.esp_offset + ESP_BYTES);
            assert_eq!(layout.root_size % 4096, 0);
            // 33 sectors at the end are the second table's.
            assert!(layout.root_offset + layout.root_size + 33 * SECTOR <= layout.disk);
        }
    }

    #[test]
    fn a_disk_that_is_too_small_is_refused() {
        let error = Layout::new(parse_size("2G").unwrap()).unwrap_err().to_string();
        assert!(error.contains("at least"), "{error}");
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4G").unwrap(), 4 << 30);
        assert_eq!(parse_size("512MiB").unwrap(), 512 << 20);
        assert_eq!(parse_size("4096").unwrap(), 4096);
        for bad in ["", "G", "4X", "-1", "99999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
