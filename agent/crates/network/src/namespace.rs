//! Namespaces of containers: made ahead of time, kept by bind mounts that outlive the agent.

use crate::error::{Failure, Outcome};
use crate::netlink::{Batch, Socket};
use crate::{links, nft, sysctl};
use hull_model::ContainerId;
use hull_sys::netns;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, DirBuilder, File};
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The resolver's sockets inside a namespace.
#[derive(Debug)]
pub(crate) struct ResolverSockets {
    pub(crate) udp: UdpSocket,
    pub(crate) tcp: TcpListener,
}

/// A namespace that no container has yet: loopback up, resolver bound, its redirect in place.
#[derive(Debug)]
pub(crate) struct Blank {
    pub(crate) file: File,
    /// Route netlink inside it.
    pub(crate) route: Socket,
    pub(crate) resolver: ResolverSockets,
}

/// Makes a namespace.
pub(crate) fn make() -> Outcome<Blank> {
    let (file, (route, resolver)) = netns::create(|| {
        sysctl::prepare_namespace()?;
        let mut route = Socket::route()?;
        let mut batch = Batch::default();
        batch.push(links::raise(1), "bringing a namespace's loopback up");
        route.transact(batch)?;
        Ok::<_, Failure>((route, open_resolver(false)?))
    })?;
    Ok(Blank { file, route, resolver })
}

/// Opens the resolver's sockets again in a namespace that a container has, and redirects to them.
pub(crate) fn reopen_resolver(path: &Path) -> Outcome<ResolverSockets> {
    let file = File::open(path).map_err(Failure::system(format!("opening namespace {}", path.display())))?;
    netns::enter(file.as_fd(), || open_resolver(true))
}

fn open_resolver(again: bool) -> Outcome<ResolverSockets> {
    let any = SocketAddrV4::new(nft::resolver::ADDRESS, 0);
    let udp = UdpSocket::bind(any).map_err(Failure::system("binding the resolver in a namespace"))?;
    let tcp = TcpListener::bind(any).map_err(Failure::system("binding the resolver in a namespace"))?;
    let ports = udp.local_addr().and_then(|u| Ok((u.port(), tcp.local_addr()?.port())));
    let (udp_port, tcp_port) = ports.map_err(Failure::system("asking for the resolver's port"))?;
    udp.set_nonblocking(true)
        .and_then(|()| tcp.set_nonblocking(true))
        .map_err(Failure::system("preparing the resolver"))?;
    Socket::netfilter(0)?.transact(nft::resolver::install(udp_port, tcp_port, again))?;
    Ok(ResolverSockets { udp, tcp })
}

/// The directory with one mounted namespace per container: a mount point of its own, private, so that nothing of it
/// propagates anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// Makes the directory and mounts it on itself unless that was done.
    pub(crate) fn open(run_dir: &Path) -> Outcome<Self> {
        fs::create_dir_all(run_dir).map_err(Failure::system(format!("making {}", run_dir.display())))?;
        let run_dir =
            fs::canonicalize(run_dir).map_err(Failure::system(format!("finding {}", run_dir.display())))?;
        let shelf = Self { directory: run_dir.join("netns") };
        shelf.ensure()?;
        Ok(shelf)
    }

    /// Makes what `remove` removed.
    pub(crate) fn ensure(&self) -> Outcome<()> {
        let directory = &self.directory;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(Failure::system(format!("making {}", directory.display())))?;
        if !self.is_mount_point()? {
            self.mount(Some(directory), directory, MsFlags::MS_BIND)?;
        }
        self.mount(None, directory, MsFlags::MS_PRIVATE)
    }

    fn is_mount_point(&self) -> Outcome<bool> {
        let table = fs::read_to_string("/proc/thread-self/mountinfo")
            .map_err(Failure::system("reading /proc/thread-self/mountinfo"))?;
        let wanted = escape(&self.directory);
        Ok(table.lines().any(|line| line.split(' ').nth(4) == Some(wanted.as_str())))
    }

    fn mount(&self, source: Option<&Path>, target: &Path, flags: MsFlags) -> Outcome<()> {
        mount(source, target, None::<&str>, flags, None::<&str>)
            .map_err(Failure::errno(format!("mounting {}", target.display())))
    }

    /// Where a container's namespace is.
    pub(crate) fn path(&self, container: &ContainerId) -> PathBuf {
        self.directory.join(container.as_str())
    }

    /// Puts a namespace there.
    pub(crate) fn keep(&self, container: &ContainerId, namespace: &File) -> Outcome<PathBuf> {
        let path = self.path(container);
        File::create(&path).map_err(Failure::system(format!("making {}", path.display())))?;
        let source = PathBuf::from(format!("/proc/thread-self/fd/{}", namespace.as_raw_fd()));
        self.mount(Some(&source), &path, MsFlags::MS_BIND).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })?;
        Ok(path)
    }

    /// Whether the container's namespace is there. After a reboot the file may be there without it.
    pub(crate) fn has(&self, container: &ContainerId) -> bool {
        const NSFS_MAGIC: nix::sys::statfs::FsType = nix::sys::statfs::NSFS_MAGIC;
        nix::sys::statfs::statfs(&self.path(container)).is_ok_and(|s| s.filesystem_type() == NSFS_MAGIC)
    }

    /// Lets go of a container's namespace. What still uses it keeps it.
    pub(crate) fn release(&self, name: &str) -> Outcome<()> {
        let path = self.directory.join(name);
        loop {
            match umount2(&path, MntFlags::MNT_DETACH) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENOENT) => break,
                Err(errno) => return Err(Failure::errno(format!("unmounting {}", path.display()))(errno)),
            }
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::system(format!("removing {}", path.display()))(error))
            }
            _ => Ok(()),
        }
    }

    /// Names of all files there.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        let what = || format!("reading {}", self.directory.display());
        let entries = fs::read_dir(&self.directory).map_err(Failure::system(what()))?;
        entries
            .map(|entry| {
                Ok(entry.map_err(Failure::system(what()))?.file_name().to_string_lossy().into_owned())
            })
            .collect()
    }

    /// Unmounts and removes the directory itself.
    pub(crate) fn remove(&self) -> Outcome<()> {
        for name in self.names()? {
            self.release(&name)?;
        }
        let what = || format!("removing {}", self.directory.display());
        match umount2(&self.directory, MntFlags::MNT_DETACH) {
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(Failure::errno(what())(errno)),
        }
        fs::remove_dir(&self.directory).map_err(Failure::system(what()))
    }
}

/// As in /proc/thread-self/mountinfo.
fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}
