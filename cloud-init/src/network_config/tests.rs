use super::parse;

fn files(text: &str) -> std::collections::BTreeMap<String, String> {
    let (network, problems) = parse("network-config", text.as_bytes());
    assert_eq!(problems, [], "{text}");
    network.unwrap().files
}

#[test]
fn version_2_ethernets() {
    let files = files(
        "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    id0:\n      match: {macaddress: '52-54-00-AB-00-01'}\n      \
         set-name: lan0\n      addresses: [192.0.2.10/24, '2001:db8::2/64']\n      gateway4: 192.0.2.1\n      \
         routes: [{to: 198.51.100.0/24, via: 192.0.2.254, metric: 50, on-link: true}]\n      \
         nameservers: {addresses: [192.0.2.53], search: [example.org, a.org]}\n      mtu: 1400\n      optional: true\n    \
         eth1: {dhcp4: yes, dhcp6: true, dhcp4-overrides: {use-dns: false, route-metric: 200}}\n",
    );
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["05-hull-eth1.network", "05-hull-id0.link", "05-hull-id0.network"]
    );
    let text = &files["05-hull-id0.network"];
    for line in [
        "[Match]\nPermanentMACAddress=52:54:00:ab:00:01\n",
        "MTUBytes=1400",
        "RequiredForOnline=no",
        "DHCP=no",
        "Address=192.0.2.10/24",
        "Address=2001:db8::2/64",
        "DNS=192.0.2.53",
        "Domains=example.org a.org",
        "[Route]\nGateway=192.0.2.1\n",
        "[Route]\nDestination=198.51.100.0/24\nGateway=192.0.2.254\nMetric=50\nGatewayOnLink=yes\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(files["05-hull-id0.link"].contains("[Link]\nName=lan0\n"));
    let text = &files["05-hull-eth1.network"];
    assert!(text.contains("Name=eth1\n") && text.contains("DHCP=yes\n"), "{text}");
    assert!(text.contains("[DHCPv4]\nUseDNS=no\nRouteMetric=200\n"), "{text}");
}

#[test]
fn version_2_bonds_bridges_and_vlans() {
    let files = files(
        "version: 2\nethernets: {eth0: {}, eth1: {}}\nbonds: {bond0: {interfaces: [eth0, eth1], parameters: {mode: 802.3ad, mii-monitor-interval: 100}}}\n\
         vlans: {v5: {id: 5, link: bond0}}\nbridges: {br0: {interfaces: [v5], dhcp4: true, parameters: {stp: false}}}\n",
    );
    assert!(files["05-hull-eth1.network"].contains("Bond=bond0\n"));
    assert!(files["05-hull-bond0.network"].contains("VLAN=v5\n"));
    assert!(files["05-hull-v5.network"].contains("Bridge=br0\n"));
    assert!(
        files["05-hull-bond0.netdev"].contains("Kind=bond\n\n[Bond]\nMode=802.3ad\nMIIMonitorSec=100ms\n")
    );
    assert!(files["05-hull-v5.netdev"].contains("[VLAN]\nId=5\n"));
    assert!(files["05-hull-br0.netdev"].contains("[Bridge]\nSTP=no\n"));
}

#[test]
fn version_1() {
    let files = files(
        "version: 1\nconfig:\n- {type: physical, name: eth0, mac_address: '52:54:00:00:00:01', mtu: null, subnets: [\n    \
         {type: static, address: 192.0.2.10, netmask: 255.255.255.0, gateway: 192.0.2.1, dns_nameservers: [192.0.2.53]}]}\n\
         - {type: physical, name: eth1, subnets: [{type: dhcp}, {type: ipv6_slaac}]}\n\
         - {type: bond, name: b0, bond_interfaces: [eth2], params: {bond-mode: active-backup, bond_miimon: 100}, subnets: [{type: manual}]}\n\
         - {type: physical, name: eth2}\n- {type: vlan, name: v7, vlan_link: eth1, vlan_id: 7}\n\
         - {type: nameserver, address: [192.0.2.54], search: [example.org]}\n\
         - {type: route, destination: 198.51.100.0, netmask: 255.255.255.0, gateway: 192.0.2.9}\n",
    );
    let text = &files["05-hull-eth0.network"];
    for line in [
        "Address=192.0.2.10/24",
        "Gateway=192.0.2.1",
        "DNS=192.0.2.53",
        "DNS=192.0.2.54",
        "Destination=198.51.100.0/24",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(files["05-hull-eth0.link"].contains("Name=eth0"));
    assert!(files["05-hull-eth1.network"].contains("DHCP=ipv4\nIPv6AcceptRA=yes\n"));
    assert!(files["05-hull-eth2.network"].contains("Bond=b0"));
    assert!(files["05-hull-b0.netdev"].contains("MIIMonitorSec=100ms"));
    assert!(!files["05-hull-b0.network"].contains("DNS="));
}

#[test]
fn a_mistake_costs_its_interface_and_cannot_write_lines_of_its_own() {
    let rows = [
        ("eth0: {addresses: ['192.0.2.1/24\\n[Network]\\nDHCP=yes']}", "prefix length"),
        ("'eth0\\n[x]': {}", "not the name"),
        ("eth0: {match: {driver: \"a\\nb\"}}", "expected"),
        ("eth0: {nameservers: {search: [\"a\\nDNS=1.1.1.1\"]}}", "domain"),
        ("eth0: {set-name: '../../etc/x'}", "not the name"),
        ("'../x': {}", "not the name"),
        ("eth0: {gateway4: '::1'}", "family"),
        ("eth0: {addresses: [192.0.2.1/33]}", "prefix length"),
        ("eth0: {addresses: 192.0.2.1/24}", "expected a list"),
        ("eth0: {routes: [{via: 192.0.2.1}]}", "needs"),
        ("eth0: {mtu: 1}", "whole number"),
    ];
    for (bad, reason) in rows {
        let text = format!("version: 2\nethernets: {{{}, good: {{dhcp4: true}}}}\n", bad.replace('\'', "\""));
        let (network, problems) = parse("network-config", text.as_bytes());
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].reason.contains(reason), "{text}: {}", problems[0]);
        assert_eq!(network.unwrap().files.keys().collect::<Vec<_>>(), ["05-hull-good.network"], "{text}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, count) in [
        ("version: 2\nwifis: {wlan0: {}}", 1),
        ("version: 2\nrenderer: NetworkManager\nethernets: {eth0: {wakeonlan: true, dhpc4: true}}", 3),
        ("version: 2\nbonds: {b0: {interfaces: [nowhere]}}\nvlans: {v0: {id: 1, link: b0}}", 2),
        ("version: 3", 1),
        ("ethernets: {}", 1),
        ("config: disabled", 1),
        ("version: 1\nconfig: [{type: infiniband, name: ib0}, {name: x}, {type: physical}]", 3),
        ("version: 1\nconfig: [{type: route, destination: 198.51.100.0/24, gateway: 192.0.2.9}]", 1),
        (
            "version: 1\nconfig: [{type: physical, name: eth0, subnets: [{type: static, address: 192.0.2.1}]}]",
            1,
        ),
        ("- a", 1),
        ("a: [", 1),
    ] {
        let (_, problems) = parse("network-config", text.as_bytes());
        assert_eq!(problems.len(), count, "{text}: {problems:#?}");
        assert!(problems.iter().all(|p| !p.remedy.is_empty()), "{problems:?}");
    }
    assert_eq!(parse("network-config", b""), (None, vec![]));
}
