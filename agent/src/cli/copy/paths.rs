//! Where a copy goes, by the text of paths alone: Docker's rules.

use crate::cli::failure::Failure;
use std::path::{Component, Path, PathBuf};

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) is_dir: bool,
    /// The name of a link, when what it points to is copied.
    pub(super) rename: Option<String>,
}

/// Where it is copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) is_dir: bool,
}

/// Names of an archive that begin with one text begin with another instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rebase {
    pub(super) old: String,
    pub(super) new: String,
}

impl Rebase {
    /// A name of the archive, changed.
    pub(super) fn apply(&self, name: &str) -> String {
        // The root has no name: everything below it gets one.
        match self.old.as_str() {
            "/" | "" => format!("{}{}{name}", self.new, if name.starts_with('/') { "" } else { "/" }),
            old => name.replacen(old, &self.new, 1),
        }
    }
}

/// `container:path`, or a path of this machine.
pub(super) fn split(argument: &str) -> (Option<&str>, &str) {
    if argument.starts_with('/') {
        return (None, argument);
    }
    match argument.split_once(':') {
        Some((container, path)) if !container.starts_with('.') => (Some(container), path),
        _ => (None, argument),
    }
}

/// Without `.` and `..`; the empty path is `.`.
fn clean(path: &str) -> String {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            Component::ParentDir if clean.has_root() => {}
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    match clean.to_string_lossy() {
        text if text.is_empty() => ".".to_owned(),
        text => text.into_owned(),
    }
}

fn ends_with_slash(path: &str) -> bool {
    path.ends_with('/')
}

fn names_current(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// A clean path that still ends as it was written: `/.` and `/` mean something.
fn keep_end(clean: String, written: &str) -> String {
    let mut kept = clean;
    if !names_current(&kept) && names_current(written) {
        if !kept.ends_with('/') {
            kept.push('/');
        }
        kept.push('.');
    }
    if !ends_with_slash(&kept) && ends_with_slash(written) {
        kept.push('/');
    }
    kept
}

/// A path of this machine from the root, ending as it was written.
pub(super) fn from_here(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    keep_end(clean(&here.join(path).to_string_lossy()), path)
}

/// Without what a path ends with to say that it is a folder.
pub(super) fn without_slash(path: &str) -> PathBuf {
    PathBuf::from(clean(path))
}

/// Folder and last name. What ends with `/.` is named `.`.
fn dir_and_base(path: &str) -> (String, String) {
    let text = if names_current(path) && path != "." { format!("{}/.", clean(path)) } else { clean(path) };
    match text.rsplit_once('/') {
        Some(("", base)) => ("/".to_owned(), base.to_owned()),
        Some((dir, base)) => (dir.to_owned(), base.to_owned()),
        None => (".".to_owned(), text),
    }
}

/// The last name of a path.
pub(super) fn base(path: &str) -> String {
    match clean(path).as_str() {
        "/" => "/".to_owned(),
        _ => dir_and_base(path).1,
    }
}

/// What a link at a path points to, and the name that the link gives it.
pub(super) fn link_target(path: &str, target: &str) -> (String, Option<String>) {
    let resolved = match target.starts_with('/') {
        true => target.to_owned(),
        false => format!("{}/{target}", dir_and_base(&clean(path)).0),
    };
    let name = base(&clean(path));
    let resolved = keep_end(clean(&resolved), path);
    let rename = (!names_current(path) && base(&resolved) != name).then_some(name);
    (resolved, rename)
}

/// The folder that an archive of the source is unpacked in, and how its names change.
pub(super) fn place(source: &Source, destination: &Destination) -> Result<(String, Option<Rebase>), Failure> {
    let (dir, new) = dir_and_base(&clean(&destination.path));
    let rename = || Some(Rebase { old: source.rename.clone().unwrap_or_else(|| base(&source.path)), new });
    match (destination.exists, destination.is_dir) {
        (true, true) => Ok((destination.path.clone(), None)),
        (true, false) if source.is_dir => Err(Failure::new("cannot copy directory")),
        (true, false) => Ok((dir, rename())),
        (false, _) if source.is_dir => Ok((dir, rename())),
        (false, _) if ends_with_slash(&destination.path) || names_current(&destination.path) => {
            Err(Failure::new("no such directory"))
        }
        (false, _) => Ok((dir, rename())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_containers_and_files() {
        let rows = [
            ("web:/x", (Some("web"), "/x")),
            ("web:x:y", (Some("web"), "x:y")),
            ("./web:x", (None, "./web:x")),
            ("/web:x", (None, "/web:x")),
            ("file", (None, "file")),
            ("-", (None, "-")),
        ];
        for (argument, wanted) in rows {
            assert_eq!(split(argument), wanted, "{argument}");
        }
    }

    #[test]
    fn copies_go_where_docker_puts_them() {
        let source = |path: &str, is_dir| Source { path: path.to_owned(), is_dir, rename: None };
        let to = |path: &str, exists, is_dir| Destination { path: path.to_owned(), exists, is_dir };
        let rebase = |old: &str, new: &str| Some(Rebase { old: old.into(), new: new.into() });
        let rows = [
            (source("/a/f", false), to("/d", true, true), Ok(("/d", None))),
            (source("/a/f", false), to("/d/g", true, false), Ok(("/d", rebase("f", "g")))),
            (source("/a/f", false), to("/d/g", false, false), Ok(("/d", rebase("f", "g")))),
            (source("/a/f", false), to("/d/g/", false, false), Err("no such directory")),
            (source("/a/s", true), to("/d", true, true), Ok(("/d", None))),
            (source("/a/s", true), to("/d/f", true, false), Err("cannot copy directory")),
            (source("/a/s", true), to("/d/n", false, false), Ok(("/d", rebase("s", "n")))),
            (source("/a/s/.", true), to("/d/n", false, false), Ok(("/d", rebase(".", "n")))),
            (source("/a/s/", true), to("/n", false, false), Ok(("/", rebase("s", "n")))),
        ];
        for (source, destination, wanted) in rows {
            let placed = place(&source, &destination).map_err(|failure| failure.message);
            let wanted = wanted.map(|(dir, rebase)| (dir.to_owned(), rebase)).map_err(str::to_owned);
            assert_eq!(placed, wanted, "{source:?} {destination:?}");
        }
    }

    #[test]
    fn names_are_rebased_once_from_the_front() {
        let rebase = Rebase { old: "src".into(), new: "new".into() };
        assert_eq!(rebase.apply("src/a/src"), "new/a/src");
        assert_eq!(Rebase { old: ".".into(), new: "n".into() }.apply("./a.b"), "n/a.b");
        assert_eq!(link_target("/a/link", "real"), ("/a/real".into(), Some("link".into())));
        assert_eq!(link_target("/a/link", "/x/link"), ("/x/link".into(), None));
        assert_eq!(keep_end(clean("/a/./b/../c"), "c/."), "/a/c/.");
    }
}
