//! Mount options of an OCI configuration.

use super::{container_path, refused};
use crate::failure::Result;
use hull_sys::mount::attr;
use oci_spec::runtime::Mount;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Where it is on the host.
        source: PathBuf,
        /// With everything mounted below it.
        recursive: bool,
        /// Only this part of it, without leaving it by a link.
        subpath: Option<PathBuf>,
    },
    /// A new instance of a file system.
    New {
        /// Its type.
        fstype: String,
        /// Options of the file system, with or without a value.
        options: Vec<(String, Option<String>)>,
    },
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Absolute path in the container, without `..`.
    pub target: PathBuf,
    /// What it shows.
    pub kind: MountKind,
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// Of those, what is not set on mounts below the source of a bind.
    pub top_only: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// How mounts below a bind and its source affect each other.
    pub propagation: Propagation,
    /// It shows devices of the host, so that the kernel has to keep to the rules for them.
    pub shows_devices: bool,
    /// No part of the target may be a symbolic link: for the kernel's own file systems, which an image must not redirect.
    pub strict: bool,
}

/// How mounts that are made later on spread (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// From the host to the container.
    Slave,
    /// Both ways.
    Shared,
}

pub(super) fn plan(mounts: &[Mount], own_nodes: bool) -> Result<Vec<MountPlan>> {
    mounts.iter().map(|mount| plan_one(mount, own_nodes)).collect()
}

/// Options as they are read, before they are judged together.
#[derive(Default)]
struct Options {
    set: u64,
    clear: u64,
    top_only: u64,
    bind: Option<bool>,
    propagation: Propagation,
    nodev: bool,
    subpath: Option<PathBuf>,
    dev: bool,
    rest: Vec<(String, Option<String>)>,
}

fn plan_one(mount: &Mount, own_nodes: bool) -> Result<MountPlan> {
    let target = container_path(mount.destination(), "mounts")?;
    if target == Path::new("/") {
        return Err(refused("mounts", "nothing can be mounted on /"));
    }
    let mut options = Options::default();
    for option in mount.options().iter().flatten() {
        options.read(option, &target)?;
    }
    let fstype = mount.typ().clone().unwrap_or_default();
    let recursive = if fstype == "bind" && options.bind.is_none() { Some(false) } else { options.bind };
    // Terminals are devices, and so is what is below the host's /dev; everything else shows none unless it was asked for.
    let devices = recursive.is_some() && !options.nodev && shows_devices(mount, &target);
    if fstype != "devpts" && !options.dev && !own_nodes && !devices {
        options.set |= attr::NODEV;
    }
    let kind = match recursive {
        Some(recursive) => bind(mount, recursive, &mut options, &target)?,
        None if options.propagation != Propagation::Private => {
            let at = target.display();
            return Err(refused("mounts", format!("a {fstype} on {at} has nothing to share mounts with")));
        }
        None => new(&fstype, std::mem::take(&mut options.rest), &target)?,
    };
    let shows_devices = devices && options.set & attr::NODEV == 0;
    let strict = matches!(&kind, MountKind::New { fstype, .. } if fstype != "tmpfs")
        || ["/proc", "/sys", "/dev"].iter().any(|p| Path::new(p) == target);
    Ok(MountPlan {
        target,
        kind,
        set: options.set,
        clear: options.clear & !options.set,
        top_only: options.top_only & options.set,
        propagation: options.propagation,
        shows_devices,
        strict,
    })
}

/// Whether a bind is one of the host's devices.
fn shows_devices(mount: &Mount, target: &Path) -> bool {
    let below_dev = |path: &Path| path.starts_with("/dev");
    mount.source().as_deref().is_some_and(below_dev) || below_dev(target)
}

fn bind(mount: &Mount, recursive: bool, options: &mut Options, target: &Path) -> Result<MountKind> {
    let at = target.display();
    if let Some((name, _)) = options.rest.first() {
        return Err(refused("mounts", format!("option {name:?} of the bind mount on {at} is not known")));
    }
    let source = mount.source().clone().filter(|s| s.is_absolute());
    let source = source
        .ok_or_else(|| refused("mounts", format!("the bind mount on {at} needs an absolute source")))?;
    Ok(MountKind::Bind { source, recursive, subpath: options.subpath.take() })
}

fn new(fstype: &str, options: Vec<(String, Option<String>)>, target: &Path) -> Result<MountKind> {
    match fstype {
        // The container's part of the unified hierarchy, whichever name is used for it.
        "cgroup" | "cgroup2" => Ok(MountKind::New { fstype: "cgroup2".to_owned(), options }),
        "proc" | "sysfs" | "tmpfs" | "devpts" | "mqueue" | "overlay" | "ramfs" => {
            Ok(MountKind::New { fstype: fstype.to_owned(), options })
        }
        other => Err(refused(
            "mounts",
            format!("file system type {other:?} on {} is not supported", target.display()),
        )),
    }
}

impl Options {
    fn read(&mut self, option: &str, target: &Path) -> Result<()> {
        let mut attribute = |name: &str| match name {
            "ro" => {
                self.top_only |= attr::RDONLY;
                Some((attr::RDONLY, 0))
            }
            "rro" => {
                self.top_only &= !attr::RDONLY;
                Some((attr::RDONLY, 0))
            }
            "rw" | "rrw" => Some((0, attr::RDONLY)),
            "nosuid" => Some((attr::NOSUID, 0)),
            "suid" => Some((0, attr::NOSUID)),
            "nodev" => {
                self.nodev = true;
                Some((attr::NODEV, 0))
            }
            "noexec" => Some((attr::NOEXEC, 0)),
            "exec" => Some((0, attr::NOEXEC)),
            "nodiratime" => Some((attr::NODIRATIME, 0)),
            "diratime" => Some((0, attr::NODIRATIME)),
            "nosymfollow" => Some((attr::NOSYMFOLLOW, 0)),
            "symfollow" => Some((0, attr::NOSYMFOLLOW)),
            "relatime" | "norelatime" | "nostrictatime" | "atime" => Some((0, attr::ATIME)),
            "noatime" => Some((attr::NOATIME, attr::ATIME)),
            "strictatime" => Some((attr::STRICTATIME, attr::ATIME)),
            _ => None,
        };
        if let Some((set, clear)) = attribute(option) {
            // The last word on a property counts.
            self.clear = (self.clear & !set) | clear;
            self.set = (self.set & !clear) | set;
            return Ok(());
        }
        match option {
            "defaults" | "async" | "nomand" | "" => {}
            "dev" => {
                self.dev = true;
                self.set &= !attr::NODEV;
                self.clear |= attr::NODEV;
            }
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            // What is below a bind spreads as the bind itself does.
            "private" | "rprivate" => self.propagation = Propagation::Private,
            "slave" | "rslave" => self.propagation = Propagation::Slave,
            "shared" | "rshared" => self.propagation = Propagation::Shared,
            "unbindable" | "runbindable" | "remount" | "tmpcopyup" | "idmap" | "ridmap" => {
                return Err(refused(
                    "mounts",
                    format!("option {option:?} of {} is not supported", target.display()),
                ));
            }
            other if other.starts_with("subpath=") => {
                self.subpath = Some(subpath(&other["subpath=".len()..], target)?)
            }
            other => self.rest.push(match other.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (other.to_owned(), None),
            }),
        }
        Ok(())
    }
}

/// A relative path that names something inside a source.
fn subpath(text: &str, target: &Path) -> Result<PathBuf> {
    let path = Path::new(text);
    let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if text.is_empty() || !inside {
        let at = target.display();
        return Err(refused("mounts", format!("{text:?} is not a path inside the source of {at}")));
    }
    Ok(path.to_owned())
}
