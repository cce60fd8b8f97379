//! Docker's operations that are not here: known, so that they are refused by name.

/// Method, path (`*` is one part, `**` the rest), and what it is called. The first match counts.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("POST", "/containers/create", "creating containers by hand"),
    ("POST", "/containers/prune", "removing unused containers"),
    ("GET", "/containers/*/top", "listing the processes of a container"),
    ("GET", "/containers/*/changes", "listing the changes of a container"),
    ("GET", "/containers/*/export", "exporting a container"),
    ("GET", "/containers/*/stats", "container statistics"),
    ("POST", "/containers/*/resize", "resizing the terminal of a container"),
    ("POST", "/containers/*/update", "changing a container in place"),
    ("POST", "/containers/*/rename", "renaming a container"),
    ("POST", "/containers/*/pause", "pausing a container"),
    ("POST", "/containers/*/unpause", "resuming a container"),
    ("POST", "/containers/*/attach", "attaching to a container"),
    ("GET", "/containers/*/attach/ws", "attaching to a container"),
    ("*", "/containers/*/archive", "copying files into and out of a container"),
    ("POST", "/images/create", "pulling images by hand"),
    ("POST", "/images/load", "loading images"),
    ("POST", "/images/prune", "removing unused images"),
    ("GET", "/images/search", "searching for images"),
    ("GET", "/images/get", "saving images"),
    ("POST", "/images/**", "pushing and tagging images"),
    ("DELETE", "/images/**", "removing images by hand"),
    ("POST", "/build", "building images"),
    ("POST", "/build/prune", "removing the build cache"),
    ("POST", "/commit", "committing a container to an image"),
    ("POST", "/session", "building images with BuildKit"),
    ("POST", "/grpc", "building images with BuildKit"),
    ("GET", "/distribution/**", "looking up images in a registry"),
    ("*", "/networks/**", "changing networks by hand"),
    ("*", "/volumes/**", "changing volumes by hand"),
    ("PUT", "/volumes/*", "changing volumes by hand"),
    ("GET", "/system/df", "disk usage"),
    ("POST", "/auth", "logging in to a registry"),
    ("*", "/swarm", "swarm mode"),
    ("*", "/swarm/**", "swarm mode"),
    ("*", "/nodes", "swarm mode"),
    ("*", "/nodes/**", "swarm mode"),
    ("*", "/services", "swarm mode"),
    ("*", "/services/**", "swarm mode"),
    ("*", "/tasks", "swarm mode"),
    ("*", "/tasks/**", "swarm mode"),
    ("*", "/secrets", "swarm mode"),
    ("*", "/secrets/**", "swarm mode"),
    ("*", "/configs", "swarm mode"),
    ("*", "/configs/**", "swarm mode"),
    ("*", "/plugins", "plug-ins"),
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
        assert_eq!(operation("DELETE", "/images/a/b:1"), Some("removing images by hand"));
        assert_eq!(operation("POST", "/networks/create"), Some("changing networks by hand"));
        assert_eq!(operation("GET", "/containers/web/nothing"), None);
        assert_eq!(operation("GET", "/"), None);
    }
}
