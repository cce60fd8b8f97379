//! Mount options of an OCI configuration.

use super::{container_path, refused};
use crate::failure::Result;
use hull_sys::mount::attr;
use oci_spec::runtime::Mount;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Where it is on the host.
        source: PathBuf,
        /// With everything mounted below it.
        recursive: bool,
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
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// Mounts made on the host below the source later on appear in the container.
    pub slave: bool,
    /// No part of the target may be a symbolic link: for the kernel's own file systems, which an image must not redirect.
    pub strict: bool,
}

pub(super) fn plan(mounts: &[Mount], all_devices: bool) -> Result<Vec<MountPlan>> {
    mounts.iter().map(|mount| plan_one(mount, all_devices)).collect()
}

/// Options as they are read, before they are judged together.
#[derive(Default)]
struct Options {
    set: u64,
    clear: u64,
    bind: Option<bool>,
    slave: bool,
    dev: bool,
    rest: Vec<(String, Option<String>)>,
}

fn plan_one(mount: &Mount, all_devices: bool) -> Result<MountPlan> {
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
    // Terminals are devices; everything else shows none unless it was asked for.
    if fstype != "devpts" && !options.dev && !all_devices {
        options.set |= attr::NODEV;
    }
    let kind = match recursive {
        Some(recursive) => bind(mount, recursive, &options, &target)?,
        None => new(&fstype, options.rest, &target)?,
    };
    let strict = matches!(&kind, MountKind::New { fstype, .. } if fstype != "tmpfs")
        || ["/proc", "/sys", "/dev"].iter().any(|p| Path::new(p) == target);
    Ok(MountPlan {
        target,
        kind,
        set: options.set,
        clear: options.clear & !options.set,
        slave: options.slave,
        strict,
    })
}

fn bind(mount: &Mount, recursive: bool, options: &Options, target: &Path) -> Result<MountKind> {
    let at = target.display();
    if let Some((name, _)) = options.rest.first() {
        return Err(refused("mounts", format!("option {name:?} of the bind mount on {at} is not known")));
    }
    let source = mount.source().clone().filter(|s| s.is_absolute());
    let source = source
        .ok_or_else(|| refused("mounts", format!("the bind mount on {at} needs an absolute source")))?;
    Ok(MountKind::Bind { source, recursive })
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
        let attribute = |name: &str| match name {
            "ro" | "rro" => Some((attr::RDONLY, 0)),
            "rw" | "rrw" => Some((0, attr::RDONLY)),
            "nosuid" => Some((attr::NOSUID, 0)),
            "suid" => Some((0, attr::NOSUID)),
            "nodev" => Some((attr::NODEV, 0)),
            "noexec" => Some((attr::NOEXEC, 0)),
            "exec" => Some((0, attr::NOEXEC)),
            "nodiratime" => Some((attr::NODIRATIME, 0)),
            "diratime" => Some((0, attr::NODIRATIME)),
            "nosymfollow" => Some((attr::NOSYMFOLLOW, 0)),
            "symfollow" => Some((0, attr::NOSYMFOLLOW)),
            "relatime" | "norelatime" => Some((0, attr::ATIME)),
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
            "defaults" | "async" | "nomand" | "private" | "rprivate" | "" => {}
            "dev" => {
                self.dev = true;
                self.set &= !attr::NODEV;
                self.clear |= attr::NODEV;
            }
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "slave" | "rslave" => self.slave = true,
            "shared" | "rshared" | "unbindable" | "runbindable" | "remount" | "tmpcopyup" | "idmap"
            | "ridmap" => {
                return Err(refused(
                    "mounts",
                    format!("option {option:?} of {} is not supported", target.display()),
                ));
            }
            other => self.rest.push(match other.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (other.to_owned(), None),
            }),
        }
        Ok(())
    }
}
