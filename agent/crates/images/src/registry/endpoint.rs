//! Where a registry's content is asked for, in which order. Pure.

use hull_model::Registry;
use std::collections::BTreeMap;

/// User name and password of one registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.username)
    }
}

/// How far the way to an endpoint is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTPS, its certificate verified.
    Https,
    /// HTTPS without verification, or else plain HTTP.
    Insecure,
    /// Plain HTTP.
    Http,
}

/// One place that may have the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Host, with a port if one was given: where connections go.
    pub(crate) host: String,
    pub(crate) transport: Transport,
    pub(crate) credentials: Option<Credentials>,
}

/// The host that serves the default registry's content.
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";

/// A registry's mirrors in order, then the registry itself. A mirror has credentials only if it is declared on its own.
pub(crate) fn endpoints(registry: &str, registries: &BTreeMap<String, Registry>) -> Vec<Endpoint> {
    let mirrors = registries.get(registry).map(|r| r.mirrors.as_slice()).unwrap_or_default();
    let mut all: Vec<Endpoint> = mirrors.iter().map(|mirror| self::mirror(mirror, registries)).collect();
    let host = if registry == "docker.io" { DEFAULT_REGISTRY_HOST } else { registry };
    all.push(declared(host, registries.get(registry)));
    all
}

fn mirror(text: &str, registries: &BTreeMap<String, Registry>) -> Endpoint {
    let text = text.trim_end_matches('/');
    let (host, transport) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(host), _) => (host, Some(Transport::Http)),
        (_, Some(host)) => (host, Some(Transport::Https)),
        _ => (text, None),
    };
    let declared = declared(host, registries.get(host));
    let transport = match (transport, declared.transport) {
        // An address says HTTPS, its own entry that the certificate does not matter.
        (Some(Transport::Https), Transport::Insecure) | (None, Transport::Insecure) => Transport::Insecure,
        (given, declared) => given.unwrap_or(declared),
    };
    Endpoint { transport, ..declared }
}

fn declared(host: &str, registry: Option<&Registry>) -> Endpoint {
    let credentials = registry.and_then(|r| {
        Some(Credentials { username: r.username.clone()?, password: r.password.clone().unwrap_or_default() })
    });
    let insecure = registry.is_some_and(|r| r.insecure);
    let transport = if insecure { Transport::Insecure } else { Transport::Https };
    Endpoint { host: host.to_owned(), transport, credentials }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_first_and_have_their_own_credentials() {
        let mut registries = BTreeMap::new();
        registries.insert(
            "docker.io".to_owned(),
            Registry {
                mirrors: vec!["http://m1:5000/".into(), "m2".into(), "https://m3".into()],
                username: Some("me".into()),
                password: Some("secret".into()),
                ..Registry::default()
            },
        );
        registries.insert("m2".to_owned(), Registry { insecure: true, ..Registry::default() });
        let found = endpoints("docker.io", &registries);
        let shown: Vec<(&str, Transport, bool)> =
            found.iter().map(|e| (e.host.as_str(), e.transport, e.credentials.is_some())).collect();
        assert_eq!(
            shown,
            [
                ("m1:5000", Transport::Http, false),
                ("m2", Transport::Insecure, false),
                ("m3", Transport::Https, false),
                ("registry-1.docker.io", Transport::Https, true),
            ]
        );
        assert!(!format!("{found:?}").contains("secret"));
    }

    #[test]
    fn an_unknown_registry_is_asked_over_https() {
        let found = endpoints("r.example:5000", &BTreeMap::new());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].transport, Transport::Https);
    }
}
