//! Where the agent listens, and how to get there.

use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::tls::{self, Tls};
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Where the agent listens on Hull's OS.
pub(crate) const DEFAULT_HOST: &str = "unix:///run/docker.sock";
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

/// A connection of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

#[derive(Debug)]
enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: u16 },
}

/// Where the agent listens.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// As it was said.
    pub(crate) host: String,
    address: Address,
    tls: Option<Tls>,
}

impl Endpoint {
    /// Chooses by flags, then by environment; `folder` is where certificates are by default.
    pub(crate) fn choose(global: &Given, folder: &Path) -> Result<Self, Failure> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(context) = global.some("context").filter(|name| *name != "default") {
            return Err(Failure::new(format!(
                "context {context:?} not found: Hull has only the context \"default\".\n\
                 Say where the agent listens with --host or DOCKER_HOST."
            )));
        }
        let hosts = global.list("host");
        if hosts.len() > 1 {
            return Err(Failure::new(
                "Failed to initialize: unable to resolve docker endpoint: Specify only one -H",
            ));
        }
        let host = hosts.first().map(|h| (*h).to_owned()).or_else(|| environment("DOCKER_HOST"));
        let tls = tls::choose(global, folder, &environment);
        Self::new(&host.unwrap_or_else(|| DEFAULT_HOST.to_owned()), tls)
    }

    fn new(host: &str, tls: Option<Tls>) -> Result<Self, Failure> {
        let default_port = if tls.is_some() { TLS_PORT } else { PLAIN_PORT };
        let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
        let address = match scheme {
            "unix" if !rest.is_empty() => Address::Unix(rest.into()),
            "tcp" | "http" | "https" => {
                let authority = rest.split('/').next().unwrap_or(rest);
                let (name, port) = split_port(authority, default_port)
                    .ok_or_else(|| Failure::new(format!("unable to parse docker host `{host}`")))?;
                Address::Tcp { host: name, port }
            }
            "ssh" => {
                return Err(Failure::new(format!(
                    "hull cannot connect to {host:?}: it does not speak SSH.\n\
                     Forward the socket with ssh -nNT -L /tmp/host.sock:/run/docker.sock …, and use --host unix:///tmp/host.sock"
                )));
            }
            _ => return Err(Failure::new(format!("unable to parse docker host `{host}`"))),
        };
        let host = if host.contains("://") { host.to_owned() } else { format!("tcp://{host}") };
        let over_network = matches!(address, Address::Tcp { .. });
        Ok(Self { host, address, tls: tls.filter(|_| over_network) })
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        let stream: io::Result<Box<dyn Stream>> = match &self.address {
            Address::Unix(path) => UnixStream::connect(path).await.map(|s| Box::new(s) as _),
            Address::Tcp { host, port } => match TcpStream::connect((host.as_str(), *port)).await {
                Err(error) => Err(error),
                Ok(stream) => {
                    // Keys are sent as they are typed.
                    stream.set_nodelay(true)?;
                    match &self.tls {
                        None => Ok(Box::new(stream) as _),
                        Some(tls) => return Ok(Box::new(tls.wrap(stream, host).await?) as _),
                    }
                }
            },
        };
        stream.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let host = &self.host;
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Failure::new(format!(
                "permission denied while trying to connect to the Docker daemon socket at {host}\n\
                 Run hull as root (sudo hull …), or join the group that owns the socket."
            ));
        }
        Failure::new(format!(
            "Cannot connect to the Docker daemon at {host}. Is the docker daemon running?\n\
             See what the agent says with: systemctl status hulld\n\
             If it listens elsewhere, say where with --host or DOCKER_HOST."
        ))
    }
}

fn split_port(authority: &str, default: u16) -> Option<(String, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = if after.is_empty() { default } else { after.strip_prefix(':')?.parse().ok()? };
        return Some((host.to_owned(), port));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => Some((host.to_owned(), port.parse().ok()?)),
        Some(("", port)) => Some(("localhost".to_owned(), port.parse().ok()?)),
        _ if authority.is_empty() => Some(("localhost".to_owned(), default)),
        _ => Some((authority.to_owned(), default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_sockets_and_addresses() {
        let shown = |host: &str| Endpoint::new(host, None).map(|e| format!("{:?}", e.address));
        assert_eq!(shown("unix:///run/docker.sock").unwrap(), r#"Unix("/run/docker.sock")"#);
        assert_eq!(shown("tcp://10.0.0.1:99").unwrap(), r#"Tcp { host: "10.0.0.1", port: 99 }"#);
        assert_eq!(shown("tcp://[::1]:99").unwrap(), r#"Tcp { host: "::1", port: 99 }"#);
        assert_eq!(shown("tcp://host").unwrap(), r#"Tcp { host: "host", port: 2375 }"#);
        assert_eq!(shown("host").unwrap(), r#"Tcp { host: "host", port: 2375 }"#);
        for bad in ["ssh://host", "unix://", "npipe:////./pipe", "tcp://host:x"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
