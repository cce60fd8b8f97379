//! Doors for fuzzing: the pure parts that read what clients send.

use crate::create::{Machine, Surroundings, check, translate};
use crate::query::Query;
use crate::request::{CreateRequest, document};
use crate::version::Spoken;
use hull_model::{Digest, Image, ImageConfig, Name, Reference};

/// Reads a create request; what is understood is translated, and told again.
pub fn create(body: &[u8]) {
    let Ok(request) = document::<CreateRequest>(body) else { return };
    if check(&request).is_err() {
        return;
    }
    let Ok(reference) = Reference::parse("web:1") else { return };
    let image = Image {
        id: Digest::from_sha256([1; 32]),
        manifest: Digest::from_sha256([2; 32]),
        references: Default::default(),
        layers: Vec::new(),
        config: ImageConfig { cmd: vec!["sh".to_owned()], ..ImageConfig::default() },
        architecture: "amd64".to_owned(),
        size: 0,
        created: String::new(),
        os: "linux".to_owned(),
        variant: String::new(),
        author: String::new(),
        comment: String::new(),
        repo_digests: Default::default(),
        tagged: None,
        parent: None,
    };
    let machine =
        Machine { cpus: "0-1".to_owned(), nodes: "0".to_owned(), blkio_weight: true, unified: true };
    for spoken in [Spoken(1, 24), Spoken(1, 51)] {
        let around = Surroundings {
            spoken,
            machine: &machine,
            networks: &[],
            taken: &[],
            exists: &|path| path.as_os_str().len() % 2 == 0,
        };
        let name = || Name::new("web").unwrap_or_else(|e| panic!("{e}"));
        let Ok(made) = translate(request.clone(), name(), reference.clone(), &image, &around, name) else {
            continue;
        };
        assert!(made.spec.mounts.iter().all(|m| m.target.is_absolute()), "a mount of nowhere");
        let host = serde_json::to_vec(&made.request["HostConfig"]).unwrap_or_default();
        let again = document::<crate::request::HostConfig>(&host);
        let told = again.map(|h| serde_json::to_value(h).unwrap_or_default());
        assert_eq!(told.ok().as_ref(), Some(&made.request["HostConfig"]), "what is shown can be asked for");
    }
}

/// Reads a query and the little languages within it.
pub fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let query = Query::parse(Some(&text));
    _ = (query.flag("stream"), query.time("since"), crate::exec::dimensions(&query));
    _ = crate::containers::wanted(query.text("filters"));
    _ = crate::prune::Picker::read(query.text("filters"), &[], jiff::Timestamp::UNIX_EPOCH);
    _ = crate::top::columns(&text);
    if let Ok(keys) = crate::escape::parse(&text) {
        let mut scanner = crate::escape::Scanner::new(keys);
        _ = scanner.feed(bytes);
    }
}
