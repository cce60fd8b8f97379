//! Networks and containers to try things on.

use hull_model::{ContainerId, Ipv4Net, Name, NetworkRecord, Owner, PortSpec, Protocol};
use hull_ports::{Endpoint, SandboxSpec};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub(crate) fn net(text: &str) -> Ipv4Net {
    Ipv4Net::try_from(text.to_owned()).unwrap()
}

pub(crate) fn network(name: &str, subnet: &str, internal: bool) -> NetworkRecord {
    let subnet = net(subnet);
    let id = format!("{:08x}", u32::from(subnet.address)).repeat(8);
    NetworkRecord {
        bridge: format!("hull-{}", &id[..8]),
        id,
        name: Name::new(name).unwrap(),
        owner: Owner::Docker,
        subnet,
        gateway: subnet.hosts().next().unwrap(),
        internal,
        labels: BTreeMap::new(),
        created: jiff::Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn id(number: u16) -> ContainerId {
    let [a, b] = number.to_be_bytes();
    let mut bytes = [0xab; 32];
    (bytes[0], bytes[1]) = (a, b);
    ContainerId::from_random(bytes)
}

/// A container in networks, with the last byte of its address in all of them and one name.
pub(crate) fn container(
    number: u16,
    name: &str,
    networks: &[&NetworkRecord],
    ports: &[(u16, u16)],
) -> SandboxSpec {
    let endpoint = |network: &&NetworkRecord| Endpoint {
        network: (*network).clone(),
        address: Ipv4Addr::from(u32::from(network.subnet.address) + u32::from(number)),
        names: vec![name.to_owned()],
    };
    let port = |&(host_port, container_port)| PortSpec {
        host_ip: None,
        host_port,
        container_port,
        protocol: Protocol::Tcp,
    };
    SandboxSpec {
        container: id(number),
        endpoints: networks.iter().map(endpoint).collect(),
        ports: ports.iter().map(port).collect(),
        dns: Vec::new(),
    }
}
