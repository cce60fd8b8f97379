//! The command line of the agent.

use clap::Parser;
use std::path::PathBuf;

/// The agent of a container host.
///
/// It makes the host what its HostSpec says and answers the Docker Engine API on a Unix socket.
///
/// On Hull's own OS systemd starts it with --os: it then takes the HostSpec from cloud-init data and configures the host itself.
/// Anywhere else it only runs containers, and touches nothing outside its two directories but its own bridges, nftables
/// table and control groups.
#[derive(Debug, Clone, Parser)]
#[command(
    version,
    after_help = "Examples:
  Run the containers of a HostSpec on this machine until Ctrl-C, which removes them again:
    sudo hulld --config host.yaml
  Ask it what it is doing, from another terminal:
    sudo hull -H unix:///run/hull-dev/docker.sock status"
)]
pub(crate) struct Arguments {
    /// Directory for what must survive: ledger, images, volumes, logs.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hull-dev")]
    pub(crate) state_dir: PathBuf,

    /// Directory for what may be lost at a reboot: sockets, namespaces.
    #[arg(long, value_name = "DIR", default_value = "/run/hull-dev")]
    pub(crate) run_dir: PathBuf,

    /// Where the API is served.
    #[arg(long, value_name = "PATH", default_value = "/run/hull-dev/docker.sock")]
    pub(crate) docker_socket: PathBuf,

    /// A HostSpec: a #cloud-config document. It is read again whenever it changes; Ctrl-C then removes what it made.
    #[arg(long, value_name = "FILE", conflicts_with = "os")]
    pub(crate) config: Option<PathBuf>,

    /// Be in charge of the whole host: take the HostSpec from cloud-init data and apply host settings too.
    #[arg(long)]
    pub(crate) os: bool,

    /// A directory with meta-data and user-data, looked at before any other place.
    #[arg(long, value_name = "DIR", requires = "os")]
    pub(crate) seed: Option<PathBuf>,

    /// The program that becomes the parent of all containers. By default beside hulld, or in /usr/libexec/hull.
    #[arg(long, value_name = "PATH")]
    pub(crate) runtime: Option<PathBuf>,

    /// What is logged: a level, or levels by module.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "HULL_LOG")]
    pub(crate) log: String,
}
