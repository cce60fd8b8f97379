//! What is mounted in a container.

use super::{OciError, OciInput};
use hull_model::{IpcMode, MountKind, MountSpec};
use serde_json::{Value, json};
use std::path::{Component, Path, PathBuf};

/// Bytes of /dev/shm unless told otherwise.
const DEFAULT_SHM: u64 = 64 << 20;

/// All mounts in order: the kernel's own file systems, then the rest by the depth of their targets.
pub(super) fn mounts(input: &OciInput<'_>) -> Result<Vec<Value>, OciError> {
    let spec = input.spec;
    let own: Vec<PathBuf> = spec.mounts.iter().map(|mount| clean(&mount.target)).collect();
    let replaced = |target: &Path| {
        own.iter().any(|own| own == target || (own == Path::new("/dev") && target.starts_with("/dev")))
    };
    let mut mounts: Vec<Value> = kernel(input)?
        .into_iter()
        .filter(|mount| mount["destination"].as_str().is_none_or(|at| !replaced(Path::new(at))))
        .collect();
    let mut others: Vec<(PathBuf, Value)> = Vec::new();
    let mode = if spec.read_only { "ro" } else { "rw" };
    for (target, source) in input.etc.iter().filter(|(target, _)| !own.contains(target)) {
        let options = ["bind", "rprivate", mode];
        let mount = json!({ "destination": target, "type": "bind", "source": source, "options": options });
        others.push((target.clone(), mount));
    }
    for (mount, target) in spec.mounts.iter().zip(own) {
        others.push((target, user_mount(mount, input)?));
    }
    for mount in &input.cdi.mounts {
        let value = json!({
            "destination": mount.target, "type": mount.kind, "source": mount.source, "options": mount.options,
        });
        others.push((clean(&mount.target), value));
    }
    others.sort_by_key(|(target, _)| target.components().count());
    mounts.extend(others.into_iter().map(|(_, mount)| mount));
    Ok(mounts)
}

/// Without a `/` at its end or `.` in it.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn kernel(input: &OciInput<'_>) -> Result<Vec<Value>, OciError> {
    let spec = input.spec;
    let sys = if spec.privileged { "rw" } else { "ro" };
    let new = |target: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": source, "options": options });
    let mut mounts = vec![
        new("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        new("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        new(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        new("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        new("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys]),
        new("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", sys]),
    ];
    mounts.extend(shared_memory(input)?);
    Ok(mounts)
}

/// /dev/shm: the container's own, the host's, another container's, or none.
fn shared_memory(input: &OciInput<'_>) -> Result<Option<Value>, OciError> {
    let shared = |source: &Path, options: &[&str]| json!({ "destination": "/dev/shm", "type": "bind", "source": source, "options": options });
    Ok(Some(match &input.spec.ipc {
        IpcMode::None => return Ok(None),
        IpcMode::Host => shared(Path::new("/dev/shm"), &["rbind", "rprivate", "nodev"]),
        IpcMode::Container(_) => {
            let source = input.joined.shm.as_deref().ok_or(OciError::NotJoined("ipc"))?;
            shared(source, &["bind", "rprivate", "nosuid", "noexec", "nodev"])
        }
        IpcMode::Private | IpcMode::Shareable => {
            // The kernel takes 0 as no limit.
            let size = input.spec.shm_size.filter(|size| *size > 0).unwrap_or(DEFAULT_SHM);
            let options = ["nosuid", "noexec", "nodev", "mode=1777", &format!("size={size}")];
            json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": options })
        }
    }))
}

fn user_mount(mount: &MountSpec, input: &OciInput<'_>) -> Result<Value, OciError> {
    Ok(match &mount.kind {
        MountKind::Bind { source, .. } => bind(mount, source)?,
        MountKind::Volume { name } => {
            let path = input.volumes.get(name).ok_or_else(|| OciError::UnknownVolume(name.clone()))?;
            bind(mount, path)?
        }
        MountKind::Tmpfs { size, mode } => tmpfs(mount, *size, *mode)?,
    })
}

fn bind(mount: &MountSpec, source: &Path) -> Result<Value, OciError> {
    let options = &mount.options;
    let mut words = vec![if options.not_recursive { "bind" } else { "rbind" }.to_owned()];
    let propagation = options.propagation.as_deref().filter(|p| !p.is_empty()).unwrap_or("rprivate");
    if !["private", "rprivate", "slave", "rslave", "shared", "rshared"].contains(&propagation) {
        return Err(OciError::Propagation(propagation.to_owned()));
    }
    words.push(propagation.to_owned());
    words.push(
        match (mount.read_only, options.writable_below) {
            (false, _) => "rw",
            (true, false) => "rro",
            (true, true) => "ro",
        }
        .to_owned(),
    );
    if let Some(subpath) = options.subpath.as_deref().filter(|s| !s.is_empty()) {
        let inside =
            Path::new(subpath).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(OciError::Subpath(subpath.to_owned()));
        }
        words.push(format!("subpath={subpath}"));
    }
    Ok(json!({ "destination": mount.target, "type": "bind", "source": source, "options": words }))
}

fn tmpfs(mount: &MountSpec, size: Option<u64>, mode: Option<u32>) -> Result<Value, OciError> {
    let access = if mount.read_only { "ro" } else { "rw" };
    let mut words: Vec<String> = ["nosuid", "nodev", "noexec", access].map(str::to_owned).into();
    words.extend(size.map(|size| format!("size={size}")));
    words.extend(mode.map(|mode| format!("mode={mode:o}")));
    for option in &mount.options.tmpfs {
        if !is_tmpfs_option(option) {
            return Err(OciError::TmpfsOption(option.clone()));
        }
        words.push(option.clone());
    }
    Ok(json!({ "destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": words }))
}

/// What `--tmpfs` takes: flags of any mount, and the file system's own options.
fn is_tmpfs_option(option: &str) -> bool {
    const FLAGS: [&str; 21] = [
        "async",
        "atime",
        "defaults",
        "dev",
        "diratime",
        "exec",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "nomand",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "private",
        "relatime",
        "ro",
        "rprivate",
        "rw",
        "strictatime",
        "suid",
    ];
    match option.split_once('=') {
        None => FLAGS.contains(&option),
        Some((key, value)) => {
            ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"].contains(&key)
                && !value.is_empty()
        }
    }
}
