//! Compressing files that are full, one at a time, in a child of its own: the supervisor never waits for it.
//!
//! The child gets two descriptors and nothing else. It writes into a temporary file, which the supervisor puts into place once
//! the child has ended well; by then the file may have been rotated on, so it is found by its inode. Its number is kept in
//! the header of the compressed file, so that readers know where in the row they are.

use super::files::Place;
use flate2::{Compression, GzBuilder};
use hull_sys::process::{self, Child};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

/// A file that is being compressed.
#[derive(Debug)]
pub(crate) struct Packing {
    place: Place,
    max_files: u32,
    inode: u64,
}

/// What the header of a compressed file says of the file it was.
pub(crate) fn comment(inode: u64) -> String {
    format!("inode {inode}")
}

impl Packing {
    /// Begins with the oldest file of a log that is full and not compressed; `None` if there is none.
    pub(crate) fn begin(place: Place, max_files: u32) -> io::Result<Option<(Self, Child)>> {
        let Some(number) = (1..max_files).rev().find(|n| place.path(*n).exists()) else { return Ok(None) };
        let source = File::open(place.path(number))?;
        let inode = source.metadata()?.ino();
        let _ = std::fs::remove_file(place.packing());
        let target = File::options().write(true).create_new(true).mode(0o600).open(place.packing())?;
        let child = process::spawn(0, None, move || compress(source.into(), target.into(), inode))?;
        Ok(Some((Self { place, max_files, inode }, child)))
    }

    /// Puts the compressed file into place, if the child ended well and the file is still wanted.
    pub(crate) fn finish(self, success: bool) -> io::Result<()> {
        let is_it = |number: &u32| {
            std::fs::metadata(self.place.path(*number)).is_ok_and(|found| found.ino() == self.inode)
        };
        match (1..self.max_files).find(is_it).filter(|_| success) {
            Some(number) => {
                std::fs::rename(self.place.packing(), self.place.packed(number))?;
                std::fs::remove_file(self.place.path(number))
            }
            None => match std::fs::remove_file(self.place.packing()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

/// The child. Whatever the supervisor had open, a container's input or a client's connection, is closed here first.
fn compress(source: OwnedFd, target: OwnedFd, inode: u64) -> Infallible {
    let work = || -> io::Result<()> {
        process::install_stdio(source.as_fd(), 0)?;
        let target = File::from(process::close_all_but(target)?);
        // The containers come first.
        let _ = process::lower_priority();
        let header = GzBuilder::new().comment(comment(inode));
        let mut packer = header.write(target, Compression::default());
        io::copy(&mut BufReader::with_capacity(64 << 10, io::stdin().lock()), &mut packer)?;
        packer.finish()?.sync_all()
    };
    let code = i32::from(work().is_err());
    process::exit_now(code)
}
