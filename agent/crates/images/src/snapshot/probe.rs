//! Whether this kernel mounts what this crate writes, from the file system that the store is on.

use super::mounts;
use crate::erofs::{self, Device};
use crate::tree::{Contents, Extent, Node, ROOT, Tree, What};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// What the file that is tried has in it.
const CONTENT: &[u8; 512] = &[0x68; 512];

/// Tries it with files in `dir`, which is empty. Says why it does not work.
pub(crate) fn can_mount(dir: &Path) -> io::Result<()> {
    let mut tree = Tree::new();
    let extent = Extent { offset: 0, length: 512, source: 0, position: 0 };
    let what = What::File(Contents { size: 512, extents: vec![extent] });
    let file = tree.push(Node { what, ..Node::implied_directory((0, 0)) });
    tree.link(ROOT, b"f", file);
    let device = Device { tag: "probe".to_owned(), size: 512 };
    let (index, data) = (dir.join("index"), dir.join("data"));
    fs::write(&index, erofs::write(&tree, &[device], [0; 16]))?;
    fs::write(&data, CONTENT)?;
    let mount = mounts::open(&index, std::slice::from_ref(&data))?;
    let mut found = Vec::new();
    let opened = openat(&mount, "f", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    File::from(opened).read_to_end(&mut found)?;
    if found == CONTENT { Ok(()) } else { Err(io::Error::other("the kernel reads something else")) }
}
