//! What a container is made of, gathered from the host at the moment it is started.

use crate::devices::{CDI_DIRECTORIES, cdi_edits, device_numbers, host_devices};
use crate::engine::Engine;
use hull_model::{ContainerRecord, ContainerState, ImageConfig, IpcMode, Name, NamespaceMode, SeccompChoice};
use hull_plan::oci;
use hull_ports::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A container's configuration, and what goes beside it.
pub(crate) struct Described {
    pub(crate) spec: oci_spec::runtime::Spec,
    /// Supplementary groups, those of its devices among them.
    pub(crate) groups: Vec<String>,
}

impl Engine {
    pub(crate) async fn describe(
        &self,
        record: &ContainerRecord,
        image: &ImageConfig,
        netns: Option<&Path>,
        volumes: &BTreeMap<Name, PathBuf>,
        etc: &BTreeMap<PathBuf, PathBuf>,
    ) -> Result<Described> {
        let spec = &record.spec;
        let capabilities = oci::capabilities(spec).map_err(invalid)?;
        let cdi = cdi_edits(&spec.cdi_devices, &CDI_DIRECTORIES)?;
        let input = oci::OciInput {
            id: &record.id,
            spec,
            image,
            netns,
            joined: self.joined(record).await?,
            volumes,
            etc,
            devices: &host_devices(spec)?,
            numbers: &device_numbers(&spec.resources)?,
            cdi: &cdi,
            seccomp: self.filter(record, &capabilities)?,
        };
        let described = oci::runtime_spec(&input).map_err(invalid)?;
        let groups = spec.group_add.iter().cloned().chain(cdi.groups.iter().map(u32::to_string));
        Ok(Described { spec: described, groups: groups.collect() })
    }

    fn filter(
        &self,
        record: &ContainerRecord,
        capabilities: &BTreeSet<String>,
    ) -> Result<Option<oci_spec::runtime::LinuxSeccomp>> {
        match &record.spec.seccomp {
            SeccompChoice::Unconfined => Ok(None),
            SeccompChoice::Default if record.spec.privileged => Ok(None),
            SeccompChoice::Default => Ok(Some((self.inner.settings.seccomp)(capabilities))),
            SeccompChoice::Profile(text) => {
                let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
                let architecture = match std::env::consts::ARCH {
                    "x86_64" => "amd64",
                    "aarch64" => "arm64",
                    other => other,
                };
                let kernel = oci::kernel_version(&release).unwrap_or((0, 0));
                let target = oci::SeccompTarget { capabilities, architecture, kernel };
                oci::seccomp_profile(text, target).map(Some).map_err(invalid)
            }
        }
    }

    /// The namespaces of other containers that this one uses.
    async fn joined(&self, record: &ContainerRecord) -> Result<oci::Joined> {
        let mut joined = oci::Joined::default();
        if let NamespaceMode::Container(other) = &record.spec.pid {
            let pid = self.runs(other, "PID").await?.1;
            joined.pid = Some(PathBuf::from(format!("/proc/{pid}/ns/pid")));
        }
        if let IpcMode::Container(other) = &record.spec.ipc {
            let (owner, pid) = self.runs(other, "IPC").await?;
            if !matches!(owner.spec.ipc, IpcMode::Shareable | IpcMode::Host) {
                return Err(Error::permanent(format!(
                    "failed to join IPC namespace: container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                    owner.id
                )));
            }
            joined.ipc = Some(PathBuf::from(format!("/proc/{pid}/ns/ipc")));
            joined.shm = Some(PathBuf::from(format!("/proc/{pid}/root/dev/shm")));
        }
        Ok(joined)
    }

    /// Another container, which must run, and its main process.
    async fn runs(&self, other: &str, kind: &str) -> Result<(ContainerRecord, i32)> {
        let owner = self.find(other).await?;
        match owner.state {
            ContainerState::Running { pid, .. } => Ok((owner, pid)),
            _ => Err(Error::conflict(format!(
                "failed to join {kind} namespace: container {} is not running",
                owner.id
            ))),
        }
    }
}

fn invalid(error: oci::OciError) -> Error {
    Error::permanent(error.to_string())
}
