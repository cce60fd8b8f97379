//! What a path in a layer means (OCI image specification, "Layer Filesystem Changeset"). Pure.

use crate::TarError;

/// The longest path the kernel takes (PATH_MAX without its terminator).
const MAX_PATH: usize = 4095;
/// The longest component (NAME_MAX).
const MAX_COMPONENT: usize = 255;
/// Begins the name of an entry that hides another one (OCI image specification, "Whiteouts").
pub const WHITEOUT: &[u8] = b".wh.";
/// Begins the names of a historic union file system's own records, which mean nothing here.
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// Hides everything that lower layers have in the directory it is in.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry of a layer is about. Paths are relative, without `.`, `..`, empty components or trailing slash; the empty
/// path is the root directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The root directory.
    Root,
    /// Something called `name` in the directory `parent`.
    Entry {
        /// Directory, relative to the root.
        parent: Vec<u8>,
        /// A single component.
        name: Vec<u8>,
    },
    /// Whatever lower layers have at `name` in `parent` is hidden.
    Whiteout {
        /// Directory, relative to the root.
        parent: Vec<u8>,
        /// A single component.
        name: Vec<u8>,
    },
    /// Whatever lower layers have in `parent` is hidden.
    Opaque {
        /// Directory, relative to the root.
        parent: Vec<u8>,
    },
    /// Nothing: a record of a union file system.
    Ignored,
}

/// Decides what a raw path of an entry means. Leading slashes are dropped, as every tar and Docker do.
///
/// # Errors
/// [`TarError::Refused`] for a path with `..` or a zero byte, one too long for the kernel, and a whiteout that names nothing
/// or stands in the middle of a path.
pub fn classify(raw: &[u8]) -> Result<Target, TarError> {
    let components = components(raw)?;
    let Some((name, parents)) = components.split_last() else { return Ok(Target::Root) };
    if components[0].starts_with(WHITEOUT_META) && components[0] != OPAQUE {
        return Ok(Target::Ignored);
    }
    if parents.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err(TarError::refused(raw, "a whiteout is not a directory"));
    }
    let parent = parents.join(&b'/');
    if *name == OPAQUE {
        return Ok(Target::Opaque { parent });
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Target::Entry { parent, name: name.to_vec() }),
        Some(hidden)
            if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(WHITEOUT) =>
        {
            Err(TarError::refused(raw, "the whiteout names nothing that can be hidden"))
        }
        Some(hidden) => Ok(Target::Whiteout { parent, name: hidden.to_vec() }),
    }
}

/// Decides which earlier entry of the same layer a hard link means: parent and name. `raw` is the link's own path.
///
/// # Errors
/// [`TarError::Refused`] if the target is no file of a layer.
pub fn link_target(raw: &[u8], target: &[u8]) -> Result<(Vec<u8>, Vec<u8>), TarError> {
    match classify(target) {
        Ok(Target::Entry { parent, name }) => Ok((parent, name)),
        Ok(_) => Err(TarError::refused(raw, "a hard link must name a file of the same layer")),
        Err(_) => Err(TarError::refused(raw, "the hard link leads out of the layer")),
    }
}

fn components(raw: &[u8]) -> Result<Vec<&[u8]>, TarError> {
    if raw.len() > MAX_PATH {
        return Err(TarError::refused(raw, "the path is longer than 4095 bytes"));
    }
    if raw.contains(&0) {
        return Err(TarError::refused(raw, "the path contains a zero byte"));
    }
    let parts: Vec<&[u8]> =
        raw.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.iter().any(|part| *part == b"..") {
        return Err(TarError::refused(raw, "the path contains \"..\""));
    }
    if parts.iter().any(|part| part.len() > MAX_COMPONENT) {
        return Err(TarError::refused(raw, "a name in the path is longer than 255 bytes"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(parent: &str, name: &str) -> Target {
        Target::Entry { parent: parent.into(), name: name.into() }
    }

    #[test]
    fn paths_become_what_they_mean() {
        let rows = [
            ("", Target::Root),
            ("./", Target::Root),
            ("/", Target::Root),
            ("a", entry("", "a")),
            ("./a//b/", entry("a", "b")),
            ("/etc/passwd", entry("etc", "passwd")),
            ("a/./b/c", entry("a/b", "c")),
            ("...", entry("", "...")),
            ("a/.wh.b", Target::Whiteout { parent: "a".into(), name: "b".into() }),
            (".wh.b", Target::Whiteout { parent: "".into(), name: "b".into() }),
            ("a/.wh..b", Target::Whiteout { parent: "a".into(), name: ".b".into() }),
            ("a/.wh..wh..opq", Target::Opaque { parent: "a".into() }),
            (".wh..wh..opq", Target::Opaque { parent: "".into() }),
            (".wh..wh.plnk/1.2", Target::Ignored),
            (".wh..wh.aufs", Target::Ignored),
        ];
        for (raw, wanted) in rows {
            assert_eq!(classify(raw.as_bytes()).unwrap(), wanted, "{raw}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let long = "x".repeat(256);
        let longer = "y/".repeat(2100);
        let bad = [
            "..",
            "a/..",
            "../a",
            "a/../../b",
            "/..",
            ".wh.",
            ".wh..",
            ".wh...",
            "a/.wh.",
            "a/.wh..",
            "a/.wh...",
            "a/.wh..wh.b",
            ".wh.a/b",
            "a/.wh.b/c",
            "a\0b",
            &long,
            &longer,
        ];
        for raw in bad {
            assert!(classify(raw.as_bytes()).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn hard_links_stay_inside() {
        assert_eq!(link_target(b"x", b"/a/b").unwrap(), (b"a".to_vec(), b"b".to_vec()));
        for bad in ["", "/", "../a", "a/../../etc/passwd", ".wh.a", "a/.wh..wh..opq"] {
            assert!(link_target(b"x", bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever the bytes: what comes out can be joined to a directory and stays below it.
        #[test]
        fn nothing_that_is_accepted_can_leave(raw in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), Just(b'w'), Just(b'h'), any::<u8>()], 0..40)) {
            let (parent, name) = match classify(&raw) {
                Ok(Target::Entry { parent, name } | Target::Whiteout { parent, name }) => (parent, Some(name)),
                Ok(Target::Opaque { parent }) => (parent, None),
                Ok(Target::Root | Target::Ignored) | Err(_) => return Ok(()),
            };
            let parts = parent.split(|b| *b == b'/').filter(|_| !parent.is_empty());
            for part in parts.chain(name.as_deref()) {
                prop_assert!(!part.is_empty() && part != b"." && part != b".." && !part.contains(&0) && !part.contains(&b'/'));
            }
        }
    }
}
