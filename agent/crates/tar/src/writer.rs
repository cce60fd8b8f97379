//! Writing entries: POSIX ustar, with a pax extended header for what does not fit (POSIX.1-2017 pax, "ustar Interchange
//! Format" and "pax Extended Header"). Go's archive/tar and GNU tar read it.
//!
//! The same entry always becomes the same bytes: no time, no user and no process of this machine stands in them.

use crate::reader::BLOCK;
use crate::{Entry, Kind, TarError};

/// What stands at the end of an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// The largest number in seven octal digits.
const MAX_ID: u64 = 0o7_777_777;
/// The largest number in eleven octal digits.
const MAX_LONG: u64 = 0o77_777_777_777;
/// Bytes of the fields for a name and for what stands before it.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// The blocks that stand before an entry's data: the entry's header, and an extended header where one is needed. Then come
/// `entry.size` bytes of data and [`padding`] zeros.
///
/// A directory's path should end in a slash; pax records of sub-second times are written if the entry has such a time.
///
/// # Errors
/// [`TarError::Refused`] for what no header can say: a zero byte in a name, a device number beyond 21 bits, the name of an
/// attribute that is empty or has a `=`; data of what is no file; and files with holes, which are to be written with zeros.
pub fn header(entry: &Entry) -> Result<Vec<u8>, TarError> {
    check(entry)?;
    let link: &[u8] = match &entry.kind {
        Kind::Symlink(target) | Kind::HardLink(target) => target,
        _ => &[],
    };
    let mut records = Vec::new();
    let mut block = Block::new(kind_byte(&entry.kind), entry.mode);
    block.path(&mut records, &entry.path);
    if link.len() > NAME || !link.is_ascii() {
        record(&mut records, b"linkpath", link);
    }
    block.bytes(157, &link[..link.len().min(NAME)]);
    records.extend(block.number(108, 7, entry.uid, b"uid"));
    records.extend(block.number(116, 7, entry.gid, b"gid"));
    records.extend(block.number(124, 11, entry.size, b"size"));
    let (seconds, nanos) = entry.mtime;
    let plain = u64::try_from(seconds).ok().filter(|s| *s <= MAX_LONG);
    block.octal(136, 11, plain.unwrap_or(0));
    if plain.is_none() || nanos != 0 {
        record(&mut records, b"mtime", decimal_time(seconds, nanos).as_bytes());
    }
    if let Kind::Char(major, minor) | Kind::Block(major, minor) = entry.kind {
        block.octal(329, 7, u64::from(major));
        block.octal(337, 7, u64::from(minor));
    }
    for (name, value) in &entry.xattrs {
        record(&mut records, &[XATTR, name].concat(), value);
    }
    let mut bytes = extended(&entry.path, &records);
    bytes.extend_from_slice(&block.finish());
    Ok(bytes)
}

/// How many zeros follow so many bytes of data.
pub fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// The prefix under which tar programs store extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

fn check(entry: &Entry) -> Result<(), TarError> {
    let refused = |reason| Err(TarError::refused(&entry.path, reason));
    let link = match &entry.kind {
        Kind::Symlink(target) | Kind::HardLink(target) => Some(target),
        _ => None,
    };
    if entry.path.is_empty() || entry.path.contains(&0) {
        return refused("a path is empty or contains a zero byte");
    }
    if link.is_some_and(|link| link.is_empty() || link.contains(&0)) {
        return refused("a link is empty or contains a zero byte");
    }
    if let Kind::Char(major, minor) | Kind::Block(major, minor) = entry.kind
        && u64::from(major.max(minor)) > MAX_ID
    {
        return refused("a device number is too large");
    }
    if entry.size != 0 && entry.kind != Kind::File {
        return refused("only a file has data");
    }
    if entry.sparse.is_some() {
        return refused("files with holes are written with zeros in their place");
    }
    if entry.xattrs.iter().any(|(name, _)| name.is_empty() || name.contains(&b'=') || name.contains(&0)) {
        return refused("the name of an extended attribute is empty or contains \"=\" or a zero byte");
    }
    Ok(())
}

fn kind_byte(kind: &Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::HardLink(_) => b'1',
        Kind::Symlink(_) => b'2',
        Kind::Char(..) => b'3',
        Kind::Block(..) => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// Prefix and name of a path that fits into the two fields; they are joined with a slash.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= NAME {
        return Some((&[], path));
    }
    // The slash that is dropped: not the first, not a trailing one, as late as the prefix allows.
    let last = path.len() - 1;
    let cut = path[..last.min(PREFIX + 1)].iter().rposition(|b| *b == b'/').filter(|cut| *cut > 0)?;
    (path.len() - cut - 1 <= NAME).then(|| (&path[..cut], &path[cut + 1..]))
}

/// Appends `LENGTH KEY=VALUE\n`, the length counting itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn decimal_time(seconds: i64, nanos: u32) -> String {
    let (sign, whole, nanos) = match (seconds < 0, nanos) {
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        (true, nanos) => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos),
        (false, nanos) => ("", seconds.unsigned_abs(), nanos),
    };
    if nanos == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{nanos:09}").trim_end_matches('0').to_owned()
}

/// The extended header with its data and padding; nothing if there are no records.
fn extended(path: &[u8], records: &[u8]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let base = trimmed.rsplit(|b| *b == b'/').next().unwrap_or(trimmed);
    // Only shown by programs that do not know extended headers.
    let ascii: Vec<u8> = base.iter().copied().filter(u8::is_ascii).take(NAME - 13).collect();
    let mut block = Block::new(b'x', 0o644);
    block.bytes(0, &[b"PaxHeaders.0/", ascii.as_slice()].concat());
    block.octal(108, 7, 0);
    block.octal(116, 7, 0);
    block.octal(124, 11, records.len() as u64);
    block.octal(136, 11, 0);
    let mut bytes = block.finish().to_vec();
    bytes.extend_from_slice(records);
    bytes.resize(bytes.len() + padding(records.len() as u64), 0);
    bytes
}

/// A header block being filled.
struct Block([u8; BLOCK]);

impl Block {
    fn new(kind: u8, mode: u32) -> Self {
        let mut block = Self([0; BLOCK]);
        block.octal(100, 7, u64::from(mode & 0o7777));
        block.0[156] = kind;
        block.bytes(257, b"ustar\x0000");
        block
    }

    fn bytes(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn octal(&mut self, at: usize, digits: usize, value: u64) {
        self.bytes(at, format!("{value:0digits$o}").as_bytes());
    }

    /// Into the two fields if it fits; else its beginning there, and the whole in a record.
    fn path(&mut self, records: &mut Vec<u8>, path: &[u8]) {
        match split(path) {
            Some((prefix, name)) => {
                self.bytes(0, name);
                self.bytes(345, prefix);
            }
            None => {
                record(records, b"path", path);
                self.bytes(0, &path[..path.len().min(NAME)]);
            }
        }
    }

    /// Into the field if it fits; else zero there, and the record that says it.
    fn number(&mut self, at: usize, digits: usize, value: u64, key: &[u8]) -> Vec<u8> {
        let fits = value < 1 << (3 * digits);
        self.octal(at, digits, if fits { value } else { 0 });
        let mut records = Vec::new();
        if !fits {
            record(&mut records, key, value.to_string().as_bytes());
        }
        records
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.bytes(148, b"        ");
        let sum: u32 = self.0.iter().copied().map(u32::from).sum();
        self.bytes(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests;
