//! Addresses: which range a network gets, which address a container.

use hull_model::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Where ranges are cut from, in order: 1,024 networks, then 1,024 more, then 256.
pub const POOLS: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 88, 0, 0), 14),
    (Ipv4Addr::new(172, 24, 0, 0), 14),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];
/// Size of a range that nobody asked for in particular: 253 containers.
pub const SLICE: u8 = 24;

/// Chooses a range that overlaps none of those in use. `None` if all are taken.
pub fn choose_subnet(in_use: &[Ipv4Net]) -> Option<Ipv4Net> {
    let slices = POOLS.iter().flat_map(|(base, prefix)| {
        let count = 1u32 << (SLICE - prefix);
        (0..count)
            .filter_map(move |n| Ipv4Net::new(Ipv4Addr::from(u32::from(*base) + (n << (32 - SLICE))), SLICE))
    });
    slices.into_iter().find(|slice| !in_use.iter().any(|net| net.overlaps(slice)))
}

/// The address of a network's bridge if none was asked for: the first. `None` if the range has no room for hosts.
pub fn gateway(subnet: &Ipv4Net) -> Option<Ipv4Addr> {
    subnet.hosts().next()
}

/// Chooses an address for a container: the wanted one if it is free, the lowest free one otherwise.
/// `None` if the wanted one cannot be had, or nothing is free.
pub fn choose_address(
    subnet: &Ipv4Net,
    gateway: Ipv4Addr,
    in_use: &BTreeSet<Ipv4Addr>,
    wanted: Option<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let free = |a: &Ipv4Addr| *a != gateway && !in_use.contains(a);
    match wanted {
        Some(address) => {
            let usable = subnet.contains(address) && address != subnet.address && address != subnet.last();
            Some(address).filter(|a| usable && free(a))
        }
        None => subnet.hosts().find(free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> Ipv4Net {
        Ipv4Net::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn ranges_keep_clear_of_what_is_routed() {
        assert_eq!(choose_subnet(&[]), Some(net("10.88.0.0/24")));
        assert_eq!(choose_subnet(&[net("10.88.0.0/24")]), Some(net("10.88.1.0/24")));
        assert_eq!(choose_subnet(&[net("10.0.0.0/8")]), Some(net("172.24.0.0/24")));
        assert_eq!(choose_subnet(&[net("10.0.0.0/8"), net("172.16.0.0/12"), net("192.168.0.0/16")]), None);
    }

    #[test]
    fn a_wanted_address_is_given_or_refused() {
        let subnet = net("10.88.0.0/29");
        let gateway = gateway(&subnet).unwrap();
        let used = BTreeSet::from(["10.88.0.2".parse().unwrap()]);
        let choose = |wanted: &str| choose_address(&subnet, gateway, &used, Some(wanted.parse().unwrap()));
        assert!(choose("10.88.0.5").is_some());
        for bad in ["10.88.0.0", "10.88.0.1", "10.88.0.2", "10.88.0.7", "10.88.0.8"] {
            assert_eq!(choose(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn addresses_never_repeat_until_the_range_is_full(prefix in 24u8..=30) {
            let subnet = Ipv4Net::new(Ipv4Addr::new(10, 88, 0, 0), prefix).unwrap();
            let gateway = gateway(&subnet).unwrap();
            let mut used = BTreeSet::new();
            while let Some(address) = choose_address(&subnet, gateway, &used, None) {
                prop_assert!(subnet.contains(address) && address != gateway);
                prop_assert!(used.insert(address));
            }
            prop_assert_eq!(used.len(), (1usize << (32 - prefix)) - 3);
        }

        #[test]
        fn chosen_ranges_never_overlap(count in 1usize..40) {
            let mut used: Vec<Ipv4Net> = Vec::new();
            for _ in 0..count {
                let subnet = choose_subnet(&used).unwrap();
                prop_assert!(!used.iter().any(|u| u.overlaps(&subnet)));
                used.push(subnet);
            }
        }
    }
}
