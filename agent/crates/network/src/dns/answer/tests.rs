use super::*;
use crate::tests::samples::{container, network};
use proptest::prelude::*;

fn zones() -> (Zones, Scope, Scope) {
    let (a, b) = (network("Front", "10.1.0.0/24", false), network("back", "10.2.0.0/24", true));
    let mut zones = Zones::default();
    let first = container(5, "web", &[&a, &b], &[]);
    zones.add(&first);
    zones.add(&container(6, "WEB", &[&a], &[]));
    let hidden = container(7, "db", &[&b], &[]);
    zones.add(&hidden);
    (zones, Scope::of(&container(8, "me", &[&a], &[])), Scope::of(&hidden))
}

fn ask(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// Code and addresses or names; "forward".
fn outcome(decision: Decision) -> String {
    match decision {
        Decision::Forward => "forward".to_owned(),
        Decision::Drop => "drop".to_owned(),
        Decision::Answer(message) => {
            let data: Vec<String> = message.answers.iter().map(|r| r.data.to_string()).collect();
            format!("{:?} {}", message.metadata.response_code, data.join(" ")).trim().to_owned()
        }
    }
}

#[test]
fn queries_are_answered_forwarded_or_refused() {
    let (zones, front, back) = zones();
    use RecordType::{A, AAAA, MX, PTR};
    let rows = [
        (&front, "web.", A, "NoError 10.1.0.5 10.1.0.6"),
        (&front, "wEb.", A, "NoError 10.1.0.5 10.1.0.6"),
        (&front, "web.front.", A, "NoError 10.1.0.5 10.1.0.6"),
        (&front, "web.back.", A, "forward"),
        (&front, "web.", AAAA, "NoError"),
        (&front, "web.", MX, "NoError"),
        (&front, "db.", A, "forward"),
        (&front, "example.com.", A, "forward"),
        (&front, "5.0.1.10.in-addr.arpa.", PTR, "NoError web.front."),
        (&front, "5.0.1.10.in-addr.arpa.", A, "NoError"),
        (&front, "99.0.1.10.in-addr.arpa.", PTR, "NXDomain"),
        (&front, "5.0.2.10.in-addr.arpa.", PTR, "forward"),
        (&front, "300.0.2.10.in-addr.arpa.", PTR, "forward"),
        (&back, "web.", A, "NoError 10.2.0.5"),
        (&back, "db.", A, "NoError 10.2.0.7"),
        (&back, "example.com.", A, "NXDomain"),
        (&back, "8.8.8.8.in-addr.arpa.", PTR, "NXDomain"),
    ];
    for (scope, name, kind, expected) in rows {
        assert_eq!(outcome(decide(&ask(name, kind), scope, &zones, 0)), expected, "{name} {kind}");
    }
    assert_eq!(
        outcome(decide(&ask("web.", A), &front, &zones, 1)),
        "NoError 10.1.0.6 10.1.0.5",
        "addresses take turns"
    );
}

#[test]
fn what_is_not_one_question_is_refused() {
    let (zones, front, _) = zones();
    let mut none = ask("web.", RecordType::A);
    none.queries.clear();
    assert_eq!(outcome(decide(&none, &front, &zones, 0)), "FormErr");
    let mut update = ask("web.", RecordType::A);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(outcome(decide(&update, &front, &zones, 0)), "NotImp");
    let mut response = ask("web.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(decide(&response, &front, &zones, 0), Decision::Drop);
}

#[test]
fn removed_names_are_forgotten() {
    let (mut zones, front, _) = zones();
    zones.remove(&crate::tests::samples::id(5));
    assert_eq!(zones.addresses(&front, "web"), [Ipv4Addr::new(10, 1, 0, 6)]);
    zones.remove(&crate::tests::samples::id(6));
    assert_eq!(outcome(decide(&ask("web.", RecordType::A), &front, &zones, 0)), "forward");
}

#[test]
fn long_answers_are_cut_and_say_so() {
    let a = network("a", "10.1.0.0/16", false);
    let mut zones = Zones::default();
    for number in 2..200 {
        zones.add(&container(number, "many", &[&a], &[]));
    }
    let scope = Scope::of(&container(1, "me", &[&a], &[]));
    let mut query = ask("many.", RecordType::A);
    let Decision::Answer(answer) = decide(&query, &scope, &zones, 0) else { panic!("not answered") };
    let cut = Message::from_vec(&encode(&answer, payload_limit(&query)).unwrap()).unwrap();
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.edns = Some(edns);
    let Decision::Answer(answer) = decide(&query, &scope, &zones, 0) else { panic!("not answered") };
    let whole = Message::from_vec(&encode(&answer, payload_limit(&query)).unwrap()).unwrap();
    assert_eq!(whole.answers.len(), 198);
    assert!(whole.edns.is_some());
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_dropped(bytes in proptest::collection::vec(any::<u8>(), 0..600), turn: usize) {
        let (zones, front, back) = zones();
        if let Ok(query) = Message::from_vec(&bytes) {
            for scope in [front, back] {
                if let Decision::Answer(answer) = decide(&query, &scope, &zones, turn) {
                    let _ = encode(&answer, payload_limit(&query));
                }
            }
        }
    }

    #[test]
    fn a_damaged_query_does_no_harm(at in 0usize..30, byte: u8, turn: usize) {
        let (zones, front, _) = zones();
        let mut bytes = ask("web.front.", RecordType::A).to_vec().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(query) = Message::from_vec(&bytes)
            && let Decision::Answer(answer) = decide(&query, &front, &zones, turn)
        {
            prop_assert!(encode(&answer, 512).is_none_or(|b| b.len() <= 512));
        }
    }
}
