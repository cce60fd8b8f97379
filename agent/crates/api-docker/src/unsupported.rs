//! Docker's operations that are not here: known, so that they are refused by name.

/// Method, path (`*` is one part, `**` the rest), and what it is called. The first match counts.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("POST", "/build", "building images"),
    ("POST", "/session", "building images with BuildKit"),
    ("POST", "/grpc", "building images with BuildKit"),
    ("POST", "/networks/*/connect", "connecting a container with a further network"),
    ("POST", "/networks/*/disconnect", "disconnecting a container from a network"),
    ("PUT", "/volumes/*", "changing cluster volumes"),
    ("*", "/plugins/**", "plug-ins"),
];

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        match (wanted, parts.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(part)) if !part.is_empty() => {}
            (word, Some(part)) if word == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// What an operation of Docker's is called, if the request is one.
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static str> {
    let same = |pattern: &str| pattern == "*" || pattern == method;
    OPERATIONS.iter().find(|(m, p, _)| same(m) && matches(p, path)).map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_other_operations_are_known() {
        assert_eq!(operation("POST", "/build"), Some("building images"));
        let connect = operation("POST", "/networks/front/connect");
        assert_eq!(connect, Some("connecting a container with a further network"));
        assert_eq!(operation("GET", "/containers/web/nothing"), None);
        assert_eq!(operation("GET", "/"), None);
    }
}
