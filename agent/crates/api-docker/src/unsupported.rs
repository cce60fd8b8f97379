//! Docker's operations that are not here: known, so that they are refused by name.

/// Method, path (`*` is one part, `**` the rest), and what it is called. The first match counts.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("POST", "/build", "building images"),
    ("POST", "/session", "building images with BuildKit"),
    ("POST", "/grpc", "building images with BuildKit"),
    ("*", "/networks/**", "changing networks by hand"),
    ("*", "/volumes/**", "changing volumes by hand"),
    ("PUT", "/volumes/*", "changing volumes by hand"),
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
        assert_eq!(operation("POST", "/containers/create"), Some("creating containers by hand"));
        assert_eq!(
            operation("PUT", "/containers/web/archive"),
            Some("copying files into and out of a container")
        );
        assert_eq!(operation("POST", "/build"), Some("building images"));
        assert_eq!(operation("POST", "/networks/create"), Some("changing networks by hand"));
        assert_eq!(operation("GET", "/containers/web/nothing"), None);
        assert_eq!(operation("GET", "/"), None);
    }
}
