//! Who does not reach whom, and what outsiders see.

use super::samples::{container, id, network};
use super::world::{HOST, OUTSIDE, Server, World, greet, in_world, open, within};
use crate::links;
use crate::netlink::{Batch, Socket};
use hull_model::PortSpec;
use hull_ports::{ErrorClass, Networks};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

/// A router outside that knows where containers live.
fn route_through_host(world: &World) {
    within(&world.outside, || {
        let mut route = Socket::route().unwrap();
        let index = nix::net::if_::if_nametoindex("eth0").unwrap();
        let mut batch = Batch::default();
        batch.push(links::add_default_route(index, HOST), "route");
        route.transact(batch).unwrap();
    });
}

fn bridged_packets_pass_the_rules(world: &World, yes: bool) {
    let value = if yes { "1" } else { "0" };
    within(&world.host, || {
        // Absent where the kernel has no br_netfilter.
        let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", value);
    });
}

#[test]
fn a_way_out_is_masqueraded() {
    in_world(|world| async move {
        let a = world.network("a", "10.203.1.0/24", false).await;
        let one = open(&world.attach(&container(5, "one", &[&a], &[])).await);
        let _server = Server::start(&world.outside, 80);
        assert_eq!(greet(&one, (OUTSIDE, 80)).unwrap(), HOST, "the outside sees the host");
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn networks_are_isolated() {
    in_world(|world| async move {
        for bridged in [true, false] {
            bridged_packets_pass_the_rules(&world, bridged);
            let a = world.network("a", "10.203.1.0/24", false).await;
            let b = world.network("b", "10.203.2.0/24", false).await;
            let inner = world.network("inner", "10.203.3.0/24", true).await;
            let one = open(&world.attach(&container(5, "one", &[&a], &[(8080, 80)])).await);
            let two = open(&world.attach(&container(6, "two", &[&b], &[])).await);
            let both = open(&world.attach(&container(7, "both", &[&inner, &a], &[(8081, 80)])).await);
            let hidden = open(&world.attach(&container(8, "hidden", &[&inner], &[(8082, 80)])).await);
            let servers: Vec<Server> = [&one, &two, &both, &hidden, &world.outside, &world.host]
                .map(|n| Server::start(n, 80))
                .into();
            let at = |network: &hull_model::NetworkRecord, number: u32| {
                (Ipv4Addr::from(u32::from(network.subnet.address) + number), 80)
            };

            let reach = |from: &File, to: (Ipv4Addr, u16)| greet(from, to).is_ok();
            assert!(
                reach(&both, at(&inner, 8)) && reach(&hidden, at(&inner, 7)),
                "inside an internal network"
            );
            assert!(
                reach(&both, at(&a, 5)) && reach(&both, (OUTSIDE, 80)),
                "the default route is the other one's"
            );
            assert_eq!(greet(&world.outside, (HOST, 8081)).unwrap(), OUTSIDE, "published on the way out");
            assert!(reach(&one, (HOST, 8080)) && reach(&two, (HOST, 8080)));
            assert!(reach(&world.host, at(&inner, 8)), "the host reaches all its containers");
            assert!(!reach(&two, at(&a, 5)) && !reach(&one, at(&b, 6)), "from network to network");
            assert!(!reach(&one, at(&inner, 8)) && !reach(&two, at(&inner, 7)));
            assert!(
                !reach(&hidden, (OUTSIDE, 80))
                    && !reach(&hidden, (HOST, 8080))
                    && !reach(&hidden, (HOST, 80))
            );
            assert!(!reach(&world.outside, (HOST, 8082)), "internal networks publish nothing");
            drop(servers);
            for number in 5..9 {
                world.driver.detach(&id(number)).await.unwrap();
            }
            for network in [&a, &b, &inner] {
                world.driver.remove(network).await.unwrap();
            }
        }
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn an_internal_network_has_no_way_out_even_with_a_route() {
    in_world(|world| async move {
        let inner = world.network("inner", "10.203.3.0/24", true).await;
        let hidden = open(&world.attach(&container(8, "hidden", &[&inner], &[])).await);
        let web = world.network("a", "10.203.1.0/24", false).await;
        let web = open(&world.attach(&container(5, "web", &[&web], &[(8080, 80)])).await);
        let _servers = [&world.outside, &world.host, &web].map(|n| Server::start(n, 80));
        let listen = |namespace| {
            let socket = within(namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 7777)).unwrap());
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            socket
        };
        let (outside, host) = (listen(&world.outside), listen(&world.host));
        within(&hidden, || {
            let index = nix::net::if_::if_nametoindex("eth0").unwrap();
            let mut batch = Batch::default();
            batch.push(links::add_default_route(index, inner.gateway), "route");
            Socket::route().unwrap().transact(batch).unwrap();
            // Not even a packet that needs no answer.
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            for to in [OUTSIDE, HOST, inner.gateway] {
                let _ = socket.send_to(b"secret", (to, 7777));
            }
        });
        for socket in [outside, host] {
            assert!(socket.recv(&mut [0u8; 8]).is_err(), "nothing arrives");
        }
        for to in [
            (OUTSIDE, 80),
            (HOST, 80),
            (HOST, 8080),
            (inner.gateway, 8080),
            (Ipv4Addr::new(10, 203, 1, 5), 80),
        ] {
            assert!(greet(&hidden, to).is_err(), "{to:?}");
        }
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn containers_are_reached_by_published_ports_only() {
    in_world(|world| async move {
        let a = world.network("a", "10.203.1.0/24", false).await;
        let mut local = container(5, "one", &[&a], &[(8080, 80)]);
        local.ports.push(PortSpec {
            host_ip: Some(Ipv4Addr::LOCALHOST),
            host_port: 9090,
            ..local.ports[0].clone()
        });
        local.ports.push(PortSpec { host_ip: Some(HOST), host_port: 9091, ..local.ports[0].clone() });
        let one = open(&world.attach(&local).await);
        let _server = Server::start(&one, 80);
        route_through_host(&world);
        assert!(greet(&world.outside, (HOST, 8080)).is_ok());
        assert!(
            greet(&world.outside, (Ipv4Addr::new(10, 203, 1, 5), 80)).is_err(),
            "routed past the published port"
        );
        assert!(greet(&world.outside, (Ipv4Addr::new(10, 203, 1, 1), 9090)).is_err());
        assert!(greet(&world.outside, (HOST, 9090)).is_err(), "published on loopback only");
        assert!(greet(&world.host, (Ipv4Addr::LOCALHOST, 9090)).is_ok());
        assert!(greet(&world.host, (HOST, 9090)).is_err());
        assert!(greet(&world.outside, (HOST, 9091)).is_ok());
        assert!(greet(&world.host, (Ipv4Addr::LOCALHOST, 9091)).is_err());
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn packets_for_loopback_from_elsewhere_are_dropped() {
    in_world(|world| async move {
        let a = world.network("a", "10.203.1.0/24", false).await;
        let mut spec = container(5, "one", &[&a], &[(8080, 80)]);
        spec.ports[0].host_ip = Some(Ipv4Addr::LOCALHOST);
        let one = open(&world.attach(&spec).await);
        let neighbour = open(&world.attach(&container(6, "two", &[&a], &[])).await);
        let _server = Server::start(&one, 80);
        let _host = within(&world.host, || UdpSocket::bind((Ipv4Addr::LOCALHOST, 7777)).unwrap());
        _host.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        // A neighbour that sends packets for 127.0.0.1 to the host, on its bridge (where route_localnet is set) and outside.
        for (namespace, interface, gateway) in
            [(&neighbour, "eth0", a.gateway), (&world.outside, "eth0", HOST)]
        {
            within(namespace, || {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/route_localnet"), "1").unwrap();
                let steal = format!(
                    "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via {gateway} dev {interface}"
                );
                assert!(std::process::Command::new("sh").args(["-ec", &steal]).status().unwrap().success());
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                let _ = socket.send_to(b"hello", (Ipv4Addr::LOCALHOST, 7777));
            });
            assert!(greet(namespace, (Ipv4Addr::LOCALHOST, 8080)).is_err());
        }
        assert!(_host.recv(&mut [0u8; 8]).is_err(), "nothing got through to the host's loopback");
        assert!(greet(&world.host, (Ipv4Addr::LOCALHOST, 8080)).is_ok());
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn ports_that_are_taken_are_refused_and_nothing_is_left() {
    in_world(|world| async move {
        let a = world.network("a", "10.203.1.0/24", false).await;
        world.attach(&container(5, "one", &[&a], &[(8080, 80)])).await;
        let held = within(&world.host, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 9000)).unwrap());
        let before = world.census();
        let error =
            world.driver.attach(&container(6, "two", &[&a], &[(8079, 80), (8080, 80)])).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Conflict);
        assert_eq!(error.message, "Bind for 0.0.0.0:8080 failed: port is already allocated");
        let error = world.driver.attach(&container(6, "two", &[&a], &[(9000, 80)])).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Conflict);
        assert!(error.message.contains("0.0.0.0:9000/tcp: address already in use"), "{}", error.message);
        drop(held);
        let mut bad = container(6, "two", &[&a], &[]);
        bad.endpoints[0].address = Ipv4Addr::new(10, 203, 1, 5);
        let error = world.driver.attach(&bad).await.unwrap_err();
        assert!(error.message.starts_with("address 10.203.1.5 is in use by container"), "{}", error.message);
        bad.endpoints[0].address = a.gateway;
        assert_eq!(world.driver.attach(&bad).await.unwrap_err().class, ErrorClass::Permanent);
        let unknown = network("b", "10.203.9.0/24", false);
        let error = world.driver.attach(&container(6, "two", &[&unknown], &[])).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::NotFound);
        assert_eq!(world.census(), before);
        world.attach(&container(6, "two", &[&a], &[(8079, 80), (9000, 80)])).await;
        assert_eq!(world.driver.remove(&a).await.unwrap_err().class, ErrorClass::Conflict, "in use");
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn an_attach_that_fails_half_way_leaves_nothing() {
    in_world(|world| async move {
        let a = world.network("a", "10.203.1.0/24", false).await;
        let b = world.network("b", "10.203.2.0/24", false).await;
        let before = world.census();
        // Somebody has the name of the second interface.
        within(&world.host, || {
            let name = crate::names::host_interface(&id(6), 1);
            let made =
                std::process::Command::new("ip").args(["link", "add", &name, "type", "bridge"]).status();
            assert!(made.unwrap().success());
        });
        let spec = container(6, "two", &[&a, &b], &[(8080, 80)]);
        let error = world.driver.attach(&spec).await.unwrap_err();
        assert!(error.message.contains("adding interface hv0006ababab1 to network b"), "{}", error.chain());
        let mut after = world.census();
        after.links.retain(|name| name != "hv0006ababab1");
        assert_eq!(after, before);
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn ranges_of_the_host_are_known_and_refused() {
    in_world(|world| async move {
        let a = world.network("a", "10.203.1.0/24", false).await;
        world.attach(&container(5, "one", &[&a], &[])).await;
        let routes: Vec<String> =
            world.driver.host_routes().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["192.0.2.0/24"]);
        for (subnet, by) in
            [("192.0.2.128/25", "the host's route to 192.0.2.0/24"), ("10.203.0.0/16", "network a")]
        {
            let error = world.driver.create(&network("b", subnet, false)).await.unwrap_err();
            assert_eq!(error.class, ErrorClass::Conflict);
            assert!(error.message.ends_with(&format!("overlaps {by}")), "{}", error.message);
        }
        world.driver.create(&a).await.unwrap();
        world.driver.reset().await.unwrap();
    });
}
