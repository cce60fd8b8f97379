//! `WWW-Authenticate` (RFC 9110 §11.6.1, distribution specification "Token authentication"). Pure.

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// Where tokens are had.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it should allow.
        scope: Option<String>,
    },
}

/// Reads one header; Bearer is preferred if it offers both. `None` if it offers nothing we can do.
pub(crate) fn parse(header: &str) -> Option<Challenge> {
    let mut found = None;
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (scheme, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let (parameters, next) = parameters(after);
        let get =
            |key: &str| parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.clone());
        if scheme.eq_ignore_ascii_case("bearer") {
            if let Some(realm) = get("realm") {
                return Some(Challenge::Bearer { realm, service: get("service"), scope: get("scope") });
            }
        } else if scheme.trim_end_matches(',').eq_ignore_ascii_case("basic") {
            found = Some(Challenge::Basic);
        }
        rest = next.trim_start_matches([',', ' ']);
    }
    found
}

/// `key=value, key="value"` until something that is not a parameter: the next scheme.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        let start = text.trim_start_matches([',', ' ']);
        let key_end = start.find(['=', ' ', ',']).unwrap_or(start.len());
        if key_end == 0 || !start[key_end..].starts_with('=') {
            return (found, start);
        }
        let (key, value) = (&start[..key_end], &start[key_end + 1..]);
        match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, rest) = unquote(quoted);
                found.push((key.to_owned(), value));
                text = rest;
            }
            None => {
                let end = value.find([',', ' ']).unwrap_or(value.len());
                found.push((key.to_owned(), value[..end].to_owned()));
                text = &value[end..];
            }
        }
    }
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Whether credentials for the registry `host` may be shown to a token server at `realm`: the same host, or another one of
/// the same site, as `auth.docker.io` is for `registry-1.docker.io`. Ports do not matter.
pub(crate) fn same_site(host: &str, realm: &str) -> bool {
    let (host, realm) = (host.to_ascii_lowercase(), realm.to_ascii_lowercase());
    if host == realm {
        return true;
    }
    let is_address = |text: &str| text.starts_with('[') || text.parse::<std::net::IpAddr>().is_ok();
    if is_address(&host) || is_address(&realm) {
        return false;
    }
    let below = |name: &str, parent: &str| name.strip_suffix(parent).is_some_and(|left| left.ends_with('.'));
    // A parent of fewer than two labels is a public suffix, not a site.
    let site = host.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
    below(&realm, &host) && host.contains('.')
        || site.is_some_and(|site| realm == site || below(&realm, site))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        })
    }

    #[test]
    fn challenges() {
        let rows = [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a/token\",service=\"r\",scope=\"repository:x:pull,push\"",
                bearer("https://a/token", Some("r"), Some("repository:x:pull,push")),
            ),
            ("Bearer realm=https://a/token, service=r", bearer("https://a/token", Some("r"), None)),
            ("Basic realm=\"x\", Bearer realm=\"https://a\"", bearer("https://a", None, None)),
            ("Bearer service=\"r\"", None),
            ("Negotiate", None),
            ("", None),
            ("Bearer realm=\"a\\\"b", bearer("a\"b", None, None)),
        ];
        for (text, wanted) in rows {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn any_text_ends() {
        for text in
            ["= = =", "a=b=c", "Basic =", "Bearer \"\"", ",,,,", "Bearer realm", "\"", "Basic \u{e9}=\u{e9}"]
        {
            let _ = parse(text);
        }
    }

    #[test]
    fn sites() {
        let rows = [
            ("registry-1.docker.io", "auth.docker.io", true),
            ("registry.example.com", "gitlab.example.com", true),
            ("quay.io", "quay.io", true),
            ("quay.io", "auth.quay.io", true),
            ("quay.io", "evil.io", false),
            ("registry.example.com", "evil.com", false),
            ("registry.example.com", "evilexample.com", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "9.0.0.1", false),
            ("localhost", "evil.localhost", false),
        ];
        for (host, realm, wanted) in rows {
            assert_eq!(same_site(host, realm), wanted, "{host} {realm}");
        }
    }
}
