//! The tree of an archive while it goes by.

use super::UnpackError;
use super::space::Space;
use crate::tree::{Growing, Placement, Tree};
use hull_tar::Archive;
use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// What an archive turned out to hold.
pub(super) struct Grown {
    pub(super) tree: Tree,
    /// Bytes of all files' data.
    pub(super) stored: u64,
    /// Bytes of the spill; 0 if there is none.
    pub(super) spilled: u64,
}

/// What becomes of data that have to be laid out anew.
pub(super) trait Spill {
    /// These bytes belong there.
    fn put(&mut self, position: u64, bytes: &[u8]) -> Result<(), UnpackError>;
}

/// Reads an archive to its end mark.
pub(super) fn grow(input: impl BufRead, spill: &mut impl Spill) -> Result<Grown, UnpackError> {
    let mut archive = Archive::new(input);
    let mut growing = Growing::new();
    while let Some(entry) = archive.next_entry()? {
        let Placement::Spill(pieces) = growing.add(&entry, archive.offsets().data)? else { continue };
        for (mut position, length) in pieces {
            let done = archive.data(length, |bytes| {
                let at = position;
                position += bytes.len() as u64;
                spill.put(at, bytes)
            })?;
            if done != length {
                return Err(UnpackError::Truncated);
            }
        }
    }
    let (tree, stored, spilled) = growing.finish();
    Ok(Grown { tree, stored, spilled })
}

/// A spill that is written to a file, which is made when it is needed.
pub(super) struct SpillFile {
    path: PathBuf,
    file: Option<File>,
    space: Space,
}

impl SpillFile {
    pub(super) fn new(path: PathBuf, space: Space) -> Self {
        Self { path, file: None, space }
    }

    fn file(&mut self) -> io::Result<&File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let mut options = File::options();
                Ok(none.insert(options.create_new(true).read(true).write(true).mode(0o600).open(&self.path)?))
            }
        }
    }

    /// The file, with its size; none if nothing was to be spilled.
    pub(super) fn finish(mut self, size: u64) -> Result<Option<File>, UnpackError> {
        if size > 0 {
            self.file().and_then(|file| file.set_len(size)).map_err(UnpackError::io("writing", b"spill"))?;
        }
        Ok(self.file)
    }
}

impl Spill for SpillFile {
    fn put(&mut self, position: u64, bytes: &[u8]) -> Result<(), UnpackError> {
        self.space.write(bytes.len() as u64)?;
        let written = self.file().and_then(|file| file.write_all_at(bytes, position));
        written.map_err(UnpackError::io("writing", b"spill"))
    }
}

/// A spill that was written before, compared with what it should be.
pub(super) struct SpillCheck<'a> {
    pub(super) file: Option<&'a File>,
    /// Whether all that was seen is as it should be.
    pub(super) same: bool,
}

impl Spill for SpillCheck<'_> {
    fn put(&mut self, position: u64, bytes: &[u8]) -> Result<(), UnpackError> {
        let mut there = vec![0; bytes.len()];
        let read = self.file.map(|file| file.read_exact_at(&mut there, position));
        self.same &= matches!(read, Some(Ok(()))) && there == bytes;
        Ok(())
    }
}
