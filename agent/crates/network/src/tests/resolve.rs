//! Names, asked for from inside containers.

use super::samples::{container, id};
use super::world::{OUTSIDE, World, eventually, in_world, open, within};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::TXT};
use hull_ports::Networks;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const RESOLVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 11), 53);

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn ask_bytes(namespace: &File, bytes: &[u8], patience: Duration) -> Option<Message> {
    let socket = within(namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.connect(RESOLVER).unwrap();
    socket.send(bytes).unwrap();
    let mut buffer = [0u8; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

fn ask(namespace: &File, message: &Message) -> Message {
    ask_bytes(namespace, &message.to_vec().unwrap(), Duration::from_secs(6)).expect("an answer")
}

fn ask_stream(namespace: &File, message: &Message) -> Message {
    let mut stream = within(namespace, || TcpStream::connect(RESOLVER).unwrap());
    let bytes = message.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), bytes.as_slice()].concat()).unwrap();
    let mut length = [0u8; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0u8; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    let address = |record: &Record| if let RData::A(a) = &record.data { Some(a.0) } else { None };
    message.answers.iter().filter_map(address).collect()
}

/// Addresses of a name, asked from the calling thread's namespace.
pub(super) fn lookup(name: &str) -> Vec<Ipv4Addr> {
    let here = hull_sys::netns::current().unwrap();
    addresses(&ask(&here, &query(name, RecordType::A)))
}

/// A resolver outside: truncates `long.test` over UDP, never answers `silent.test`, counts the rest.
fn upstream(world: &World) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let at = SocketAddrV4::new(OUTSIDE, 53);
    let udp = within(&world.outside, || UdpSocket::bind(at).unwrap());
    let tcp = within(&world.outside, || TcpListener::bind(at).unwrap());
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let name = query.queries[0].name.to_ascii();
            count.fetch_add(1, Ordering::SeqCst);
            if name == "silent.test." {
                continue;
            }
            let mut answer = reply(&query);
            if name == "long.test." {
                answer.answers.clear();
                answer.metadata.truncation = true;
            }
            udp.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0u8; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0u8; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).unwrap();
            let answer = reply(&Message::from_vec(&bytes).unwrap()).to_vec().unwrap();
            let _ = stream.write_all(&[&(answer.len() as u16).to_be_bytes(), answer.as_slice()].concat());
        }
    });
    asked
}

fn reply(query: &Message) -> Message {
    let mut answer = query.clone();
    answer.metadata.message_type = MessageType::Response;
    let question = query.queries[0].clone();
    let data = match question.query_type {
        RecordType::TXT => RData::TXT(TXT::new(vec!["x".repeat(200); 4])),
        _ => RData::A(Ipv4Addr::new(203, 0, 113, 7).into()),
    };
    answer.add_answer(Record::from_rdata(question.name, 60, data));
    answer
}

#[test]
fn containers_find_each_other_by_name() {
    in_world(|world| async move {
        let a = world.network("a", "10.202.1.0/24", false).await;
        let one = open(&world.attach(&container(5, "web", &[&a], &[])).await);
        let _two = world.attach(&container(6, "web", &[&a], &[])).await;
        let mut found = addresses(&ask(&one, &query("WEB.", RecordType::A)));
        let first = found[0];
        found.sort();
        assert_eq!(found, [Ipv4Addr::new(10, 202, 1, 5), Ipv4Addr::new(10, 202, 1, 6)]);
        assert_ne!(addresses(&ask(&one, &query("web.", RecordType::A)))[0], first, "addresses take turns");
        assert_eq!(addresses(&ask_stream(&one, &query("web.", RecordType::A))).len(), 2);
        let answer = ask(&one, &query("web.", RecordType::AAAA));
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
        let answer = ask(&one, &query("6.1.202.10.in-addr.arpa.", RecordType::PTR));
        assert_eq!(answer.answers[0].data.to_string(), "web.a.");

        world.driver.detach(&id(6)).await.unwrap();
        assert_eq!(addresses(&ask(&one, &query("web.", RecordType::A))).len(), 1);
        // A resolver of the container's own does not get in our way, nor we in its.
        let own = within(&one, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).map(drop));
        let own_tcp = within(&one, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 53)).map(drop));
        assert!(own.is_ok() && own_tcp.is_ok());
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn what_is_not_known_is_asked_of_the_host_s_resolvers() {
    in_world(|world| async move {
        let asked = upstream(&world);
        let a = world.network("a", "10.202.1.0/24", false).await;
        let inner = world.network("inner", "10.202.2.0/24", true).await;
        let one = open(&world.attach(&container(5, "web", &[&a], &[])).await);
        let hidden = open(&world.attach(&container(6, "db", &[&inner], &[])).await);
        let mut custom = container(7, "custom", &[&a], &[]);
        custom.dns = vec!["192.0.2.9".to_owned(), OUTSIDE.to_string()];
        let custom = open(&world.attach(&custom).await);

        let answer = ask(&one, &query("example.com.", RecordType::A));
        assert_eq!((answer.metadata.id, addresses(&answer)), (4711, vec![Ipv4Addr::new(203, 0, 113, 7)]));
        assert_eq!(addresses(&ask_stream(&one, &query("example.com.", RecordType::A))).len(), 1);
        assert_eq!(
            addresses(&ask(&custom, &query("example.com.", RecordType::A))).len(),
            1,
            "the second server"
        );

        assert!(
            ask(&one, &query("long.test.", RecordType::TXT)).metadata.truncation,
            "800 bytes do not fit into 512"
        );
        let mut large = query("long.test.", RecordType::TXT);
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        large.edns = Some(edns);
        assert_eq!(ask(&one, &large).answers.len(), 1, "fetched over TCP for it");

        let before = asked.load(Ordering::SeqCst);
        assert_eq!(
            ask(&hidden, &query("example.com.", RecordType::A)).metadata.response_code,
            ResponseCode::NXDomain
        );
        assert_eq!(asked.load(Ordering::SeqCst), before, "an internal network asks nobody");

        std::fs::write(&world.options.resolv_conf[0], "").unwrap();
        assert_eq!(
            ask(&one, &query("example.com.", RecordType::A)).metadata.response_code,
            ResponseCode::ServFail
        );
        world.driver.reset().await.unwrap();
    });
}

#[test]
fn rubbish_and_floods_leave_the_resolver_alive() {
    in_world(|world| async move {
        let asked = upstream(&world);
        let a = world.network("a", "10.202.1.0/24", false).await;
        let one = open(&world.attach(&container(5, "web", &[&a], &[])).await);
        for length in 0..64 {
            assert!(ask_bytes(&one, &vec![0xff; length], Duration::from_millis(1)).is_none());
        }
        let flood = within(&one, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        flood.connect(RESOLVER).unwrap();
        for _ in 0..500 {
            let _ = flood.send(&query("silent.test.", RecordType::A).to_vec().unwrap());
        }
        eventually(Duration::from_secs(2), "the flood reaches its limit", || {
            asked.load(Ordering::SeqCst) >= 128
        });
        // The first try may find the socket's queue full.
        let bytes = query("web.", RecordType::A).to_vec().unwrap();
        eventually(Duration::from_secs(5), "the resolver answers", || {
            ask_bytes(&one, &bytes, Duration::from_millis(500))
                .is_some_and(|answer| addresses(&answer).len() == 1)
        });
        assert!(asked.load(Ordering::SeqCst) <= 2 * 128, "the limit holds");
        world.driver.reset().await.unwrap();
    });
}
