//! What a container changed, as a layer (OCI image specification, "Layer Filesystem Changeset").

use crate::difference::{Difference, differences};
use crate::failure::Failure;
use crate::ids::Ids;
use crate::reader::{Detail, Reader};
use crate::sink::Sink;
use crate::tree::{Tree, open_host};
use hull_ports::{Change, ChangeKind, Rootfs};
use hull_sys::openat2::open_beneath;
use hull_tar::layer::{OPAQUE, WHITEOUT};
use hull_tar::{Entry, Kind};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Paths that are not as in the image.
pub(crate) fn changes(rootfs: &Rootfs) -> Result<Vec<Change>, Failure> {
    let found = compare(rootfs)?.1;
    Ok(found
        .into_iter()
        .map(|one| Change { path: format!("/{}", String::from_utf8_lossy(&one.path)), kind: one.kind })
        .collect())
}

/// The differences as entries: what is gone becomes a whiteout, a directory that hides what was below it gets an opaque mark.
pub(crate) fn write(rootfs: &Rootfs, sink: &mut Sink) -> Result<(), Failure> {
    let (upper, found) = compare(rootfs)?;
    let same = Ids::default();
    // One reader for all of them: it knows which names are links to the same file.
    let mut writer = Writer { upper, reader: Reader::new(sink, &same, Detail::Archive) };
    for one in found.iter().filter(|one| !one.implied) {
        if one.kind == ChangeKind::Deleted {
            let (parent, name) = split(&one.path);
            writer.reader.mark(&mark(parent, &[WHITEOUT, name].concat()))?;
            continue;
        }
        writer.object(one)?;
        if one.opaque {
            writer.reader.mark(&mark(&one.path, OPAQUE))?;
        }
    }
    Ok(())
}

struct Writer<'a> {
    upper: OwnedFd,
    reader: Reader<'a>,
}

impl Writer<'_> {
    fn object(&mut self, one: &Difference) -> Result<(), Failure> {
        let (parent, name) = split(&one.path);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let dir = match open_beneath(&self.upper, parent, flags) {
            // The container goes on meanwhile.
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
            dir => dir.map_err(Failure::system("open", parent))?,
        };
        self.reader.object(dir.as_fd(), name, &mut one.path.clone()).map(drop)
    }
}

fn compare(rootfs: &Rootfs) -> Result<(OwnedFd, Vec<Difference>), Failure> {
    let upper = open_dir(&rootfs.upper)?;
    let lower = Tree::of(&rootfs.lower)?;
    let found = differences(reopened(&upper)?, reopened(&lower.root)?)?;
    Ok((upper, found))
}

fn open_dir(path: &Path) -> Result<OwnedFd, Failure> {
    reopened(&open_host(path)?)
}

/// The same directory, to be listed.
pub(crate) fn reopened(dir: &OwnedFd) -> Result<OwnedFd, Failure> {
    open_beneath(dir, b"", OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(Failure::system("open", b"/"))
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// An empty file whose name says something about others.
fn mark(parent: &[u8], name: &[u8]) -> Entry {
    let path = if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() };
    Entry {
        path,
        kind: Kind::File,
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        size: 0,
        sparse: None,
        xattrs: Vec::new(),
    }
}
