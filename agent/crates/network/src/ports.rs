//! Which host ports are published, and whether the host itself has one.

use crate::error::{Failure, Outcome};
use hull_model::{ContainerId, HostPort, PortSpec, Protocol};
use hull_ports::Error;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

/// Published ports by protocol and number: a conflict is found without looking at the others. Pure.
#[derive(Debug, Default)]
pub(crate) struct PortBook {
    taken: HashMap<(Protocol, u16), Vec<(HostPort, ContainerId)>>,
}

impl PortBook {
    /// Takes all ports or none. `Conflict` if one is taken, also by another of the list.
    pub(crate) fn take(&mut self, container: &ContainerId, ports: &[PortSpec]) -> Result<(), Error> {
        for (index, port) in ports.iter().enumerate() {
            let host = port.host();
            let entries = self.taken.entry((host.protocol, host.port)).or_default();
            if entries.iter().any(|(other, _)| other.conflicts(&host)) {
                self.give_back(container, &ports[..index]);
                return Err(already_allocated(&host));
            }
            entries.push((host, container.clone()));
        }
        Ok(())
    }

    /// Gives back what the container took.
    pub(crate) fn give_back(&mut self, container: &ContainerId, ports: &[PortSpec]) {
        for port in ports {
            let key = (port.protocol, port.host_port);
            if let Some(entries) = self.taken.get_mut(&key) {
                entries.retain(|(host, owner)| owner != container || *host != port.host());
                if entries.is_empty() {
                    self.taken.remove(&key);
                }
            }
        }
    }
}

/// Docker's words for it.
fn already_allocated(port: &HostPort) -> Error {
    let address = port.ip.unwrap_or(Ipv4Addr::UNSPECIFIED);
    Error::conflict(format!("Bind for {address}:{} failed: port is already allocated", port.port))
        .remedy("publish another host port, or stop the container that has this one")
}

/// Asks the kernel whether a program of the host has one of the ports, by binding and closing. `SO_REUSEADDR` is set for TCP,
/// so that closed connections still waiting (TIME_WAIT) do not count; a listening socket does in any case.
///
/// The port is not kept bound: a program of the host can bind it later, and will then not hear what comes from outside. One
/// descriptor per published port would be the price of telling it.
pub(crate) fn check_host(ports: &[PortSpec]) -> Outcome<()> {
    ports.iter().try_for_each(|port| {
        let address = SocketAddrV4::new(port.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED), port.host_port);
        match try_bind(address, port.protocol) {
            Ok(()) => Ok(()),
            Err(Errno::EADDRINUSE) => Err(Failure::Refused(
                Error::conflict(format!(
                    "failed to bind host port {address}/{}: address already in use",
                    port.protocol.as_str()
                ))
                .remedy("publish another host port, or stop the program on the host that has this one"),
            )),
            Err(Errno::EADDRNOTAVAIL) => Err(Failure::Refused(
                Error::conflict(format!(
                    "failed to bind host port {address}/{}: cannot assign requested address",
                    port.protocol.as_str()
                ))
                .remedy("publish on an address that the host has"),
            )),
            Err(errno) => Err(Failure::errno(format!("checking host port {address}"))(errno)),
        }
    })
}

fn try_bind(address: SocketAddrV4, protocol: Protocol) -> Result<(), Errno> {
    let kind = match protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let probe = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if protocol == Protocol::Tcp {
        setsockopt(&probe, sockopt::ReuseAddr, &true)?;
    }
    bind(probe.as_raw_fd(), &SockaddrIn::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ContainerId {
        ContainerId::from_random([byte; 32])
    }

    fn port(ip: Option<[u8; 4]>, number: u16, protocol: Protocol) -> PortSpec {
        PortSpec { host_ip: ip.map(Ipv4Addr::from), host_port: number, container_port: 80, protocol }
    }

    #[test]
    fn conflicts_are_docker_s() {
        use Protocol::{Tcp, Udp};
        let one = Some([127, 0, 0, 1]);
        let other = Some([10, 0, 0, 1]);
        // first, second, conflict
        let rows = [
            (port(None, 80, Tcp), port(None, 80, Tcp), true),
            (port(None, 80, Tcp), port(None, 81, Tcp), false),
            (port(None, 80, Tcp), port(None, 80, Udp), false),
            (port(None, 80, Tcp), port(one, 80, Tcp), true),
            (port(one, 80, Tcp), port(None, 80, Tcp), true),
            (port(one, 80, Tcp), port(other, 80, Tcp), false),
            (port(one, 80, Tcp), port(one, 80, Tcp), true),
        ];
        for (first, second, conflict) in rows {
            let mut book = PortBook::default();
            book.take(&id(1), std::slice::from_ref(&first)).unwrap();
            assert_eq!(
                book.take(&id(2), std::slice::from_ref(&second)).is_err(),
                conflict,
                "{first:?} {second:?}"
            );
            book.give_back(&id(1), std::slice::from_ref(&first));
            book.give_back(&id(2), std::slice::from_ref(&second));
            assert!(book.taken.is_empty());
        }
    }

    #[test]
    fn a_refused_list_takes_nothing() {
        let mut book = PortBook::default();
        let free = port(None, 79, Protocol::Tcp);
        let taken = port(None, 80, Protocol::Tcp);
        book.take(&id(1), std::slice::from_ref(&taken)).unwrap();
        let error = book.take(&id(2), &[free.clone(), taken]).unwrap_err();
        assert_eq!(error.message, "Bind for 0.0.0.0:80 failed: port is already allocated");
        book.take(&id(3), &[free]).unwrap();
    }
}
