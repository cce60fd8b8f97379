//! FAT12, FAT16 and FAT32 with long names; the root directory only.

use super::disk::{Medium, Volume, check_size, le16, le32, malformed};
use std::io;

const ENTRY: usize = 32;
/// Attribute bits of a directory entry.
const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
/// A seed's root directory holds a handful of entries.
const LARGEST_DIRECTORY: usize = 1 << 20;

/// Which of the three it is, by the number of its clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

/// An open volume.
pub(super) struct Fat<M> {
    medium: M,
    label: String,
    width: Width,
    cluster_size: usize,
    clusters: u32,
    fat_offset: u64,
    data_offset: u64,
    root: Root,
}

/// Where the root directory is.
#[derive(Clone, Copy)]
enum Root {
    /// FAT12 and FAT16: a place of its own.
    Fixed { offset: u64, size: usize },
    /// FAT32: a chain of clusters.
    Chain { first: u32 },
}

impl<M: Medium> Fat<M> {
    /// Opens what has a BIOS parameter block that makes sense.
    pub(super) fn open(medium: M) -> io::Result<Self> {
        let boot = medium.bytes(0, 512)?;
        let sector = u64::from(le16(&boot, 11));
        let per_cluster = u64::from(boot[13]);
        let (reserved, fats) = (u64::from(le16(&boot, 14)), u64::from(boot[16]));
        let root_entries = u64::from(le16(&boot, 17));
        let sound = boot[510..512] == [0x55, 0xaa]
            && matches!(sector, 512 | 1024 | 2048 | 4096)
            && per_cluster.is_power_of_two()
            && reserved > 0
            && (1..=2).contains(&fats);
        if !sound {
            return Err(malformed("no FAT volume"));
        }
        let either = |small: u16, large: u32| if small == 0 { u64::from(large) } else { u64::from(small) };
        let sectors = either(le16(&boot, 19), le32(&boot, 32));
        let fat_sectors = either(le16(&boot, 22), le32(&boot, 36));
        let root_sectors = (root_entries * ENTRY as u64).div_ceil(sector);
        let data = reserved + fats * fat_sectors + root_sectors;
        let clusters =
            sectors.checked_sub(data).ok_or_else(|| malformed("a FAT volume of impossible size"))?
                / per_cluster;
        let width = match clusters {
            0..4085 => Width::Fat12,
            4085..65525 => Width::Fat16,
            _ => Width::Fat32,
        };
        let root = match width {
            Width::Fat32 => Root::Chain { first: le32(&boot, 44) },
            _ => Root::Fixed {
                offset: (reserved + fats * fat_sectors) * sector,
                size: (root_entries * ENTRY as u64) as usize,
            },
        };
        let mut volume = Self {
            medium,
            label: String::new(),
            width,
            cluster_size: (sector * per_cluster) as usize,
            clusters: clusters as u32,
            fat_offset: reserved * sector,
            data_offset: data * sector,
            root,
        };
        volume.label = volume.find_label(&boot)?;
        Ok(volume)
    }

    /// The label in the root directory; the boot sector's otherwise.
    fn find_label(&self, boot: &[u8]) -> io::Result<String> {
        let in_boot = if self.width == Width::Fat32 { &boot[71..82] } else { &boot[43..54] };
        let directory = self.directory()?;
        let entry = entries(&directory)
            .find(|e| e[11] & (VOLUME_LABEL | DIRECTORY) == VOLUME_LABEL && e[11] != LONG_NAME);
        let label = entry.map_or(in_boot, |entry| &entry[..11]);
        Ok(String::from_utf8_lossy(label).trim_end_matches([' ', '\0']).to_owned())
    }

    fn directory(&self) -> io::Result<Vec<u8>> {
        match self.root {
            Root::Fixed { offset, size } => self.medium.bytes(offset, size),
            Root::Chain { first } => self.chain(first, LARGEST_DIRECTORY),
        }
    }

    /// The contents of a chain of clusters, at most so many bytes.
    fn chain(&self, first: u32, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut cluster = first;
        while let Some(index) = cluster.checked_sub(2).filter(|index| *index < self.clusters) {
            // Also ends a chain that bites its own tail.
            if bytes.len() >= limit {
                break;
            }
            let offset = self.data_offset + u64::from(index) * self.cluster_size as u64;
            bytes.extend(self.medium.bytes(offset, self.cluster_size)?);
            cluster = self.next(cluster)?;
        }
        bytes.truncate(limit);
        Ok(bytes)
    }

    fn next(&self, cluster: u32) -> io::Result<u32> {
        let cluster64 = u64::from(cluster);
        Ok(match self.width {
            Width::Fat12 => {
                let pair = le16(&self.medium.bytes(self.fat_offset + cluster64 + cluster64 / 2, 2)?, 0);
                u32::from(if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 })
            }
            Width::Fat16 => u32::from(le16(&self.medium.bytes(self.fat_offset + cluster64 * 2, 2)?, 0)),
            Width::Fat32 => le32(&self.medium.bytes(self.fat_offset + cluster64 * 4, 4)?, 0) & 0x0fff_ffff,
        })
    }
}

/// Directory entries up to the end mark, without deleted ones.
fn entries(directory: &[u8]) -> impl Iterator<Item = &[u8]> {
    directory.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0).filter(|entry| entry[0] != 0xe5)
}

/// Files of a directory with their first cluster and size, under their long names where they have one.
fn files(directory: &[u8]) -> Vec<(String, u32, u32)> {
    let mut files = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    for entry in entries(directory) {
        if entry[11] == LONG_NAME {
            // Parts of a long name come last part first.
            let part = [1..11, 14..26, 28..32].into_iter().flat_map(|range| entry[range].chunks_exact(2));
            let mut units: Vec<u16> = part.map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            if entry[0] & 0x40 != 0 {
                long.clear();
            }
            units.append(&mut long);
            long = units;
            continue;
        }
        let name: Vec<u16> = std::mem::take(&mut long).into_iter().take_while(|unit| *unit != 0).collect();
        if entry[11] & (VOLUME_LABEL | DIRECTORY) == 0 {
            let name = if name.is_empty() { short_name(entry) } else { String::from_utf16_lossy(&name) };
            let first = u32::from(le16(entry, 20)) << 16 | u32::from(le16(entry, 26));
            files.push((name, first, le32(entry, 28)));
        }
    }
    files
}

fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (name, extension) = (part(&entry[..8]), part(&entry[8..11]));
    if extension.is_empty() { name } else { format!("{name}.{extension}") }
}

impl<M: Medium> Volume for Fat<M> {
    fn label(&self) -> &str {
        &self.label
    }

    fn read(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let files = files(&self.directory()?);
        let Some((_, first, size)) = files.into_iter().find(|(found, ..)| found.eq_ignore_ascii_case(name))
        else {
            return Ok(None);
        };
        let size = check_size(name, u64::from(size), limit)?;
        let bytes = self.chain(first, size)?;
        if bytes.len() < size {
            return Err(malformed(&format!("{name} is cut short")));
        }
        Ok(Some(bytes))
    }
}
