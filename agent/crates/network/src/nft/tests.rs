use super::host::{add, network_elements, port_element, renew};
use super::{Element, Expression, Operator, deletion_in};
use crate::netlink::{Message, Reply, attributes, text};
use crate::nft::expression::Register;
use crate::tests::samples::network;
use hull_model::{PortSpec, Protocol};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);

fn port(host_ip: Option<[u8; 4]>, host_port: u16, protocol: Protocol) -> PortSpec {
    PortSpec { host_ip: host_ip.map(Ipv4Addr::from), host_port, container_port: 80, protocol }
}

#[test]
fn a_published_port_is_one_element() {
    let rows: [(PortSpec, &str, &[u8]); 3] = [
        (port(None, 8080, Protocol::Tcp), "ports", &[6, 0, 0, 0, 0x1f, 0x90, 0, 0]),
        (port(None, 53, Protocol::Udp), "ports", &[17, 0, 0, 0, 0, 53, 0, 0]),
        (
            port(Some([127, 0, 0, 1]), 1, Protocol::Tcp),
            "ports_by_address",
            &[127, 0, 0, 1, 6, 0, 0, 0, 0, 1, 0, 0],
        ),
    ];
    for (port, set, key) in rows {
        let element = port_element(&port, CONTAINER);
        assert_eq!((element.set, element.key.as_slice()), (set, key), "{port:?}");
        assert_eq!(element.value, [10, 1, 0, 5, 0, 80, 0, 0]);
    }
}

#[test]
fn a_network_is_its_range_and_its_bridge() {
    let sets = |internal| -> Vec<&str> {
        network_elements(&network("a", "10.1.0.0/24", internal)).iter().map(|e| e.set).collect()
    };
    assert_eq!(sets(false), ["members", "same_network"]);
    assert_eq!(sets(true), ["members", "same_network", "internal"]);
    let members = &network_elements(&network("a", "10.1.0.0/24", false))[0];
    assert_eq!((&members.key[..4], &members.last[..4]), (&[10, 1, 0, 0][..], &[10, 1, 0, 255][..]));
    assert_eq!(&members.key[4..], b"hull-0a010000\0\0\0");
}

#[test]
fn an_expression_in_bytes() {
    let mut message = Message::new(0, 0, &[]);
    Expression::Compare(Register(0), Operator::NotEqual, vec![127]).encode(&mut message);
    let list = attributes(&message.body).next().unwrap();
    let parts: Vec<_> = attributes(list.value).collect();
    assert_eq!(text(parts[0].value), "cmp");
    let data: Vec<_> = attributes(parts[1].value).map(|a| (a.kind, a.value.to_vec())).collect();
    assert_eq!(data[0], (1, vec![0, 0, 0, 8]), "the first register of 32 bits");
    assert_eq!(data[1], (2, vec![0, 0, 0, 1]), "not equal");
    assert_eq!(data[2], (3, vec![5, 0, 1, 0, 127, 0, 0, 0]), "the value, padded");
}

/// Kinds of a datagram's messages without the subsystem.
fn kinds(bytes: &[u8]) -> Vec<u16> {
    Reply::split(bytes).map(|r| r.kind & 0xff).collect()
}

#[test]
fn a_change_is_a_batch_between_its_marks() {
    let element = port_element(&port(None, 80, Protocol::Tcp), CONTAINER);
    assert_eq!(kinds(&add(&[element]).encode(1)), [0x10, 12, 0x11]);
    let whole = kinds(&renew(&[]).encode(1));
    assert_eq!((whole[0], whole[1], whole[whole.len() - 1]), (0x10, 0, 0x11));
    assert!(
        !whole.contains(&2),
        "a renewal never removes the table, which has the administrator's rules in it"
    );
}

#[test]
fn many_elements_are_split_so_that_no_list_overflows() {
    let elements: Vec<Element> = (1..=u16::MAX)
        .map(|number| port_element(&port(Some([192, 0, 2, 1]), number, Protocol::Tcp), CONTAINER))
        .collect();
    let bytes = add(&elements).encode(1);
    let mut count = 0;
    for reply in Reply::split(&bytes).filter(|r| r.kind & 0xff == 12) {
        let list = attributes(&reply.body[4..]).find(|a| a.kind == 3).unwrap();
        count += attributes(list.value).count();
    }
    assert_eq!(count, elements.len());
}

#[test]
fn only_what_strangers_remove_from_our_table_counts() {
    let announced = |table: &str, kind: u16, port: u32, chain: Option<&str>| {
        let mut message = Message::new(0, 0, &[1, 0, 0, 0]);
        message.put_text(1, table);
        if let Some(chain) = chain {
            message.put_text(2, chain);
        }
        let reply = Reply { kind: 10 << 8 | kind, flags: 0, sequence: 0, port, body: &message.body };
        deletion_in(&reply, "hull", 7)
    };
    assert_eq!(announced("hull", 2, 8, None), Some(String::new()), "the table");
    assert_eq!(announced("hull", 8, 8, Some("user")), Some("user".to_owned()), "a rule, with its chain");
    assert_eq!(announced("hull", 14, 8, Some("ports")), Some(String::new()), "an element");
    assert_eq!(announced("hull", 2, 7, None), None, "we ourselves");
    assert_eq!(announced("other", 2, 8, None), None, "another table");
    assert_eq!(announced("hull", 6, 8, Some("user")), None, "a rule that was added");
}

proptest! {
    #[test]
    fn different_host_ports_have_different_elements(
        a in (any::<Option<[u8; 4]>>(), 1u16.., any::<bool>()), b in (any::<Option<[u8; 4]>>(), 1u16.., any::<bool>())
    ) {
        let element = |(ip, number, udp): (Option<[u8; 4]>, u16, bool)| {
            let element = port_element(&port(ip, number, if udp { Protocol::Udp } else { Protocol::Tcp }), CONTAINER);
            (element.set, element.key)
        };
        prop_assert_eq!(a == b, element(a) == element(b));
    }
}
