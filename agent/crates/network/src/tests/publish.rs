//! Who reaches whom.

use super::samples::{container, id};
use super::world::{HOST, OUTSIDE, Server, eventually, greet, in_world, open, within};
use hull_model::Protocol;
use hull_ports::Networks;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

#[test]
fn a_published_port_answers_from_everywhere() {
    in_world(|world| async move {
        let a = world.network("a", "10.201.1.0/24", false).await;
        let b = world.network("b", "10.201.2.0/24", false).await;
        let web = open(&world.attach(&container(5, "web", &[&a], &[(8080, 80)])).await);
        let neighbour = open(&world.attach(&container(6, "n", &[&a], &[])).await);
        let stranger = open(&world.attach(&container(7, "s", &[&b], &[])).await);
        let _server = Server::start(&web, 80);
        let address = Ipv4Addr::new(10, 201, 1, 5);

        assert_eq!(greet(&neighbour, (address, 80)).unwrap(), Ipv4Addr::new(10, 201, 1, 6));
        assert_eq!(greet(&world.host, (address, 80)).unwrap(), a.gateway);
        assert_eq!(
            greet(&world.outside, (HOST, 8080)).unwrap(),
            OUTSIDE,
            "a remote client keeps its address"
        );
        assert_eq!(greet(&world.host, (HOST, 8080)).unwrap(), HOST);
        assert_eq!(greet(&world.host, (Ipv4Addr::LOCALHOST, 8080)).unwrap(), a.gateway);
        assert_eq!(
            greet(&stranger, (HOST, 8080)).unwrap(),
            Ipv4Addr::new(10, 201, 2, 7),
            "from another network"
        );
        assert_eq!(greet(&web, (HOST, 8080)).unwrap(), a.gateway, "from the container itself");
        assert_eq!(greet(&neighbour, (HOST, 8080)).unwrap(), a.gateway);
        assert_eq!(greet(&neighbour, (a.gateway, 8080)).unwrap(), a.gateway);

        world.driver.detach(&id(5)).await.unwrap();
        assert!(greet(&world.outside, (HOST, 8080)).is_err());
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn datagrams_find_their_container_and_its_successor() {
    in_world(|world| async move {
        let a = world.network("a", "10.201.1.0/24", false).await;
        let client = within(&world.outside, || UdpSocket::bind((OUTSIDE, 4000)).unwrap());
        client.connect((HOST, 5353)).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        // Conntrack remembers this one as not translated; the kernel answers that nobody listens.
        let _ = client.send(b"too early");
        let _ = client.recv(&mut [0u8; 64]);
        for number in [5u16, 6] {
            let mut spec = container(number, "dns", &[&a], &[(5353, 53)]);
            spec.ports[0].protocol = Protocol::Udp;
            let dns = open(&world.attach(&spec).await);
            let server = within(&dns, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap());
            server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            eventually(Duration::from_secs(2), "the container hears the client", || {
                let _ = client.send(b"hello");
                server.recv_from(&mut [0u8; 64]).is_ok_and(|(_, from)| from == (OUTSIDE, 4000).into())
            });
            server.send_to(&[number as u8], (OUTSIDE, 4000)).unwrap();
            eventually(Duration::from_secs(2), "the client hears the container", || {
                let mut answer = [0u8; 64];
                client.recv(&mut answer).is_ok_and(|_| u16::from(answer[0]) == number)
            });
            world.driver.detach(&spec.container).await.unwrap();
        }
        world.driver.reset().await.unwrap();
    });
}
