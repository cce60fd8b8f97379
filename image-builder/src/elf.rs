//! Which shared libraries an ELF file asks for: enough to know that pruning took none away, and what an initramfs needs.

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

/// The `DT_NEEDED` names of a 64-bit little-endian ELF file; `None` when it is something else, an empty list when it is
/// static.
pub fn needed(file: &[u8]) -> Option<Vec<String>> {
    if file.len() < 64 || file[..6] != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let table = u64_at(file, 32)?;
    let (entry, count) = (u64::from(u16_at(file, 54)?), u64::from(u16_at(file, 56)?));
    let segments: Vec<Segment> = (0..count).filter_map(|i| segment(file, table + i * entry)).collect();
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
        return Some(Vec::new());
    };
    let tags: Vec<(u64, u64)> = (0..dynamic.size / 16)
        .filter_map(|i| {
            Some((u64_at(file, dynamic.offset + i * 16)?, u64_at(file, dynamic.offset + i * 16 + 8)?))
        })
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let strings =
        tags.iter().find(|(tag, _)| *tag == DT_STRTAB).and_then(|(_, at)| file_offset(&segments, *at));
    let names =
        tags.iter().filter(|(tag, _)| *tag == DT_NEEDED).filter_map(|(_, at)| string(file, strings? + at));
    Some(names.collect())
}

fn segment(file: &[u8], at: u64) -> Option<Segment> {
    Some(Segment {
        kind: u32_at(file, at)?,
        offset: u64_at(file, at + 8)?,
        address: u64_at(file, at + 16)?,
        size: u64_at(file, at + 32)?,
    })
}

fn file_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let inside = |s: &&Segment| s.kind == PT_LOAD && address >= s.address && address - s.address < s.size;
    segments.iter().find(inside).map(|s| address - s.address + s.offset)
}

fn string(file: &[u8], at: u64) -> Option<String> {
    let bytes = file.get(usize::try_from(at).ok()?..)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

fn field<const N: usize>(file: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], at: u64) -> Option<u16> {
    field(file, at).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], at: u64) -> Option<u32> {
    field(file, at).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: u64) -> Option<u64> {
    field(file, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_needs_the_c_library() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needed(&file).unwrap().iter().any(|name| name.starts_with("libc.so")));
    }

    #[test]
    fn other_files_are_not_elf() {
        assert_eq!(needed(b"#!/bin/sh\n"), None);
        assert_eq!(needed(&[0x7f, b'E', b'L', b'F']), None);
    }

    #[test]
    fn a_truncated_file_does_not_panic() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in [64, 100, 400, 4096] {
            needed(&file[..len]);
        }
    }
}
