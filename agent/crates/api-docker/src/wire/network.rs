//! Networks as Docker lists and inspects them.

use super::container::endpoint_id;
use hull_model::{ContainerRecord, NetworkRecord};
use serde::Serialize;
use std::collections::BTreeMap;

/// A network.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkResource {
    name: String,
    id: String,
    created: String,
    scope: &'static str,
    driver: &'static str,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: BTreeMap<&'static str, &'static str>,
    config_only: bool,
    containers: BTreeMap<String, Member>,
    options: BTreeMap<&'static str, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    options: Option<()>,
    config: Vec<BTreeMap<&'static str, String>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
}

impl NetworkResource {
    /// A network with the containers that run in it. A list passes none.
    pub(crate) fn new(network: &NetworkRecord, containers: &[ContainerRecord]) -> Self {
        let member = |container: &ContainerRecord| {
            let address = container.addresses.get(&network.name).filter(|_| container.state.is_running())?;
            let member = Member {
                name: container.spec.name.to_string(),
                endpoint_id: endpoint_id(network, container.id.as_str()),
                mac_address: super::hardware_address(*address),
                ipv4_address: format!("{address}/{}", network.subnet.prefix),
                ipv6_address: String::new(),
            };
            Some((container.id.to_string(), member))
        };
        let range = [("Subnet", network.subnet.to_string()), ("Gateway", network.gateway.to_string())];
        Self {
            name: network.name.to_string(),
            id: network.id.clone(),
            created: network.created.to_string(),
            scope: "local",
            driver: "bridge",
            enable_ipv4: true,
            enable_ipv6: false,
            ipam: Ipam { driver: "default", options: None, config: vec![BTreeMap::from(range)] },
            internal: network.internal,
            attachable: false,
            ingress: false,
            config_from: BTreeMap::from([("Network", "")]),
            config_only: false,
            containers: containers.iter().filter_map(member).collect(),
            options: BTreeMap::from([("com.docker.network.bridge.name", network.bridge.clone())]),
            labels: network.labels.clone(),
        }
    }
}
