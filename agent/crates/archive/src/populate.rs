//! What an image has in a volume's place, copied into the empty volume.
//!
//! The copy is made in a directory of the volume itself, which gets another name when it is whole; then what is in it moves
//! to where it belongs. A copy that was cut short is found by these names: one that was not whole is begun again, one that
//! was whole is moved to its end. A volume with anything else in it is left as it is.

use crate::descend::open_in;
use crate::failure::Failure;
use crate::ids::Ids;
use crate::layer::reopened;
use crate::reader::{Detail, Reader, names};
use crate::sink::Sink;
use crate::tree::{Tree, open_host};
use crate::writer::{Rules, unpack};
use hull_ports::Rootfs;
use hull_sys::openat2::open_beneath;
use hull_sys::tree;
use nix::errno::Errno;
use nix::fcntl::{OFlag, renameat};
use nix::sys::stat::{Mode, fchmod, fstat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, unlinkat};
use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

/// A copy that may not be whole.
const UNFINISHED: &str = ".hull-populating";
/// A copy that is whole and is being moved.
const WHOLE: &str = ".hull-populated";
/// Made by file systems of their own accord.
const NOTHING: &[u8] = b"lost+found";
/// Pieces between the thread that reads and the one that writes.
const CHUNKS: usize = 3;

/// Copies what the image has at `path` into the volume, if the volume is empty and the image has a directory there. The
/// path and all symbolic links in it are looked up in the image's root.
pub(crate) fn populate(rootfs: &Rootfs, path: &Path, volume: &Path) -> Result<(), Failure> {
    let target = reopened(&open_host(volume)?)?;
    // Most volumes are in use: nothing is mounted for them.
    let state = state(&target)?;
    if state == State::InUse {
        return Ok(());
    }
    let image = Tree::of(&rootfs.lower)?;
    let cleaned = crate::path::Asked::new(path).path;
    let source = match open_in(image.root.as_fd(), &cleaned, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        source => source.map_err(Failure::system("open", &cleaned))?,
    };
    if state == State::Empty {
        copy(&source, &target)?;
    }
    settle(&source, &target)
}

#[derive(PartialEq, Eq)]
enum State {
    /// Nothing, or a copy that was cut short.
    Empty,
    /// A copy that only has to be moved.
    Whole,
    /// Somebody's data.
    InUse,
}

fn state(target: &OwnedFd) -> Result<State, Failure> {
    let names = names(target).map_err(Failure::system("reading directory", b"of the volume"))?;
    if names.iter().any(|name| name == WHOLE.as_bytes()) {
        return Ok(State::Whole);
    }
    let others = names.iter().any(|name| name != NOTHING && name != UNFINISHED.as_bytes());
    Ok(if others { State::InUse } else { State::Empty })
}

fn copy(source: &OwnedFd, target: &OwnedFd) -> Result<(), Failure> {
    let volume = |action| Failure::system(action, b"of the volume");
    tree::remove(target, UNFINISHED).map_err(volume("removing the unfinished copy"))?;
    mkdirat(target, UNFINISHED, Mode::S_IRWXU).map_err(volume("making a directory"))?;
    let copy = open_beneath(target, UNFINISHED.as_bytes(), OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        .map_err(volume("opening a directory"))?;
    let (from, into) = (reopened(source)?, reopened(&copy)?);
    transfer(from, into)?;
    // What is renamed below has to be on the disk first.
    let disk = std::fs::File::from(copy);
    nix::unistd::syncfs(&disk).map_err(volume("flushing the file system"))?;
    renameat(target, UNFINISHED, target, WHOLE).map_err(volume("renaming a directory"))?;
    fsync(target).map_err(volume("flushing the directory"))
}

/// From one directory into another: one thread reads, this one writes.
fn transfer(from: OwnedFd, into: OwnedFd) -> Result<(), Failure> {
    let same = Ids::default();
    let rules =
        Rules { keep_types: false, owner: None, ids: &same, detail: Detail::Copy, shown: "/".to_owned() };
    let (full, pieces) = sync_channel(CHUNKS);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut sink = Sink::new(move |piece| full.send(piece).is_ok());
            Reader::new(&mut sink, &same, Detail::Copy).contents(from, Vec::new())?;
            sink.end()
        });
        let written = unpack(BufReader::new(Pieces { pieces, current: Vec::new(), at: 0 }), into, &rules);
        let read =
            reading.join().unwrap_or_else(|_| Err(Failure::Failed("reading the image stopped".to_owned())));
        match (read, written) {
            // Whoever saw the other one stop was not the cause.
            (Err(Failure::HungUp), Err(cause)) | (Err(cause), _) | (Ok(()), Err(cause)) => Err(cause),
            (Ok(()), Ok(())) => Ok(()),
        }
    })
}

/// What one thread wrote, as the other one reads it.
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.current.len() {
            // A thread that stopped looks like the end here; its own result tells them apart.
            self.current = self.pieces.recv().unwrap_or_default();
            self.at = 0;
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Moves a whole copy to its place and gives the volume the owner, mode and time of the image's directory.
fn settle(source: &OwnedFd, target: &OwnedFd) -> Result<(), Failure> {
    let volume = |action| Failure::system(action, b"of the volume");
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let whole = open_beneath(target, WHOLE.as_bytes(), flags).map_err(volume("opening a directory"))?;
    for name in names(&whole).map_err(volume("reading a directory"))? {
        let name = OsStr::from_bytes(&name);
        renameat(&whole, name, target, name).map_err(volume("moving a file"))?;
    }
    unlinkat(target, WHOLE, UnlinkatFlags::RemoveDir).map_err(volume("removing a directory"))?;
    let stat = fstat(source).map_err(volume("looking at the image's directory"))?;
    fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
        .map_err(volume("setting the owner"))?;
    fchmod(target, Mode::from_bits_truncate(stat.st_mode)).map_err(volume("setting the mode"))?;
    let time = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
    futimens(target, &time, &time).map_err(volume("setting the time"))?;
    fsync(target).map_err(volume("flushing the directory"))
}
