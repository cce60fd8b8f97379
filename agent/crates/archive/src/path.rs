//! Paths as clients ask for them, and names as archives have them. Pure.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A path somebody asks for. `..` is taken back by its text, before anything is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Relative to the root, cleaned; empty for the root.
    pub(crate) path: Vec<u8>,
    /// Must be a directory, symbolic links at its end followed: it ended in a slash or in `/.`.
    pub(crate) directory: bool,
    /// Its last component; `.` if it ended in one, `/` for the root.
    pub(crate) name: Vec<u8>,
    /// As it was asked for, made absolute, for messages.
    pub(crate) shown: Vec<u8>,
}

impl Asked {
    /// Takes a path apart.
    pub(crate) fn new(path: &Path) -> Self {
        let raw = path.as_os_str().as_bytes();
        let parts = clean(raw);
        let last = raw.split(|b| *b == b'/').rfind(|part| !part.is_empty());
        let dot = last == Some(b".");
        let slash = raw.ends_with(b"/");
        let cleaned = parts.join(&b'/');
        let mut shown = [b"/", cleaned.as_slice()].concat();
        if !parts.is_empty() && (dot || slash) {
            shown.extend_from_slice(if dot { b"/." } else { b"/" });
        }
        let name = match parts.last() {
            _ if dot => b".".to_vec(),
            Some(name) => name.to_vec(),
            None => b"/".to_vec(),
        };
        Self { directory: dot || slash || parts.is_empty(), path: cleaned, name, shown }
    }

    /// What stands before the names of everything in it, in an archive of it.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        if self.name == b"/" { b"/".to_vec() } else { [self.name.as_slice(), b"/"].concat() }
    }
}

/// The components of a path below a root, `.` and `..` taken back by their text; what leads above the root stays there.
pub(crate) fn clean(raw: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

/// The components of a name in an archive, or `None` if it leads above the directory that the archive is unpacked into.
pub(crate) fn inside(raw: &[u8]) -> Option<Vec<&[u8]>> {
    if raw.starts_with(b"/") {
        return Some(clean(raw));
    }
    let mut depth = 0i64;
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return None;
        }
    }
    Some(clean(raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn paths_are_taken_apart_as_docker_does() {
        let rows = [
            ("/t/f", "t/f", false, "f"),
            ("t/f", "t/f", false, "f"),
            ("/t/", "t", true, "t"),
            ("/t/.", "t", true, "."),
            ("/t/./", "t", true, "."),
            ("/", "", true, "/"),
            ("/.", "", true, "."),
            (".", "", true, "."),
            ("..", "", true, "/"),
            ("/t/..", "", true, "/"),
            ("/t/d/..", "t", false, "t"),
            ("/../../x//y", "x/y", false, "y"),
        ];
        for (raw, path, directory, name) in rows {
            let asked = Asked::new(Path::new(raw));
            assert_eq!(
                (asked.path.as_slice(), asked.directory, asked.name.as_slice()),
                (path.as_bytes(), directory, name.as_bytes()),
                "{raw}"
            );
        }
        assert_eq!(Asked::new(Path::new("/t/f/.")).shown, b"/t/f/.");
        assert_eq!(Asked::new(Path::new("t/f/")).shown, b"/t/f/");
        assert_eq!(Asked::new(Path::new("/")).prefix(), b"/");
        assert_eq!(Asked::new(Path::new("/t/.")).prefix(), b"./");
        assert_eq!(Asked::new(Path::new(OsStr::from_bytes(b"/\xff"))).name, b"\xff");
    }

    #[test]
    fn names_stay_inside() {
        assert_eq!(inside(b"a/../b"), Some(vec![b"b".as_slice()]));
        assert_eq!(inside(b"/../b"), Some(vec![b"b".as_slice()]));
        assert_eq!(inside(b"./"), Some(vec![]));
        for bad in ["..", "../a", "a/../../b/c"] {
            assert_eq!(inside(bad.as_bytes()), None, "{bad}");
        }
    }
}
