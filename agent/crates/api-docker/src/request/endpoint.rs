//! Networks and volumes: a container's place in a network, and new ones of each.

use super::decode::object;
use std::collections::BTreeMap;

object! {
    /// Addresses that a client chose.
    EndpointIpam as "network.EndpointIPAMConfig" {
        ipv4_address: String ["IPv4Address" omit],
        ipv6_address: String ["IPv6Address" omit],
        link_local_ips: Option<Vec<String>> ["LinkLocalIPs" omit],
    }
}

object! {
    /// A container's place in a network.
    EndpointSettings as "network.EndpointSettings" {
        ipam_config: Option<EndpointIpam> ["IPAMConfig"],
        links: Option<Vec<String>> ["Links"],
        aliases: Option<Vec<String>> ["Aliases"],
        mac_address: String ["MacAddress"],
        driver_opts: Option<BTreeMap<String, String>> ["DriverOpts"],
        gw_priority: isize ["GwPriority"],
    }
}

object! {
    /// The networks of a new container.
    NetworkingConfig as "network.NetworkingConfig" {
        endpoints_config: Option<BTreeMap<String, Option<EndpointSettings>>> ["EndpointsConfig"],
    }
}

object! {
    /// One range of addresses.
    IpamRange as "network.IPAMConfig" {
        subnet: String ["Subnet" omit],
        ip_range: String ["IPRange" omit],
        gateway: String ["Gateway" omit],
        auxiliary_addresses: Option<BTreeMap<String, String>> ["AuxiliaryAddresses" omit],
    }
}

object! {
    /// How addresses are handed out.
    Ipam as "network.IPAM" {
        driver: String ["Driver"],
        options: Option<BTreeMap<String, String>> ["Options"],
        config: Option<Vec<IpamRange>> ["Config"],
    }
}

object! {
    /// Whose settings a network takes.
    ConfigReference as "network.ConfigReference" {
        network: String ["Network"],
    }
}

object! {
    /// A new network.
    NetworkCreate as "network.CreateRequest" {
        name: String ["Name"],
        driver: String ["Driver"],
        scope: String ["Scope"],
        enable_ipv4: Option<bool> ["EnableIPv4" omit],
        enable_ipv6: Option<bool> ["EnableIPv6" omit],
        ipam: Option<Ipam> ["IPAM"],
        internal: bool ["Internal"],
        attachable: bool ["Attachable"],
        ingress: bool ["Ingress"],
        config_only: bool ["ConfigOnly"],
        config_from: Option<ConfigReference> ["ConfigFrom"],
        options: Option<BTreeMap<String, String>> ["Options"],
        labels: Option<BTreeMap<String, String>> ["Labels"],
    }
}

object! {
    /// A new volume.
    VolumeCreate as "volume.CreateOptions" {
        name: String ["Name"],
        driver: String ["Driver"],
        driver_opts: Option<BTreeMap<String, String>> ["DriverOpts"],
        labels: Option<BTreeMap<String, String>> ["Labels"],
        cluster_volume_spec: Option<super::Empty> ["ClusterVolumeSpec"],
    }
}
