//! A container's way into its networks, and out.

use crate::dns::Scope;
use crate::driver::{Attached, Inner, Network, State};
use crate::error::{Failure, Outcome};
use crate::links::Pair;
use crate::namespace::{Blank, ResolverSockets};
use crate::netlink::Batch;
use crate::nft::{self, Element};
use crate::{conntrack, dns, links, names, ports, sysctl};
use hull_model::{ContainerId, PortSpec};
use hull_ports::{Endpoint, Error, Sandbox, SandboxSpec};
use nix::errno::Errno;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

/// Steps of an attach that were done, for undoing exactly them.
#[derive(Debug, Default)]
struct Done {
    /// By name, which only this container's have: one that was there already was left by an interrupted attach and goes too.
    interfaces: Vec<String>,
    kept: bool,
    elements: Vec<Element>,
}

impl Inner {
    pub(crate) fn attach(&self, spec: SandboxSpec) -> Outcome<Sandbox> {
        let _busy = self.begin(&spec.container)?;
        self.reaper.wait(Some(&spec.container));
        let sandbox = Sandbox { netns: self.shelf.path(&spec.container) };
        let networks = {
            let mut state = self.state();
            if let Some(attached) = state.attached.get(&spec.container) {
                return if attached.spec == spec { Ok(sandbox) } else { Err(attached_otherwise(&spec)) };
            }
            let networks = check(&spec, |id| state.networks.get(id).cloned())?;
            state.check_addresses(&spec)?;
            state.ports.take(&spec.container, host_ports(&spec))?;
            networks
        };
        let mut done = Done::default();
        let built = self.build(&spec, &networks, &mut done).and_then(|sockets| self.serve(&spec, sockets));
        match built {
            Ok(resolver) => {
                let attached = Attached { spec: spec.clone(), _resolver: resolver };
                self.state().attached.insert(spec.container, attached);
                Ok(sandbox)
            }
            Err(failure) => {
                self.undo(&spec.container, done);
                self.state().ports.give_back(&spec.container, host_ports(&spec));
                Err(failure)
            }
        }
    }

    fn build(&self, spec: &SandboxSpec, networks: &[Network], done: &mut Done) -> Outcome<ResolverSockets> {
        ports::check_host(host_ports(spec))?;
        let mut blank = self.pool.take()?;
        self.add_interfaces(spec, networks, &blank, done)?;
        configure(spec, &mut blank)?;
        self.settle(spec, &blank)?;
        // What an interrupted attach may have left.
        self.shelf.release(spec.container.as_str())?;
        self.shelf.keep(&spec.container, &blank.file)?;
        done.kept = true;
        let elements = published(spec);
        self.allow_loopback(spec)?;
        self.rules().add(&elements)?;
        done.elements = elements;
        self.reaper.forget(conntrack::datagram_ports(host_ports(spec)));
        Ok(blank.resolver)
    }

    fn add_interfaces(
        &self,
        spec: &SandboxSpec,
        networks: &[Network],
        blank: &Blank,
        done: &mut Done,
    ) -> Outcome<()> {
        if spec.endpoints.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for (number, (endpoint, network)) in spec.endpoints.iter().zip(networks).enumerate() {
            let host = names::host_interface(&spec.container, number);
            let pair = Pair {
                host: &host,
                bridge: network.index,
                namespace: blank.file.as_raw_fd(),
                name: &inside(number),
                hardware: hull_model::hardware_address(endpoint.address),
                mtu: network.mtu,
            };
            batch.push(
                links::add_pair(&pair),
                format!("adding interface {host} to network {}", network.record.name),
            );
            batch.push(links::raise_port(&host, self.ipv6), format!("bringing interface {host} up"));
            done.interfaces.push(host);
        }
        self.route().transact(batch)?;
        done.interfaces.iter().try_for_each(|name| sysctl::prepare_port(name))
    }

    /// Published ports may be used by 127.0.0.1, too.
    pub(crate) fn allow_loopback(&self, spec: &SandboxSpec) -> Outcome<()> {
        match external(spec).filter(|_| needs_loopback(spec)) {
            Some(endpoint) => sysctl::allow_loopback(&endpoint.network.bridge),
            None => Ok(()),
        }
    }

    /// Both ends are up, but the kernel acts on that in its own time; until then, first packets are lost and come again
    /// after a second.
    fn settle(&self, spec: &SandboxSpec, blank: &Blank) -> Outcome<()> {
        for number in 0..spec.endpoints.len() {
            let host = names::host_interface(&spec.container, number);
            let what = || format!("waiting for interface {host}");
            hull_sys::link::settle(blank.route.as_fd(), &inside(number)).map_err(Failure::system(what()))?;
            let route = self.route();
            hull_sys::link::settle(route.as_fd(), &host).map_err(Failure::system(what()))?;
            // With its first port, the bridge itself has a link.
            hull_sys::link::settle(route.as_fd(), &spec.endpoints[number].network.bridge)
                .map_err(Failure::system(what()))?;
        }
        Ok(())
    }

    /// Makes the container's names known, and answers its queries.
    pub(crate) fn serve(&self, spec: &SandboxSpec, sockets: ResolverSockets) -> Outcome<Option<dns::Server>> {
        if spec.endpoints.is_empty() {
            return Ok(None);
        }
        let _context = self.runtime.enter();
        let server = dns::Server::start(sockets, Scope::of(spec), Arc::clone(&self.directory));
        let server = server.map_err(Failure::system(format!(
            "starting the resolver of container {}",
            spec.container.short()
        )))?;
        self.directory.add(spec);
        Ok(Some(server))
    }

    fn undo(&self, container: &ContainerId, done: Done) {
        let report = |failure: Failure| {
            let error = Error::from(failure).chain();
            tracing::warn!(container = container.short(), error, "a step could not be undone");
        };
        let _ = self.rules().remove(&done.elements).map_err(report);
        if done.kept {
            let _ = self.shelf.release(container.as_str()).map_err(report);
        }
        for interface in &done.interfaces {
            let _ = self.remove_link(interface).map_err(report);
        }
    }

    /// Ends what can be seen of the container from outside; the rest follows in the background.
    pub(crate) fn detach(&self, container: &ContainerId) -> Outcome<()> {
        let _busy = self.begin(container)?;
        let Some(Attached { spec, _resolver }) = self.state().attached.remove(container) else {
            return self.shelf.release(container.as_str());
        };
        self.directory.remove(container);
        let ended = self.rules().remove(&published(&spec)).and_then(|()| self.retire(&spec));
        self.state().ports.give_back(container, host_ports(&spec));
        self.reaper.forget(conntrack::datagram_ports(host_ports(&spec)));
        self.reaper.bury(container);
        ended
    }

    fn retire(&self, spec: &SandboxSpec) -> Outcome<()> {
        let mut batch = Batch::default();
        for number in 0..spec.endpoints.len() {
            let name = names::host_interface(&spec.container, number);
            batch.push(links::retire_port(&name), format!("taking interface {name} out of service"));
        }
        match self.route().transact(batch) {
            // Gone already, with its bridge or by other hands.
            Err(failure) if failure.number() == Some(Errno::ENODEV as i32) => Ok(()),
            other => other,
        }
    }
}

fn inside(number: usize) -> String {
    format!("eth{number}")
}

/// Addresses and default route, in one batch inside the namespace.
fn configure(spec: &SandboxSpec, blank: &mut Blank) -> Outcome<()> {
    if spec.endpoints.is_empty() {
        return Ok(());
    }
    let short = spec.container.short();
    let present =
        blank.route.dump(links::list_links(), "listing a container's interfaces", links::read_link)?;
    let index = |number: usize| {
        let name = inside(number);
        present.iter().find(|l| l.name == name).map_or(0, |l| l.index)
    };
    let mut batch = Batch::default();
    for (number, endpoint) in spec.endpoints.iter().enumerate() {
        let message = links::add_address(index(number), endpoint.address, endpoint.network.subnet);
        batch.push(message, format!("giving container {short} address {}", endpoint.address));
        batch.push(links::raise(index(number)), format!("bringing container {short}'s interface up"));
    }
    if let Some(number) = spec.endpoints.iter().position(|e| !e.network.internal) {
        let message = links::add_default_route(index(number), spec.endpoints[number].network.gateway);
        batch.push(message, format!("giving container {short} its default route"));
    }
    blank.route.transact(batch)
}

/// The endpoint whose address answers for published ports.
fn external(spec: &SandboxSpec) -> Option<&Endpoint> {
    spec.endpoints.iter().find(|e| !e.network.internal)
}

/// The ports that are published. Without a way out there are none, as in Docker.
pub(crate) fn host_ports(spec: &SandboxSpec) -> &[PortSpec] {
    if external(spec).is_some() { &spec.ports } else { &[] }
}

/// Elements of a container's published ports.
pub(crate) fn published(spec: &SandboxSpec) -> Vec<Element> {
    let element = |endpoint: &Endpoint| {
        let address = endpoint.address;
        spec.ports.iter().map(move |port| nft::host::port_element(port, address)).collect()
    };
    external(spec).map(element).unwrap_or_default()
}

fn needs_loopback(spec: &SandboxSpec) -> bool {
    host_ports(spec).iter().any(|port| port.host_ip.is_none_or(|ip| ip.is_loopback()))
}

impl State {
    /// Refuses an address that another container has.
    fn check_addresses(&self, spec: &SandboxSpec) -> Outcome<()> {
        let wanted = |other: &Endpoint| {
            spec.endpoints.iter().any(|e| e.network.id == other.network.id && e.address == other.address)
        };
        let holder = self.attached.values().find_map(|attached| {
            let endpoint = attached.spec.endpoints.iter().find(|e| wanted(e))?;
            Some((endpoint.address, attached.spec.container.short()))
        });
        match holder {
            None => Ok(()),
            Some((address, short)) => {
                let message = format!("address {address} is in use by container {short}");
                Err(Failure::Refused(Error::conflict(message).remedy("choose another address")))
            }
        }
    }
}

fn attached_otherwise(spec: &SandboxSpec) -> Failure {
    let message = format!("container {} has a network already, and another one", spec.container.short());
    Failure::Refused(Error::conflict(message).remedy("detach it first"))
}

/// Refuses what cannot be; returns the networks of the endpoints.
fn check(spec: &SandboxSpec, network: impl Fn(&str) -> Option<Network>) -> Outcome<Vec<Network>> {
    let refuse = |reason: String| {
        Failure::Refused(Error::permanent(format!("container {}: {reason}", spec.container.short())))
    };
    if spec.endpoints.len() > names::MAX_ENDPOINTS {
        return Err(refuse(format!("it is in more than {} networks", names::MAX_ENDPOINTS)));
    }
    if let Some(server) = spec.dns.iter().find(|server| server.parse::<IpAddr>().is_err()) {
        return Err(refuse(format!("DNS server {server:?} is not an IP address")));
    }
    let mut networks = Vec::with_capacity(spec.endpoints.len());
    for endpoint in &spec.endpoints {
        let Some(found) = network(&endpoint.network.id) else {
            return Err(Failure::Refused(Error::not_found(format!(
                "network {} not found",
                endpoint.network.name
            ))));
        };
        let subnet = found.record.subnet;
        let usable = subnet.contains(endpoint.address) && endpoint.address != subnet.address;
        if !usable || endpoint.address == subnet.last() || endpoint.address == found.record.gateway {
            return Err(refuse(format!("{} is not a container's address in {subnet}", endpoint.address)));
        }
        networks.push(found);
    }
    Ok(networks)
}
