//! A container's files as one tree, mounted where nobody but its holder can see it.

use crate::descend::{make_directories, open_in};
use crate::failure::Failure;
use crate::ids::Ids;
use crate::live::{self, Live};
use crate::namespace::Keeper;
use hull_ports::{ContainerTree, TreeMount};
use hull_sys::mount::{self, FsContext, attr};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Nothing in a container's files means anything to the host: no device is opened, no program gains rights.
const INERT: u64 = attr::NODEV | attr::NOSUID | attr::NOEXEC;

/// What a tree is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
}

/// A tree. It vanishes with its descriptor.
pub(crate) struct Tree {
    pub(crate) root: OwnedFd,
    pub(crate) ids: Ids,
    /// Where the kernel cannot mount on what is mounted nowhere.
    _keeper: Option<Keeper>,
}

impl Tree {
    /// Assembles a container's files: of a running one as it sees them, of another one from its directories.
    pub(crate) fn open(tree: &ContainerTree, purpose: Purpose) -> Result<Self, Failure> {
        if let Some(pid) = tree.pid
            && let Some(Live { root, mounts, ids }) = live::take(tree, pid)?
        {
            return assemble(tree, root, mounts, ids);
        }
        let sources = || tree.mounts.iter().map(source).collect::<Result<Vec<_>, Failure>>();
        let root = match purpose {
            Purpose::Read => read_only(std::iter::once(&tree.rootfs.upper).chain(&tree.rootfs.lower))?,
            Purpose::Write => writable(tree)?,
        };
        match assemble(tree, root, sources()?, Ids::default()) {
            // A place for a volume is missing and has to be made, as it will be when the container starts.
            Err(Failure::Invalid(_)) if purpose == Purpose::Read => {
                assemble(tree, writable(tree)?, sources()?, Ids::default())
            }
            result => result,
        }
    }

    /// Assembles directories, topmost first, that are only read.
    pub(crate) fn of<'a>(layers: impl IntoIterator<Item = &'a PathBuf>) -> Result<Self, Failure> {
        Ok(Self { root: read_only(layers)?, ids: Ids::default(), _keeper: None })
    }

    pub(crate) fn root_stat(&self) -> Result<FileStat, Failure> {
        fstat(&self.root).map_err(Failure::system("looking at", b"/"))
    }
}

fn assemble(tree: &ContainerTree, root: OwnedFd, mounts: Vec<OwnedFd>, ids: Ids) -> Result<Tree, Failure> {
    let system = |action| Failure::io(action, b"/");
    mount::set_attributes(root.as_fd(), INERT, 0, false, None).map_err(system("restricting"))?;
    for (mount, told) in mounts.iter().zip(&tree.mounts) {
        let attributes = INERT | if told.read_only { attr::RDONLY } else { 0 };
        mount::set_attributes(mount.as_fd(), attributes, 0, true, None)
            .map_err(Failure::io("restricting", bytes(&told.target)))?;
    }
    let root = Rc::new(root);
    let keeper = match attach_all(&root, &tree.mounts, &mounts) {
        Ok(()) => None,
        Err(Attaching::Unsupported) => Some(attach_in_namespace(&root, &tree.mounts, mounts)?),
        Err(Attaching::Failed(failure)) => return Err(failure),
    };
    if tree.read_only {
        mount::set_attributes(root.as_fd(), attr::RDONLY, 0, false, None).map_err(system("restricting"))?;
    }
    let root = Rc::try_unwrap(root).map_err(|_| Failure::Failed("the root is still in use".to_owned()))?;
    Ok(Tree { root, ids, _keeper: keeper })
}

enum Attaching {
    /// The kernel does not mount on what is mounted nowhere.
    Unsupported,
    Failed(Failure),
}

impl From<Failure> for Attaching {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The same on older kernels: there only what is in the mount namespace of the caller can be mounted on.
fn attach_in_namespace(root: &OwnedFd, told: &[TreeMount], mounts: Vec<OwnedFd>) -> Result<Keeper, Failure> {
    let copy = || root.try_clone().map_err(Failure::io("opening", b"/"));
    let (held, seen, told) = (copy()?, copy()?, told.to_vec());
    Keeper::start(held, move || match attach_all(&Rc::new(seen), &told, &mounts) {
        Ok(()) => Ok(()),
        Err(Attaching::Failed(failure)) => Err(failure),
        Err(Attaching::Unsupported) => {
            Err(Failure::Failed("mounting the volumes of the container: invalid argument".to_owned()))
        }
    })
}

fn attach_all(root: &Rc<OwnedFd>, told: &[TreeMount], mounts: &[OwnedFd]) -> Result<(), Attaching> {
    for (mount, told) in mounts.iter().zip(told) {
        let path = bytes(&told.target);
        let place = place(root, path, mount)?;
        mount::attach(mount.as_fd(), place.as_fd()).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => Attaching::Unsupported,
            _ => Attaching::Failed(Failure::io("mounting a volume on", path)(error)),
        })?;
    }
    Ok(())
}

/// Where a volume belongs; made if it is missing.
fn place(root: &Rc<OwnedFd>, path: &[u8], mount: &OwnedFd) -> Result<OwnedFd, Failure> {
    match open_in(root.as_fd(), path, OFlag::O_PATH) {
        Err(Errno::ENOENT) => {}
        result => return result.map_err(Failure::system("opening", path)),
    }
    let parts = crate::path::clean(path);
    let making = || Failure::system("making a place for a volume at", path);
    let stat = fstat(mount).map_err(making())?;
    if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
        make_directories(root, path).map_err(making())?;
    } else if let Some((name, parents)) = parts.split_last() {
        let parent = make_directories(root, &parents.join(&b'/')).map_err(making())?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&parent, OsStr::from_bytes(name), flags, Mode::from_bits_truncate(0o644)).map_err(making())?;
    }
    open_in(root.as_fd(), path, OFlag::O_PATH).map_err(Failure::system("opening", path))
}

fn source(told: &TreeMount) -> Result<OwnedFd, Failure> {
    let dir = open_host(&told.source)?;
    mount::clone_tree(dir.as_fd(), c"", true, true).map_err(Failure::io("opening", bytes(&told.source)))
}

/// An overlay of directories, topmost first, that cannot be written; a single one is copied as it is mounted.
fn read_only<'a>(layers: impl IntoIterator<Item = &'a PathBuf>) -> Result<OwnedFd, Failure> {
    let layers: Vec<&PathBuf> = layers.into_iter().collect();
    if let [only] = layers.as_slice() {
        let tree = mount::clone_tree(open_host(only)?.as_fd(), c"", false, true)
            .map_err(Failure::io("opening", bytes(only)))?;
        mount::set_attributes(tree.as_fd(), INERT | attr::RDONLY, 0, false, None)
            .map_err(Failure::io("restricting", bytes(only)))?;
        return Ok(tree);
    }
    overlay(
        |context| layers.iter().try_for_each(|layer| set_layer(context, c"lowerdir+", layer)),
        attr::RDONLY,
    )
}

fn writable(tree: &ContainerTree) -> Result<OwnedFd, Failure> {
    overlay(
        |context| {
            tree.rootfs.lower.iter().try_for_each(|layer| set_layer(context, c"lowerdir+", layer))?;
            set_layer(context, c"upperdir", &tree.rootfs.upper)?;
            set_layer(context, c"workdir", &tree.rootfs.work)
        },
        0,
    )
}

fn overlay(
    configure: impl FnOnce(&FsContext) -> Result<(), Failure>,
    attributes: u64,
) -> Result<OwnedFd, Failure> {
    let context = FsContext::open(c"overlay").map_err(Failure::io("making", b"an overlay"))?;
    configure(&context)?;
    context.mount(attributes | INERT).map_err(|error| {
        let said = context.message();
        Failure::Failed(format!(
            "mounting an overlay: {error}{}{said}",
            if said.is_empty() { "" } else { ": " }
        ))
    })
}

fn set_layer(context: &FsContext, key: &CStr, path: &Path) -> Result<(), Failure> {
    let dir = open_host(path)?;
    let result = match context.fd(key, dir.as_fd()) {
        // Before Linux 6.13 layers are only taken by name.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let name = CString::new(bytes(path))
                .map_err(|_| Failure::Invalid("a layer's path has a zero byte".to_owned()))?;
            context.string(key, &name)
        }
        result => result,
    };
    result.map_err(Failure::io("taking as a layer", bytes(path)))
}

/// Opens a path of the host's own: a layer, or a volume as the engine names it.
pub(crate) fn open_host(path: &Path) -> Result<OwnedFd, Failure> {
    nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Failure::system("opening", bytes(path)))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_ports::Rootfs;
    use std::fs;

    #[test]
    fn older_kernels_get_a_namespace_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let rootfs = Rootfs { lower: vec![at("lower")], upper: at("an upper, one"), work: at("work") };
        let told = TreeMount { source: at("volume"), target: "/a/volume".into(), read_only: false };
        fs::write(told.source.join("file"), "in the volume").unwrap();
        let tree = ContainerTree { rootfs, read_only: false, mounts: vec![told], pid: None };
        let root = writable(&tree).unwrap();
        let mounts = vec![source(&tree.mounts[0]).unwrap()];
        let keeper = attach_in_namespace(&root, &tree.mounts, mounts).unwrap();
        let file = open_in(root.as_fd(), b"a/volume/file", OFlag::O_RDONLY).unwrap();
        assert_eq!(fstat(&file).unwrap().st_size, 13);
        drop(keeper);
        assert_eq!(open_in(root.as_fd(), b"a/volume/file", OFlag::O_RDONLY).unwrap_err(), Errno::ENOENT);
        let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!host.contains(dir.path().to_str().unwrap()));
        // An overlay of descriptors is recognised by the path of its upper directory.
        let (tell, told) = std::sync::mpsc::channel();
        drop(root);
        let keeper = Keeper::start(writable(&tree).unwrap(), move || {
            tell.send(fs::read_to_string("/proc/thread-self/mountinfo").unwrap()).unwrap();
            Ok(())
        });
        drop(keeper.unwrap());
        assert!(live::same_upper(&told.recv().unwrap(), &tree.rootfs.upper));
    }
}
