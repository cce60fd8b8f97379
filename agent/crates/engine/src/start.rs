//! Starting a container: root file system, network, files below /etc, then the process.

use crate::engine::Engine;
use crate::ledger::{Durability, Ledger};
use crate::mounts::make_bind_sources;
use hull_model::{
    ContainerId, ContainerRecord, ContainerState, ExitStatus, ImageConfig, NamespaceMode, NetworkMode,
    NetworkRecord, Owner,
};
use hull_plan::{failures_in_a_row, oci};
use hull_ports::{Bundle, Endpoint, Error, ErrorClass, Result, SandboxSpec, Started};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

impl Engine {
    /// Starts a container that does not run. `restart` says that its policy asks for it, which counts against it.
    pub async fn start_container(&self, id: &ContainerId, restart: bool) -> Result<()> {
        let turn = self.inner.locks.lock(id.as_str()).await;
        let missing = || Error::not_found(format!("No such container: {id}"));
        let record = self.stored(id).ok_or_else(missing)?;
        if self.processes().await?.get(id).is_some_and(|p| p.exit.is_none()) {
            return Ok(());
        }
        let restarts = if restart { next_restart(&record) } else { 0 };
        let mut record = ContainerRecord { restarts, wanted: true, ..record };
        match self.launch(&mut record).await {
            Ok(started) => {
                let state = ContainerState::Running { pid: started.pid, started: started.at, paused: false };
                let record = ContainerRecord { state, ..record };
                self.put(record.clone(), Durability::Relaxed).await?;
                self.publish("container", "start", &record, BTreeMap::new());
                self.changed();
                self.watch_health(&record).await;
                let ended = self.settle_if_ended(&record).await?;
                drop(turn);
                if ended && record.spec.auto_remove {
                    self.remove_by_itself(id).await;
                }
                Ok(())
            }
            Err(error) => self.not_started(record, error).await,
        }
    }

    /// A process may end before its start is written down; then its event found nothing to settle.
    async fn settle_if_ended(&self, record: &ContainerRecord) -> Result<bool> {
        let ended = self.processes().await?.remove(&record.id).and_then(|p| p.exit);
        match ended {
            Some((exit, at)) => Ok(self.settle_record(record.clone(), exit, at).await?.is_some()),
            None => Ok(false),
        }
    }

    /// Takes back what was made for a start that failed, and remembers why it failed.
    async fn not_started(&self, record: ContainerRecord, error: Error) -> Result<()> {
        self.inner.drivers.networks.detach(&record.id).await?;
        let code = match error.class {
            ErrorClass::NotFound => 127,
            ErrorClass::Permanent => 126,
            ErrorClass::Retryable | ErrorClass::Conflict => 125,
        };
        let by_hand = record.owner == Owner::Docker;
        let exit = ExitStatus { code, error: error.chain(), ..ExitStatus::default() };
        // A declared container that was never started stays created, so that its start is planned again.
        if record.state != ContainerState::Created || by_hand {
            let state = ContainerState::Exited { exit, started: None, finished: self.now() };
            let wanted = record.wanted && !by_hand;
            self.put(ContainerRecord { state, wanted, ..record }, Durability::Relaxed).await?;
        }
        // The container is there: what was not found is its program, which a client takes for a bad request.
        match error.class {
            ErrorClass::NotFound if by_hand => Err(error.classed(ErrorClass::Permanent)),
            _ => Err(error),
        }
    }

    async fn launch(&self, record: &mut ContainerRecord) -> Result<Started> {
        let drivers = &self.inner.drivers;
        let image = self.image_config(record).await?;
        self.ensure_volumes(record).await?;
        let volumes = self.volume_paths(record).await?;
        make_bind_sources(record)?;
        let rootfs = drivers.images.prepare(&record.id, &record.image).await?;
        let networks = self.ledger(Ledger::networks).await?;
        let netns = self.join_network(record, &image, &networks).await?;
        let others = self.others(record)?;
        let etc = self.write_etc(record, &networks, &others)?;
        let described = self.describe(record, &image, netns.as_deref(), &volumes, &etc).await?;
        let bundle = Bundle {
            id: record.id.clone(),
            spec: described.spec,
            rootfs,
            user: record.spec.user.clone().unwrap_or_else(|| image.user.clone()),
            groups: described.groups,
            log: record.spec.log.clone(),
            // Process 1 of the host or of another container is there already.
            init: record.spec.init && record.spec.pid == NamespaceMode::Private,
            stdin_open: record.spec.stdin_open,
            stdin_once: record.spec.stdin_once,
        };
        drivers.runtime.start(&bundle).await
    }

    /// Makes the container's own network, or finds the one it shares.
    async fn join_network(
        &self,
        record: &mut ContainerRecord,
        image: &ImageConfig,
        networks: &[NetworkRecord],
    ) -> Result<Option<PathBuf>> {
        match &record.spec.network {
            NetworkMode::Host => return Ok(None),
            NetworkMode::Container(other) => {
                let pid = self.pid_of(other).await?;
                return Ok(Some(PathBuf::from(format!("/proc/{pid}/ns/net"))));
            }
            NetworkMode::Private => {}
        }
        if !has_sandbox(record) {
            return Ok(None);
        }
        let sandbox = self.attach_with_ports(record, image, networks).await?;
        Ok(Some(sandbox.netns))
    }

    /// The main process of another container whose namespaces are to be joined.
    pub(crate) async fn pid_of(&self, other: &str) -> Result<i32> {
        let record = self.find(other).await?;
        match record.state {
            ContainerState::Running { pid, .. } => Ok(pid),
            _ => Err(Error::conflict(format!(
                "cannot join network namespace of a non running container: {}",
                record.id
            ))),
        }
    }

    async fn image_config(&self, record: &ContainerRecord) -> Result<ImageConfig> {
        let image = self.inner.drivers.images.image(&record.image).await?;
        image
            .map(|i| i.config)
            .ok_or_else(|| Error::not_found(format!("No such image: {}", record.spec.image.familiar())))
    }

    /// Where the files are that containers see below /etc, each container's in a directory of its id.
    pub fn files_dir(&self) -> &Path {
        &self.inner.settings.files_dir
    }

    /// Where the files are that a container sees as /etc/hosts, /etc/hostname and /etc/resolv.conf.
    pub fn etc_dir(&self, id: &ContainerId) -> PathBuf {
        self.inner.settings.files_dir.join(id.as_str())
    }

    /// Writes the files that a container sees over its image's own, by their path inside it.
    fn write_etc(
        &self,
        record: &ContainerRecord,
        networks: &[NetworkRecord],
        others: &[(String, Ipv4Addr)],
    ) -> Result<BTreeMap<PathBuf, PathBuf>> {
        let dir = self.etc_dir(&record.id);
        let gateway = networks.iter().find(|n| record.spec.networks.contains_key(&n.name)).map(|n| n.gateway);
        let mut files = BTreeMap::from([
            ("hostname", oci::hostname(&record.id, &record.spec) + "\n"),
            (
                "hosts",
                oci::hosts_file(&record.id, &record.spec, &record.addresses, gateway) + &linked(others),
            ),
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

/// Lines of /etc/hosts for linked containers.
fn linked(others: &[(String, Ipv4Addr)]) -> String {
    others.iter().map(|(names, address)| format!("{address}\t{names}\n")).collect()
}

fn next_restart(record: &ContainerRecord) -> u32 {
    match &record.state {
        ContainerState::Exited { started, finished, exit } if !exit.interrupted => {
            failures_in_a_row(record.restarts, *started, *finished).saturating_add(1)
        }
        _ => 0,
    }
}

/// Whether the container has a network namespace with interfaces of its own.
pub(crate) fn has_sandbox(record: &ContainerRecord) -> bool {
    record.spec.network == NetworkMode::Private && !record.spec.networks.is_empty()
}

/// A container's network as its driver wants it.
pub(crate) fn sandbox(record: &ContainerRecord, networks: &[NetworkRecord]) -> SandboxSpec {
    let endpoint = |network: &NetworkRecord| {
        let endpoint = record.spec.networks.get(&network.name)?;
        let address = *record.addresses.get(&network.name)?;
        let own = [record.spec.name.to_string(), record.id.short().to_owned()];
        let names =
            own.into_iter().chain(record.spec.hostname.clone()).chain(endpoint.aliases.iter().cloned());
        // In the default network containers do not know each other by name, as in Docker.
        let known = network.name.as_str() != crate::networks::DEFAULT;
        let names = names.filter(|_| known).map(|n| n.to_lowercase()).collect();
        Some(Endpoint { network: network.clone(), address, names })
    };
    SandboxSpec {
        container: record.id.clone(),
        endpoints: networks.iter().filter_map(endpoint).collect(),
        ports: record.published.clone(),
        dns: record.spec.dns.clone(),
    }
}
