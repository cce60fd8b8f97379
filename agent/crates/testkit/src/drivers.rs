//! The doors of the host in memory.

use crate::world::World;
use async_trait::async_trait;
use hull_model::{
    ContainerId, ExitStatus, HostFacts, HostSettings, Ipv4Net, Name, NetworkRecord, Problem, VolumeSpec,
};
use hull_ports::{
    Archives, Bundle, ByteStream, Bytes, Clock as _, Error, ExecIo, ExecSpec, Host, LogOptions, LogStream,
    Networks, ProcessRecord, Result, Rootfs, Runtime, RuntimeEvent, Sandbox, SandboxSpec, Started, Volumes,
};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use tokio::sync::broadcast;

#[async_trait]
impl Runtime for World {
    async fn start(&self, bundle: &Bundle) -> Result<Started> {
        let at = self.clock.now();
        let mut state = self.call("start", &bundle.id)?;
        state.pids += 1;
        let started = Started { pid: state.pids, at };
        state.processes.insert(
            bundle.id.clone(),
            ProcessRecord { id: bundle.id.clone(), started, exit: None, paused: false },
        );
        Ok(started)
    }

    async fn list(&self) -> Result<Vec<ProcessRecord>> {
        Ok(self.lock().processes.values().cloned().collect())
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<()> {
        drop(self.call("signal", id)?);
        self.exit(id, 128 + signal);
        Ok(())
    }

    async fn kill(&self, id: &ContainerId) -> Result<()> {
        drop(self.call("kill", id)?);
        self.exit(id, 137);
        Ok(())
    }

    async fn wait(&self, id: &ContainerId) -> Result<(ExitStatus, Timestamp)> {
        let mut events = self.events();
        loop {
            let exit = self.lock().processes.get(id).map(|p| p.exit.clone());
            match exit {
                None => return Err(Error::not_found(format!("No such container: {id}"))),
                Some(Some(exit)) => return Ok(exit),
                Some(None) => _ = events.recv().await,
            }
        }
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.events.subscribe()
    }

    async fn exec(&self, id: &ContainerId, _spec: &ExecSpec) -> Result<ExecIo> {
        Err(Error::permanent(format!("container {id} is not a real one")))
    }

    async fn exec_wait(&self, exec: &str) -> Result<ExitStatus> {
        Err(Error::not_found(format!("No such exec: {exec}")))
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        self.freeze(id, true)
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        self.freeze(id, false)
    }

    async fn update(&self, id: &ContainerId, _resources: &oci_spec::runtime::LinuxResources) -> Result<()> {
        self.call("update", id).map(drop)
    }

    async fn logs(&self, _id: &ContainerId, _options: &LogOptions) -> Result<LogStream> {
        Ok(Box::pin(futures_util::stream::empty()))
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        let mut state = self.call("remove", id)?;
        if state.processes.get(id).is_some_and(|p| p.exit.is_none()) {
            return Err(Error::conflict(format!("container {id} is running")));
        }
        state.processes.remove(id);
        Ok(())
    }

    async fn reset(&self) -> Result<()> {
        self.lock().processes.clear();
        Ok(())
    }
}

impl World {
    fn freeze(&self, id: &ContainerId, paused: bool) -> Result<()> {
        let mut state = self.call(if paused { "pause" } else { "resume" }, id)?;
        let process = state.processes.get_mut(id).filter(|p| p.exit.is_none());
        let process = process.ok_or_else(|| Error::conflict(format!("container {id} is not running")))?;
        process.paused = paused;
        Ok(())
    }
}

#[async_trait]
impl Networks for World {
    async fn create(&self, network: &NetworkRecord) -> Result<()> {
        self.call("create-network", &network.name)?.bridges.insert(network.name.clone());
        Ok(())
    }

    async fn remove(&self, network: &NetworkRecord) -> Result<()> {
        self.call("remove-network", &network.name)?.bridges.remove(&network.name);
        Ok(())
    }

    async fn attach(&self, sandbox: &SandboxSpec) -> Result<Sandbox> {
        self.call("attach", &sandbox.container)?.sandboxes.insert(sandbox.container.clone());
        Ok(Sandbox { netns: PathBuf::from("/fake/netns").join(sandbox.container.as_str()) })
    }

    async fn detach(&self, container: &ContainerId) -> Result<()> {
        self.call("detach", container)?.sandboxes.remove(container);
        Ok(())
    }

    async fn host_routes(&self) -> Result<Vec<Ipv4Net>> {
        Ok(Vec::new())
    }

    async fn restore(&self, networks: &[NetworkRecord], sandboxes: &[SandboxSpec]) -> Result<()> {
        let mut state = self.lock();
        state.bridges = networks.iter().map(|n| n.name.clone()).collect();
        state.sandboxes.retain(|s| sandboxes.iter().any(|w| w.container == *s));
        Ok(())
    }

    async fn reset(&self) -> Result<()> {
        let mut state = self.lock();
        state.bridges.clear();
        state.sandboxes.clear();
        Ok(())
    }
}

#[async_trait]
impl Volumes for World {
    async fn list(&self) -> Result<Vec<Name>> {
        Ok(self.lock().volumes.iter().cloned().collect())
    }

    async fn create(&self, volume: &VolumeSpec) -> Result<PathBuf> {
        self.call("create-volume", &volume.name)?.volumes.insert(volume.name.clone());
        Ok(PathBuf::from("/fake/volumes").join(volume.name.as_str()))
    }

    async fn size(&self, _name: &Name) -> Result<u64> {
        Ok(12)
    }

    async fn remove(&self, name: &Name) -> Result<()> {
        self.call("remove-volume", name)?.volumes.remove(name);
        Ok(())
    }
}

#[async_trait]
impl Archives for World {
    async fn sizes(&self, _rootfs: &Rootfs) -> Result<(u64, u64)> {
        Ok((10, 11))
    }

    async fn layer(&self, rootfs: &Rootfs) -> Result<ByteStream> {
        drop(self.call("layer", rootfs.upper.display())?);
        Ok(Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"changes"))])))
    }

    async fn populate(&self, _rootfs: &Rootfs, path: &Path, _volume: &Path) -> Result<()> {
        drop(self.call("populate", path.display())?);
        Ok(())
    }
}

#[async_trait]
impl Host for World {
    async fn facts(&self) -> Result<HostFacts> {
        Ok(HostFacts { hostname: "fake".into(), ..HostFacts::default() })
    }

    async fn apply(&self, settings: &HostSettings) -> Result<Vec<Problem>> {
        self.call("configure", "host")?.host = Some(settings.clone());
        Ok(Vec::new())
    }

    async fn applied(&self) -> Result<Option<HostSettings>> {
        Ok(self.lock().host.clone())
    }
}
