//! Who reaches whom.

use super::samples::{container, id};
use super::world::{HOST, OUTSIDE, Server, greet, in_world, open};
use hull_ports::Networks;
use std::net::Ipv4Addr;

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
