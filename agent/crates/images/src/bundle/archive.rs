//! The files of an archive, found in the one file that it is kept in.

use super::error::LoadError;
use super::outer::unpacked;
use crate::disk::{Disk, DiskError, Scratch};
use hull_tar::{Archive, Kind};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::Arc;

/// More entries than any archive of images has.
const MAX_ENTRIES: usize = 200_000;
/// The longest path of an entry.
const MAX_PATH: usize = 1024;
/// Links that are followed in a row.
const MAX_LINKS: usize = 8;

/// What stands under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// A path of the archive.
    Link(String),
}

/// An archive that was read to its end. Its file goes with it.
pub(super) struct Files {
    members: HashMap<String, Member>,
    file: Arc<File>,
    _scratch: Scratch,
}

impl Files {
    /// Keeps a stream and finds its entries. Blocks.
    pub(super) fn read(disk: &Disk, input: impl Read) -> Result<Self, LoadError> {
        let scratch = disk.scratch()?;
        let path = scratch.path().join("archive");
        let file = File::options().create_new(true).read(true).write(true).mode(0o600).open(&path);
        let mut file = file.map_err(DiskError::new("making", &path))?;
        let mut input = unpacked(input).map_err(LoadError::input)?;
        let mut failed = None;
        let kept = Kept { input: &mut input, file: &mut file, failed: &mut failed };
        let members = members(kept);
        if let Some(source) = failed {
            return Err(DiskError::new("writing", &path)(source).into());
        }
        Ok(Self { members: members?, file: Arc::new(file), _scratch: scratch })
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path).is_ok()
    }

    fn find(&self, path: &str) -> Result<(u64, u64), LoadError> {
        let missing = || LoadError::Missing(path.chars().take(200).collect());
        let mut at = normal(path.as_bytes()).ok_or_else(missing)?;
        for _ in 0..=MAX_LINKS {
            match self.members.get(&at) {
                Some(Member::File { offset, size }) => return Ok((*offset, *size)),
                Some(Member::Link(to)) => at = to.clone(),
                None => return Err(missing()),
            }
        }
        Err(LoadError::invalid(path, "too many levels of symbolic links"))
    }

    /// A small file in whole.
    pub(super) fn small(&self, path: &str, max: u64) -> Result<Vec<u8>, LoadError> {
        let (offset, size) = self.find(path)?;
        if size > max {
            return Err(LoadError::invalid(path, format!("it is longer than {max} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, offset).map_err(LoadError::input)?;
        Ok(bytes)
    }

    /// A file as a stream, and its bytes.
    pub(super) fn open(&self, path: &str) -> Result<(Section, u64), LoadError> {
        let (offset, size) = self.find(path)?;
        Ok((Section { file: Arc::clone(&self.file), at: offset, left: size }, size))
    }
}

/// A part of a file.
pub(super) struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Writes down what is read.
struct Kept<'a> {
    input: &'a mut dyn BufRead,
    file: &'a mut File,
    failed: &'a mut Option<io::Error>,
}

impl BufRead for Kept<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.failed {
            Some(_) => Err(io::ErrorKind::Other.into()),
            None => self.input.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        // What was looked at is there still.
        if let (None, Ok(bytes)) = (&self.failed, self.input.fill_buf())
            && let Err(error) = self.file.write_all(&bytes[..count.min(bytes.len())])
        {
            *self.failed = Some(error);
        }
        self.input.consume(count);
    }
}

impl Read for Kept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The entries of an archive by their paths; of several with one path the last one counts, as when they are unpacked.
fn members(input: impl BufRead) -> Result<HashMap<String, Member>, LoadError> {
    let mut archive = Archive::new(input);
    let mut members = HashMap::new();
    let mut count = 0;
    while let Some(entry) = archive.next_entry()? {
        count += 1;
        let shown = hull_tar::shown(&entry.path);
        let refused = |reason: &str| LoadError::invalid(&shown, reason);
        if count > MAX_ENTRIES {
            return Err(refused("the archive has too many entries"));
        }
        let path =
            normal(&entry.path).ok_or_else(|| refused("an absolute path, or one that leaves the archive"))?;
        let member = match entry.kind {
            Kind::Directory => continue,
            Kind::File if entry.sparse.is_none() => {
                Member::File { offset: archive.offsets().data, size: entry.size }
            }
            Kind::Symlink(to) => {
                Member::Link(resolved(&path, &to).ok_or_else(|| refused("a link out of the archive"))?)
            }
            Kind::HardLink(to) => {
                Member::Link(normal(&to).ok_or_else(|| refused("a link out of the archive"))?)
            }
            _ => return Err(refused("an archive of images has only files, directories and links")),
        };
        members.insert(path, member);
    }
    Ok(members)
}

/// A path without `.` and empty components. `None` for an absolute one, one with `..`, and one that is no text.
fn normal(path: &[u8]) -> Option<String> {
    let text =
        std::str::from_utf8(path).ok().filter(|text| text.len() <= MAX_PATH && !text.starts_with('/'))?;
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// What a symbolic link at `path` stands for. `None` if that is outside.
fn resolved(path: &str, to: &[u8]) -> Option<String> {
    let to = std::str::from_utf8(to).ok().filter(|text| text.len() <= MAX_PATH && !text.starts_with('/'))?;
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, wanted) in [
            ("a/b", Some("a/b")),
            ("./a//b/.", Some("a/b")),
            ("/a", None),
            ("a/../b", None),
            ("..", None),
            ("", Some("")),
        ] {
            assert_eq!(normal(path.as_bytes()).as_deref(), wanted, "{path}");
        }
        assert_eq!(normal(b"\xff"), None);
        for (path, to, wanted) in [
            ("x/layer.tar", "../y/layer.tar", Some("y/layer.tar")),
            ("x", "y", Some("y")),
            ("x", "../y", None),
            ("a/b/c", "../../../d", None),
            ("a/b/c", "../../d", Some("d")),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(resolved(path, to.as_bytes()).as_deref(), wanted, "{path} {to}");
        }
    }
}
