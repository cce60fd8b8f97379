//! Networks of containers.

use crate::Result;
use async_trait::async_trait;
use hull_model::{ContainerId, Ipv4Net, NetworkRecord, PortSpec};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// One container's place in one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkRecord,
    /// The container's address in it. Chosen by the caller.
    pub address: Ipv4Addr,
    /// Names that resolve to the address for containers of the same network, lower case.
    pub names: Vec<String>,
}

/// Everything about a container's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Whose it is.
    pub container: ContainerId,
    /// Networks it is in. The first one that is not internal carries the default route. Empty: loopback only.
    pub endpoints: Vec<Endpoint>,
    /// Published ports, answered at the address of the first endpoint that is not internal.
    pub ports: Vec<PortSpec>,
    /// Upstream DNS servers; the host's otherwise.
    pub dns: Vec<String>,
}

/// A network namespace that is ready: loopback up, interfaces named `eth0`, `eth1`, … configured, DNS answering at
/// 127.0.0.11 if the sandbox is in any network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// A path that setns(2) can open.
    pub netns: PathBuf,
}

/// Bridges, namespaces, addresses, published ports and DNS of containers.
#[async_trait]
pub trait Networks: Send + Sync {
    /// Makes a bridge network. `Conflict` if its range is used by the host.
    async fn create(&self, network: &NetworkRecord) -> Result<()>;

    /// Removes a bridge network. `Conflict` if a sandbox is in it.
    async fn remove(&self, network: &NetworkRecord) -> Result<()>;

    /// Makes a container's network namespace with all it says. All or nothing. `Conflict` if a published port is
    /// taken by another container or by a program on the host.
    async fn attach(&self, sandbox: &SandboxSpec) -> Result<Sandbox>;

    /// Removes a container's namespace, endpoints and published ports.
    async fn detach(&self, container: &ContainerId) -> Result<()>;

    /// Ranges that the host itself routes, without those of our own networks.
    async fn host_routes(&self) -> Result<Vec<Ipv4Net>>;

    /// Brings the kernel to exactly these networks and sandboxes after the agent or the host started: what is missing is
    /// made, what runs is adopted undisturbed (its DNS answers again), what is ours and in neither list is removed.
    async fn restore(&self, networks: &[NetworkRecord], sandboxes: &[SandboxSpec]) -> Result<()>;

    /// Removes everything this driver ever made.
    async fn reset(&self) -> Result<()>;
}
