//! ISO 9660 (ECMA-119), with the long names of Joliet or Rock Ridge; the root directory only.

use super::disk::{Medium, Volume, check_size, le32, malformed};
use std::io;

const SECTOR: u64 = 2048;
/// Volume descriptors begin here; a disc has a handful.
const FIRST_DESCRIPTOR: u64 = 16;
const MOST_DESCRIPTORS: u64 = 64;
/// A seed's root directory holds a handful of entries.
const LARGEST_DIRECTORY: usize = 1 << 20;

/// An open volume.
pub(super) struct Iso<M> {
    medium: M,
    label: String,
    /// The root directory's extent, and how its names are written.
    root: Extent,
    joliet: bool,
}

#[derive(Clone, Copy)]
struct Extent {
    sector: u32,
    size: u32,
}

impl Extent {
    /// From a directory record (ECMA-119, 9.1).
    fn of(record: &[u8]) -> Self {
        Self { sector: le32(record, 2), size: le32(record, 10) }
    }
}

impl<M: Medium> Iso<M> {
    /// Opens what has a primary volume descriptor.
    pub(super) fn open(medium: M) -> io::Result<Self> {
        let mut primary = None;
        let mut supplementary = None;
        for sector in FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
            let descriptor = medium.bytes(sector * SECTOR, SECTOR as usize)?;
            if descriptor[1..6] != *b"CD001" {
                return Err(malformed("no ISO 9660 volume"));
            }
            match descriptor[0] {
                1 => primary = Some(descriptor),
                // Joliet says so by an escape sequence for UCS-2.
                2 if matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E") => {
                    supplementary = Some(descriptor)
                }
                255 => break,
                _ => {}
            }
        }
        let primary = primary.ok_or_else(|| malformed("no primary volume descriptor"))?;
        let label = String::from_utf8_lossy(&primary[40..72]).trim_end_matches([' ', '\0']).to_owned();
        let joliet = supplementary.is_some();
        let root = Extent::of(&supplementary.unwrap_or(primary)[156..190]);
        Ok(Self { medium, label, root, joliet })
    }

    fn extent(&self, extent: Extent, name: &str, limit: usize) -> io::Result<Vec<u8>> {
        let size = check_size(name, u64::from(extent.size), limit)?;
        self.medium.bytes(u64::from(extent.sector) * SECTOR, size)
    }

    /// Names and extents of the files of the root directory.
    fn files(&self) -> io::Result<Vec<(String, Extent)>> {
        let directory = self.extent(self.root, "the root directory", LARGEST_DIRECTORY)?;
        let mut files = Vec::new();
        for sector in directory.chunks(SECTOR as usize) {
            let mut at = 0;
            // A record never crosses into the next sector; a length of 0 ends this one.
            while let Some(length) = sector.get(at).map(|l| usize::from(*l)).filter(|l| *l >= 34) {
                let Some(record) = sector.get(at..at + length) else { break };
                at += length;
                let is_directory = record[25] & 2 != 0;
                let in_many_extents = record[25] & 0x80 != 0;
                if let Some(name) = self.name(record).filter(|_| !is_directory && !in_many_extents) {
                    files.push((name, Extent::of(record)));
                }
            }
        }
        Ok(files)
    }

    fn name(&self, record: &[u8]) -> Option<String> {
        let length = usize::from(record[32]);
        let raw = record.get(33..33 + length)?;
        let name = if self.joliet {
            let units: Vec<u16> = raw.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
            String::from_utf16_lossy(&units)
        } else {
            // System use fields follow the name, padded to an even length.
            let fields = record.get(33 + length + usize::from(length % 2 == 0)..).unwrap_or_default();
            rock_ridge_name(fields).unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned())
        };
        // A version number, and the dot of a name without an extension, are no part of the name.
        let name = name.split(';').next().unwrap_or_default().trim_end_matches('.');
        Some(name.to_owned())
    }
}

/// The `NM` fields of Rock Ridge (IEEE P1282, 4.1.4) among the system use fields.
fn rock_ridge_name(mut fields: &[u8]) -> Option<String> {
    let mut name: Option<String> = None;
    while let [a, b, length, _, ..] = *fields {
        let length = usize::from(length);
        if length < 4 || length > fields.len() {
            break;
        }
        if [a, b] == *b"NM" && length > 5 {
            name.get_or_insert_default().push_str(&String::from_utf8_lossy(&fields[5..length]));
        }
        fields = &fields[length..];
    }
    name
}

impl<M: Medium> Volume for Iso<M> {
    fn label(&self) -> &str {
        &self.label
    }

    fn read(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let files = self.files()?;
        let found = files.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, extent)| self.extent(extent, name, limit)).transpose()
    }
}
