//! Whatever comes in, a layer comes out.

use crate::cloud_config::parse;
use hull_model::{HostFacts, Severity, Source};
use proptest::prelude::*;

const DEMO: &[u8] = include_bytes!("../testdata/demo.yaml");

fn check(bytes: &[u8]) {
    let layer = parse(Source::UserData, "user-data", bytes, &HostFacts::default());
    let errors = layer.problems.iter().filter(|p| p.severity == Severity::Error);
    assert!(
        layer.problems.iter().all(|p| !p.reason.is_empty() && !p.remedy.is_empty()),
        "{:?}",
        layer.problems
    );
    if layer.workloads.is_some() {
        let section = |p: &str| ["services", "networks", "volumes"].iter().any(|s| p.starts_with(s));
        assert_eq!(errors.filter(|p| section(&p.object)).count(), 0);
    }
}

const NETWORK: &str = "version: 2\nethernets:\n  eth0:\n    match: {macaddress: '52:54:00:00:00:01'}\n    set-name: a\n    \
    addresses: [192.0.2.1/24]\n    routes: [{to: default, via: 192.0.2.2}]\n    nameservers: {search: [a.org]}\n";

proptest! {
    /// No value of the document begins a line of its own, whatever is in it.
    #[test]
    fn network_config(at in 0..NETWORK.len(), word in "[-\\[\\]{}:,\"\\\\n \n0-9a-z]{0,8}", cut in 0..6usize) {
        let end = (at + cut).min(NETWORK.len());
        let text = format!("{}{word}{}", &NETWORK[..at], &NETWORK[end..]);
        let (network, problems) = crate::network_config::parse("network-config", text.as_bytes());
        assert!(problems.iter().all(|p| !p.reason.is_empty() && !p.remedy.is_empty()));
        for (name, unit) in network.iter().flat_map(|n| &n.files) {
            assert!(!name.contains('/'));
            let line = |l: &str| l.is_empty() || l.starts_with(['#', '[']) || l.split_once('=').is_some_and(|(k, _)| k.bytes().all(|b| b.is_ascii_alphanumeric()));
            assert!(unit.lines().all(line), "{unit}");
        }
        crate::meta_data::parse(text.as_bytes());
    }

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), header in any::<bool>()) {
        let header = if header { &b"#cloud-config\n"[..] } else { b"" };
        check(&[header, &bytes].concat());
    }

    #[test]
    fn mutated_documents(
        edits in proptest::collection::vec((0..DEMO.len(), prop_oneof![Just(None), any::<u8>().prop_map(Some)]), 1..6),
        words in proptest::collection::vec((0..DEMO.len(), "[-\\[\\]{}:,&*!|>'\"$ \n0-9a-z]{1,6}"), 0..4),
    ) {
        let mut bytes = DEMO.to_vec();
        for (at, edit) in edits {
            let at = at.min(bytes.len() - 1);
            match edit {
                Some(byte) => bytes[at] = byte,
                None => { bytes.remove(at); }
            }
        }
        for (at, word) in words {
            let at = at.min(bytes.len());
            bytes.splice(at..at, word.bytes());
        }
        check(&bytes);
    }

    /// Each value of the document replaced by each kind of value: types are never taken for granted.
    #[test]
    fn wrong_types(at in 0..60usize, with in prop_oneof![
        Just("null"), Just("true"), Just("-1"), Just("1.5"), Just("''"), Just("text"), Just("[]"), Just("[1, [2]]"),
        Just("{}"), Just("{a: {b: c}}"), Just("!tag x"), Just("18446744073709551616"), Just("'${A:-${B'"),
    ]) {
        let text = std::str::from_utf8(DEMO).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = at % lines.len();
        if let Some((key, _)) = lines[at].clone().split_once(':') {
            lines[at] = format!("{key}: {with}");
        }
        check(lines.join("\n").as_bytes());
    }
}
