//! Which namespaces are made, shared with the host, or joined.

use super::{OciError, OciInput};
use hull_model::{IpcMode, NamespaceMode, NetworkMode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Namespaces of other containers, for the modes that name one. Namespaces are files as `/proc/PID/ns/ipc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// For [`NamespaceMode::Container`] of `pid`.
    pub pid: Option<PathBuf>,
    /// For [`IpcMode::Container`].
    pub ipc: Option<PathBuf>,
    /// With it: the other container's /dev/shm, as `/proc/PID/root/dev/shm`.
    pub shm: Option<PathBuf>,
}

/// The namespaces of the OCI configuration. Those that are the host's are left out.
pub(super) fn namespaces(input: &OciInput<'_>) -> Result<Vec<Value>, OciError> {
    let spec = input.spec;
    let own = |kind: &str| json!({ "type": kind });
    let joined = |kind: &'static str, path: Option<&Path>| -> Result<Value, OciError> {
        let path = path.ok_or(OciError::NotJoined(kind))?;
        Ok(json!({ "type": kind, "path": path }))
    };
    let mut list = vec![own("mount")];
    match &spec.pid {
        NamespaceMode::Private => list.push(own("pid")),
        NamespaceMode::Host => {}
        NamespaceMode::Container(_) => list.push(joined("pid", input.joined.pid.as_deref())?),
    }
    match &spec.ipc {
        IpcMode::Private | IpcMode::Shareable | IpcMode::None => list.push(own("ipc")),
        IpcMode::Host => {}
        IpcMode::Container(_) => list.push(joined("ipc", input.joined.ipc.as_deref())?),
    }
    if spec.uts == NamespaceMode::Private {
        list.push(own("uts"));
    }
    if spec.cgroupns == NamespaceMode::Private {
        list.push(own("cgroup"));
    }
    match (&spec.network, input.netns) {
        (NetworkMode::Host, _) => {}
        (NetworkMode::Private, None) => list.push(own("network")),
        (NetworkMode::Private | NetworkMode::Container(_), path) => list.push(joined("network", path)?),
    }
    Ok(list)
}
