//! The command line of the agent.

use crate::tcp::Files;
use clap::Parser;
use std::net::SocketAddr;
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

    /// Serve the API over TCP too, with TLS, for clients whose certificate one of our authorities signed.
    #[arg(long, value_name = "ADDR:PORT", requires_all = ["tls_ca", "tls_cert", "tls_key"])]
    pub(crate) tcp: Option<SocketAddr>,

    /// Authorities whose clients are let in, in PEM. There is no TCP without TLS: whoever reaches the API is root on the host.
    #[arg(long, value_name = "FILE", requires = "tcp")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// The certificate that clients are shown, in PEM, with those between it and its authority.
    #[arg(long, value_name = "FILE", requires = "tcp")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tcp")]
    pub(crate) tls_key: Option<PathBuf>,

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

impl Arguments {
    /// Where to listen for TCP, and with which certificates; if at all.
    pub(crate) fn tcp(&self) -> Option<(SocketAddr, Files)> {
        let authorities = self.tls_ca.clone()?;
        let files = Files { authorities, certificate: self.tls_cert.clone()?, key: self.tls_key.clone()? };
        Some((self.tcp?, files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_tcp_without_tls() {
        let tls = ["--tls-ca", "a", "--tls-cert", "b", "--tls-key", "c"];
        let parse = |words: &[&str]| Arguments::try_parse_from([&["hulld"], words].concat());
        assert!(parse(&["--tcp", "127.0.0.1:2376"]).is_err());
        assert!(parse(&[&["--tcp", "127.0.0.1:2376"], &tls[..4]].concat()).is_err());
        assert!(parse(&tls).is_err());
        assert!(parse(&[]).unwrap().tcp().is_none());
        let both = parse(&[&["--tcp", "[::1]:2376"], &tls[..]].concat()).unwrap();
        assert!(
            both.tcp().is_some_and(|(address, files)| address.port() == 2376 && files.key.as_os_str() == "c")
        );
    }
}
