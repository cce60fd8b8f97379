//! Starting a container: root file system, network, files below /etc, then the process.

use crate::engine::Engine;
use crate::ledger::{Durability, Ledger};
use hull_model::{
    ContainerId, ContainerRecord, ContainerState, ExitStatus, ImageConfig, MountKind, Name, NetworkRecord,
    SeccompChoice,
};
use hull_plan::{failures_in_a_row, oci};
use hull_ports::{Bundle, Endpoint, Error, ErrorClass, Result, SandboxSpec, Started};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl Engine {
    /// Starts a container that does not run. `restart` says that its policy asks for it, which counts against it.
    pub async fn start_container(&self, id: &ContainerId, restart: bool) -> Result<()> {
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let missing = || Error::not_found(format!("No such container: {id}"));
        let record = self.stored(id).await?.ok_or_else(missing)?;
        if self.containers().await?.iter().any(|c| c.id == *id && c.state.is_running()) {
            return Ok(());
        }
        let restarts = if restart { next_restart(&record) } else { 0 };
        let record = ContainerRecord { restarts, wanted: true, ..record };
        match self.launch(&record).await {
            Ok(started) => {
                let state = ContainerState::Running { pid: started.pid, started: started.at, paused: false };
                let record = ContainerRecord { state, ..record };
                self.put(record.clone(), Durability::Relaxed).await?;
                self.publish("container", "start", &record, BTreeMap::new());
                self.changed();
                self.settle_if_ended(&record).await
            }
            Err(error) => self.not_started(record, error).await,
        }
    }

    /// A process may end before its start is written down; then its event found nothing to settle.
    async fn settle_if_ended(&self, record: &ContainerRecord) -> Result<()> {
        let processes = self.inner.drivers.runtime.list().await?;
        let ended = processes.into_iter().find(|p| p.id == record.id).and_then(|p| p.exit);
        let (Some((exit, at)), ContainerState::Running { started, .. }) = (ended, &record.state) else {
            return Ok(());
        };
        self.inner.drivers.networks.detach(&record.id).await?;
        let attributes = BTreeMap::from([("exitCode".to_owned(), exit.code.to_string())]);
        let state = ContainerState::Exited { exit, started: Some(*started), finished: at };
        let record = ContainerRecord { state, ..record.clone() };
        self.put(record.clone(), Durability::Relaxed).await?;
        self.publish("container", "die", &record, attributes);
        self.changed();
        Ok(())
    }

    /// Takes back what was made for a start that failed, and remembers why it failed.
    async fn not_started(&self, record: ContainerRecord, error: Error) -> Result<()> {
        self.inner.drivers.networks.detach(&record.id).await?;
        let code = match error.class {
            ErrorClass::NotFound => 127,
            ErrorClass::Permanent => 126,
            ErrorClass::Retryable | ErrorClass::Conflict => 125,
        };
        let exit = ExitStatus { code, error: error.chain(), ..ExitStatus::default() };
        // A container that was never started stays created, so that its start is planned again.
        if record.state != ContainerState::Created {
            let state = ContainerState::Exited { exit, started: None, finished: self.now() };
            self.put(ContainerRecord { state, ..record }, Durability::Relaxed).await?;
        }
        Err(error)
    }

    async fn launch(&self, record: &ContainerRecord) -> Result<Started> {
        let drivers = &self.inner.drivers;
        let image = self.image_config(record).await?;
        let volumes = self.volume_paths(record).await?;
        make_bind_sources(record)?;
        let rootfs = drivers.images.prepare(&record.id, &record.image).await?;
        let networks = self.ledger(Ledger::networks).await?;
        let sandbox = match record.spec.networks.is_empty() {
            true => None,
            false => Some(drivers.networks.attach(&sandbox(record, &networks)).await?),
        };
        let etc = self.write_etc(record, &networks)?;
        let spec =
            self.describe(record, &image, sandbox.as_ref().map(|s| s.netns.as_path()), &volumes, &etc)?;
        let bundle = Bundle {
            id: record.id.clone(),
            spec,
            rootfs,
            user: record.spec.user.clone().unwrap_or_else(|| image.user.clone()),
            groups: record.spec.group_add.clone(),
            log: record.spec.log.clone(),
            init: record.spec.init,
            stdin_open: record.spec.stdin_open,
            stdin_once: record.spec.stdin_once,
        };
        drivers.runtime.start(&bundle).await
    }

    fn describe(
        &self,
        record: &ContainerRecord,
        image: &ImageConfig,
        netns: Option<&Path>,
        volumes: &BTreeMap<Name, PathBuf>,
        etc: &BTreeMap<PathBuf, PathBuf>,
    ) -> Result<oci_spec::runtime::Spec> {
        let invalid = |e| Error::permanent(format!("starting container {}", record.spec.name)).because(e);
        let filtered = !record.spec.privileged && record.spec.seccomp == SeccompChoice::Default;
        let capabilities = oci::capabilities(&record.spec).map_err(invalid)?;
        let seccomp = filtered.then(|| (self.inner.settings.seccomp)(&capabilities));
        let input = oci::OciInput { id: &record.id, spec: &record.spec, image, netns, volumes, etc, seccomp };
        oci::runtime_spec(&input).map_err(invalid)
    }

    async fn image_config(&self, record: &ContainerRecord) -> Result<ImageConfig> {
        let images = self.inner.drivers.images.list().await?;
        let image = images.into_iter().find(|i| i.id == record.image).map(|i| i.config);
        image.ok_or_else(|| Error::not_found(format!("No such image: {}", record.spec.image.familiar())))
    }

    async fn volume_paths(&self, record: &ContainerRecord) -> Result<BTreeMap<Name, PathBuf>> {
        let volumes = self.ledger(Ledger::volumes).await?;
        let used: Vec<&Name> = record.spec.volumes().collect();
        Ok(volumes.into_iter().filter(|v| used.contains(&&v.name)).map(|v| (v.name, v.path)).collect())
    }

    pub(crate) fn etc_dir(&self, id: &ContainerId) -> PathBuf {
        self.inner.settings.run_dir.join("containers").join(id.as_str())
    }

    /// Writes the files that a container sees over its image's own, by their path inside it.
    fn write_etc(
        &self,
        record: &ContainerRecord,
        networks: &[NetworkRecord],
    ) -> Result<BTreeMap<PathBuf, PathBuf>> {
        let dir = self.etc_dir(&record.id);
        let gateway = networks.iter().find(|n| record.spec.networks.contains_key(&n.name)).map(|n| n.gateway);
        let mut files = BTreeMap::from([
            ("hostname", oci::hostname(&record.id, &record.spec) + "\n"),
            ("hosts", oci::hosts_file(&record.id, &record.spec, &record.addresses, gateway)),
        ]);
        files.extend(oci::resolv_conf(&record.spec).map(|text| ("resolv.conf", text)));
        let write = || -> std::io::Result<BTreeMap<PathBuf, PathBuf>> {
            std::fs::create_dir_all(&dir)?;
            let mut mounts = BTreeMap::new();
            for (name, text) in &files {
                std::fs::write(dir.join(name), text)?;
                mounts.insert(Path::new("/etc").join(name), dir.join(name));
            }
            Ok(mounts)
        };
        write().map_err(|e| {
            Error::retryable(format!("writing the files of container {}", record.spec.name)).because(e)
        })
    }
}

fn next_restart(record: &ContainerRecord) -> u32 {
    match &record.state {
        ContainerState::Exited { started, finished, exit } if !exit.interrupted => {
            failures_in_a_row(record.restarts, *started, *finished).saturating_add(1)
        }
        _ => 0,
    }
}

/// `-v` and `create_host_path` make a missing host directory. What is there already may be a file, a socket or a device.
fn make_bind_sources(record: &ContainerRecord) -> Result<()> {
    for mount in &record.spec.mounts {
        if let MountKind::Bind { source, create: true } = &mount.kind
            && !source.exists()
        {
            std::fs::create_dir_all(source).map_err(|e| {
                Error::permanent(format!("making host directory {}", source.display())).because(e)
            })?;
        }
    }
    Ok(())
}

/// A container's network as its driver wants it.
pub(crate) fn sandbox(record: &ContainerRecord, networks: &[NetworkRecord]) -> SandboxSpec {
    let endpoint = |network: &NetworkRecord| {
        let endpoint = record.spec.networks.get(&network.name)?;
        let address = *record.addresses.get(&network.name)?;
        let own = [record.spec.name.to_string(), record.id.short().to_owned()];
        let names =
            own.into_iter().chain(record.spec.hostname.clone()).chain(endpoint.aliases.iter().cloned());
        Some(Endpoint { network: network.clone(), address, names: names.map(|n| n.to_lowercase()).collect() })
    };
    SandboxSpec {
        container: record.id.clone(),
        endpoints: networks.iter().filter_map(endpoint).collect(),
        ports: record.spec.ports.clone(),
        dns: record.spec.dns.clone(),
    }
}
