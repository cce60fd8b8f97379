//! Values of network-config, each checked for what it is.

use crate::node::{Node, Read};
use std::net::{IpAddr, Ipv4Addr};

/// An address.
pub(super) fn ip(node: &Node<'_>) -> Read<IpAddr> {
    let text = node.text("192.0.2.1")?;
    text.parse().map_err(|_| node.expected("an IP address", "192.0.2.1"))
}

/// An address with its prefix length.
pub(super) fn cidr(node: &Node<'_>) -> Read<(IpAddr, u8)> {
    let text = node.text("192.0.2.10/24")?;
    parse_cidr(text).ok_or_else(|| node.expected("an IP address with its prefix length", "192.0.2.10/24"))
}

/// Parses `ADDRESS/PREFIX`.
pub(super) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|p: &u8| digits && *p <= most)?;
    Some((address, prefix))
}

/// A netmask as a prefix length: `255.255.255.0`, `ffff:ffff::`, or the number itself.
pub(super) fn netmask(node: &Node<'_>) -> Read<u8> {
    let text = node.scalar("255.255.255.0")?;
    let from_v4 = |mask: Ipv4Addr| {
        let bits = u32::from(mask);
        (bits.leading_ones() + bits.trailing_zeros() >= 32).then(|| bits.leading_ones() as u8)
    };
    let from_v6 =
        |bits: u128| (bits.leading_ones() + bits.trailing_zeros() >= 128).then(|| bits.leading_ones() as u8);
    let prefix = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(mask)) => from_v4(mask),
        Ok(IpAddr::V6(mask)) => from_v6(mask.into()),
        Err(_) => text.parse().ok().filter(|p| *p <= 128),
    };
    prefix.ok_or_else(|| node.expected("a netmask", "255.255.255.0"))
}

/// The name of an interface, as the kernel takes it.
pub(super) fn interface_name(node: &Node<'_>) -> Read<String> {
    let text = node.text("eth0")?;
    let good = (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !matches!(text, "." | "..");
    if good {
        return Ok(text.to_owned());
    }
    let remedy = "use at most 15 letters, digits, '.', '_' and '-'";
    Err(node.issue(format!("{text:?} is not the name of an interface"), remedy))
}

/// What an interface is called within the document.
pub(super) fn id(text: &str, node: &Node<'_>) -> Read<String> {
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !text.starts_with('.');
    if good {
        return Ok(text.to_owned());
    }
    Err(node
        .issue(format!("{text:?} is not the name of an interface"), "use letters, digits, '.', '_' and '-'"))
}

/// Ids of interfaces.
pub(super) fn ids(node: &Node<'_>) -> Read<Vec<String>> {
    node.items("[eth0, eth1]")?.iter().map(|item| id(item.text("eth0")?, item)).collect()
}

/// A name or driver to match, which may hold `*`, `?` and `[…]`.
pub(super) fn pattern(node: &Node<'_>) -> Read<String> {
    let text = node.text("enp*")?;
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-*?[]".contains(&b));
    if good { Ok(text.to_owned()) } else { Err(node.expected("a name, with * and ? if need be", "enp*")) }
}

/// A hardware address, in lower case.
pub(super) fn mac(node: &Node<'_>) -> Read<String> {
    let text = node.text("\"52:54:00:12:34:56\"")?.to_ascii_lowercase().replace('-', ":");
    let byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if text.split(':').count() == 6 && text.split(':').all(byte) {
        return Ok(text);
    }
    Err(node.expected("a hardware address", "\"52:54:00:12:34:56\""))
}

/// A domain to search; `~` before it makes it a routing domain.
pub(super) fn domain(node: &Node<'_>) -> Read<String> {
    let text = node.text("example.org")?;
    let bare = text.strip_prefix('~').unwrap_or(text).trim_end_matches('.');
    let good = bare.is_empty() && text == "~." || crate::cloud_config::is_hostname(bare);
    if good { Ok(text.to_owned()) } else { Err(node.expected("a domain", "example.org")) }
}

/// The largest packet.
pub(super) fn mtu(node: &Node<'_>) -> Read<u64> {
    node.integer(68..=65_535)
}

/// One of a few words.
pub(super) fn one_of(node: &Node<'_>, words: &[&str]) -> Read<String> {
    let text = node.scalar(words[0])?;
    if words.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(node.issue(format!("{text:?} is not known here"), format!("use one of {}", words.join(", "))))
}

/// Whether an address lies in the network of another.
pub(super) fn same_network(address: IpAddr, prefix: u8, other: IpAddr) -> bool {
    match (address, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            u32::from(a) & mask == u32::from(b) & mask
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            u128::from(a) & mask == u128::from(b) & mask
        }
        _ => false,
    }
}
