//! Where a registry's content is asked for, in which order. Pure.

use hull_model::Registry;
use hull_ports::{Credentials, PullOptions};
use std::collections::BTreeMap;

/// How far the way to an endpoint is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTPS, its certificate verified.
    Https,
    /// HTTPS without verification, or else plain HTTP.
    Insecure,
    /// HTTPS, its certificate verified, or else plain HTTP: nobody listens on the way within this host.
    Loopback,
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

/// The registry that short names mean.
pub(super) const DEFAULT_REGISTRY: &str = "docker.io";
/// The host that serves the default registry's content.
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";

/// A registry's mirrors in order, then the registry itself, which alone is shown the caller's credentials. A mirror has
/// credentials only if it is declared on its own.
pub(crate) fn endpoints(registry: &str, options: &PullOptions) -> Vec<Endpoint> {
    let registries = &options.registries;
    let mirrors = registries.get(registry).map(|r| r.mirrors.as_slice()).unwrap_or_default();
    let mut all: Vec<Endpoint> = mirrors.iter().map(|mirror| self::mirror(mirror, registries)).collect();
    all.push(origin(registry, options));
    all
}

/// The registry itself: where pushes and logins go.
pub(crate) fn origin(registry: &str, options: &PullOptions) -> Endpoint {
    let host = if registry == DEFAULT_REGISTRY { DEFAULT_REGISTRY_HOST } else { registry };
    let mut endpoint = declared(host, options.registries.get(registry));
    let given = options.credentials.as_ref().filter(|given| !is_anonymous(given));
    endpoint.credentials = given.cloned().or(endpoint.credentials);
    endpoint
}

/// Whether they prove nothing: clients send empty ones for somebody who has not logged in.
pub(crate) fn is_anonymous(credentials: &Credentials) -> bool {
    let Credentials { username, password, identitytoken, registrytoken, serveraddress: _ } = credentials;
    [username, password, identitytoken, registrytoken].into_iter().all(String::is_empty)
}

/// Whether a host, with or without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
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
        let password = r.password.clone().unwrap_or_default();
        Some(Credentials { username: r.username.clone()?, password, ..Credentials::default() })
    });
    let insecure = registry.is_some_and(|r| r.insecure);
    let transport = match (insecure, is_loopback(host)) {
        (true, _) => Transport::Insecure,
        (false, true) => Transport::Loopback,
        (false, false) => Transport::Https,
    };
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
        let found = endpoints("docker.io", &PullOptions { registries, ..PullOptions::default() });
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
        let found = endpoints("r.example:5000", &PullOptions::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].transport, Transport::Https);
    }

    #[test]
    fn the_callers_credentials_are_the_registrys_alone() {
        let me = Credentials { username: "me".into(), password: "mine".into(), ..Credentials::default() };
        let mirrored = Registry { mirrors: vec!["m:5000".into()], ..Registry::default() };
        let registries: BTreeMap<_, _> = [("r.example".to_owned(), mirrored)].into();
        let found = endpoints(
            "r.example",
            &PullOptions { registries, credentials: Some(me.clone()), platform: None },
        );
        assert_eq!(found[0].credentials, None);
        assert_eq!(found[1].credentials, Some(me));
        let nobody = PullOptions { credentials: Some(Credentials::default()), ..PullOptions::default() };
        assert_eq!(origin("r.example", &nobody).credentials, None);
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1:127", "127.example", "[::2]", "", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
