//! Networks: those of containers, and the host's own.

use crate::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 network: address and prefix length. Host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ipv4Net {
    /// Network address.
    pub address: Ipv4Addr,
    /// Prefix length, 0 to 32.
    pub prefix: u8,
}

impl Ipv4Net {
    /// Makes a network from any address in it; host bits are cleared. `None` if the prefix is over 32.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        let mask = Self::mask_bits(prefix)?;
        Some(Self { address: Ipv4Addr::from(u32::from(address) & mask), prefix })
    }

    fn mask_bits(prefix: u8) -> Option<u32> {
        match prefix {
            0 => Some(0),
            1..=32 => Some(u32::MAX << (32 - u32::from(prefix))),
            _ => None,
        }
    }

    /// Whether the address lies in this network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        Self::new(address, self.prefix).is_some_and(|net| net.address == self.address)
    }

    /// Whether any address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// The last address: the broadcast address of networks larger than /31.
    pub fn last(&self) -> Ipv4Addr {
        let mask = Self::mask_bits(self.prefix).unwrap_or(u32::MAX);
        Ipv4Addr::from(u32::from(self.address) | !mask)
    }

    /// The addresses that hosts may have, first to last, without network and broadcast address.
    pub fn hosts(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let (first, last) = (u32::from(self.address), u32::from(self.last()));
        (first.saturating_add(1)..last).map(Ipv4Addr::from)
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Ipv4Net {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fail = || format!("{text:?} is not an IPv4 network; write it like \"10.89.1.0/24\"");
        let (address, prefix) = text.split_once('/').ok_or_else(fail)?;
        let address = address.parse().map_err(|_| fail())?;
        let net = prefix.parse().ok().and_then(|p| Self::new(address, p)).ok_or_else(fail)?;
        if net.address == address { Ok(net) } else { Err(fail()) }
    }
}

impl From<Ipv4Net> for String {
    fn from(net: Ipv4Net) -> String {
        net.to_string()
    }
}

/// A container's hardware address: locally administered, unicast, `02:42` and the IPv4 address. It follows the address,
/// so that neighbours' caches stay right when the address gets a new container.
pub fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// What a bridge network should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The network's name, as services use it.
    pub name: Name,
    /// Addresses to hand out; `None` lets the host choose a range that is free of its own routes.
    #[serde(default)]
    pub subnet: Option<Ipv4Net>,
    /// Address of the bridge; `None` is the first of the subnet.
    #[serde(default)]
    pub gateway: Option<Ipv4Addr>,
    /// Without a way out: no NAT, no published ports, no upstream DNS.
    #[serde(default)]
    pub internal: bool,
    /// Labels, shown and filtered on.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// How the host's own interfaces are configured: systemd-networkd files, by file name, ready to be written.
/// Made from cloud-init's network-config by a pure function; empty means DHCP on every wired interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostNetwork {
    /// File name (`10-hull-eth0.network`) to content.
    pub files: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_local_and_unicast() {
        let mac = hardware_address("10.89.1.2".parse().unwrap());
        assert_eq!(mac, [0x02, 0x42, 10, 89, 1, 2]);
        assert_eq!(mac[0] & 0b11, 0b10);
    }

    #[test]
    fn networks_know_their_addresses() {
        let net = Ipv4Net::try_from("10.89.1.0/29".to_owned()).unwrap();
        assert!(net.contains("10.89.1.7".parse().unwrap()));
        assert!(!net.contains("10.89.1.8".parse().unwrap()));
        assert_eq!(net.last().to_string(), "10.89.1.7");
        assert_eq!(net.hosts().count(), 6);
        assert!(net.overlaps(&Ipv4Net::try_from("10.0.0.0/8".to_owned()).unwrap()));
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0", "x/8"] {
            assert!(Ipv4Net::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
