//! Bytes of files.

use crate::descend::{is, look};
use crate::failure::Failure;
use crate::layer::reopened;
use crate::reader::names;
use crate::tree::open_host;
use hull_sys::openat2::open_beneath;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::SFlag;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Directories in one another; each keeps a descriptor open.
const MAX_DEPTH: usize = 2048;

/// Bytes of everything in a directory but directories, as they say themselves (holes count); files with several names
/// count once. What vanishes meanwhile is not counted.
pub(crate) fn of(path: &Path) -> Result<u64, Failure> {
    let mut levels = vec![listed(reopened(&open_host(path)?)?)?];
    let mut seen = HashSet::new();
    let mut bytes = 0u64;
    while let Some((dir, left)) = levels.last_mut() {
        let Some(name) = left.pop() else {
            levels.pop();
            continue;
        };
        let stat = match look(&*dir, &name) {
            Err(Errno::ENOENT) => continue,
            stat => stat.map_err(Failure::system("lstat", &name))?,
        };
        if !is(&stat, SFlag::S_IFDIR) {
            if stat.st_nlink < 2 || seen.insert((stat.st_dev, stat.st_ino)) {
                bytes += u64::try_from(stat.st_size).unwrap_or(0);
            }
            continue;
        }
        match open_beneath(&*dir, &name, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            _ if levels.len() >= MAX_DEPTH => {
                return Err(Failure::Failed(format!("{} is too deep", path.display())));
            }
            dir => levels.push(listed(dir.map_err(Failure::system("open", &name))?)?),
        }
    }
    Ok(bytes)
}

fn listed(dir: OwnedFd) -> Result<(OwnedFd, Vec<Vec<u8>>), Failure> {
    let names = names(&dir).map_err(Failure::system("reading directory", b"of the layer"))?;
    Ok((dir, names))
}
