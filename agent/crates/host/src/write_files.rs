//! `write_files`: what belongs to one path is settled together, then written in one step.

use crate::files::{Access, Root};
use crate::problem;
use hull_model::{Problem, WriteFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

const WRITABLE: [&str; 3] = ["/etc", "/var", "/run"];

/// Writes the files. One that cannot be written is reported.
pub(crate) fn apply(root: &Root, files: &[WriteFile]) -> Vec<Problem> {
    let mut by_path: BTreeMap<&Path, Vec<&WriteFile>> = BTreeMap::new();
    for file in files {
        by_path.entry(&file.path).or_default().push(file);
    }
    let owners = Owners::read(root);
    let mut problems = Vec::new();
    for (path, parts) in by_path {
        let object = format!("write_files {}", path.display());
        match write(root, path, &parts, &owners) {
            Ok(()) => {}
            Err(Refused { reason, remedy }) => problems.push(problem(object, reason, remedy)),
        }
    }
    problems
}

struct Refused {
    reason: String,
    remedy: &'static str,
}

fn write(root: &Root, path: &Path, parts: &[&WriteFile], owners: &Owners) -> Result<(), Refused> {
    let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let inside = WRITABLE.iter().any(|dir| path.starts_with(dir) && path != Path::new(dir));
    if !plain || !inside {
        return Err(Refused {
            reason: "the path is not below /etc, /var or /run".to_owned(),
            remedy: "the rest is the read-only image; choose another path",
        });
    }
    let failed = |e: io::Error| match e.raw_os_error() {
        Some(libc_eloop) if libc_eloop == nix::errno::Errno::ELOOP as i32 => Refused {
            reason: "the path leads through a symbolic link".to_owned(),
            remedy: "write the path that the link points to",
        },
        _ => Refused {
            reason: format!("writing the file: {e}"),
            remedy: "see the reason; another path may do",
        },
    };
    let existing = root.regular(path).map_err(failed)?.map(|(bytes, _)| bytes);
    let content = settle(existing.as_deref(), parts);
    let Some(last) = parts.last() else { return Ok(()) };
    let (uid, gid) = owners.find(last.owner.as_deref())?;
    root.write(path, &content, Access { mode: last.mode, uid, gid }).map(|_| ()).map_err(failed)
}

/// What the file should hold. What is appended is there once, however often this is done.
fn settle(existing: Option<&[u8]>, parts: &[&WriteFile]) -> Vec<u8> {
    let replaces = parts.iter().rposition(|part| !part.append);
    let (mut content, rest) = match replaces {
        Some(at) => (parts[at].content.clone(), &parts[at + 1..]),
        None => (existing.unwrap_or_default().to_vec(), parts),
    };
    for part in rest {
        let there = replaces.is_none()
            && !part.content.is_empty()
            && content.windows(part.content.len()).any(|window| window == part.content);
        if !there {
            content.extend_from_slice(&part.content);
        }
    }
    content
}

/// Numbers of users and groups.
struct Owners {
    passwd: String,
    group: String,
}

impl Owners {
    fn read(root: &Root) -> Self {
        let text = |path: &str| root.text(path).unwrap_or_default();
        Self { passwd: text("/etc/passwd"), group: text("/etc/group") }
    }

    fn find(&self, owner: Option<&str>) -> Result<(u32, u32), Refused> {
        let (user, group) =
            owner.unwrap_or("root:root").split_once(':').unwrap_or((owner.unwrap_or("root"), "root"));
        let number = |table: &str, name: &str| {
            let line = table.lines().find(|line| line.split(':').next() == Some(name));
            let listed = line.and_then(|line| line.split(':').nth(2)?.parse::<u32>().ok());
            listed.or_else(|| name.parse().ok()).or_else(|| (name == "root").then_some(0))
        };
        let missing = |what: &str, name: &str| Refused {
            reason: format!("there is no {what} {name:?}"),
            remedy: "describe it under users or groups, or choose another owner",
        };
        let uid = number(&self.passwd, user).ok_or_else(|| missing("user", user))?;
        Ok((uid, number(&self.group, group).ok_or_else(|| missing("group", group))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str, append: bool) -> WriteFile {
        WriteFile { path: path.into(), content: content.into(), owner: None, mode: 0o644, append }
    }

    #[test]
    fn parts_of_one_file_are_settled_together() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().into());
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/profile"), "image\n").unwrap();
        let files = [
            file("/etc/profile", "more\n", true),
            file("/etc/new", "one\n", false),
            file("/etc/new", "two\n", true),
            file("/etc/new", "two\n", true),
        ];
        for _ in 0..2 {
            assert_eq!(apply(&root, &files), []);
            assert_eq!(root.text("/etc/profile").unwrap(), "image\nmore\n");
            assert_eq!(root.text("/etc/new").unwrap(), "one\ntwo\ntwo\n");
        }
    }

    #[test]
    fn what_cannot_be_written_is_named_and_the_rest_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().into());
        std::fs::create_dir_all(dir.path().join("etc/dir")).unwrap();
        std::fs::create_dir(dir.path().join("usr")).unwrap();
        std::os::unix::fs::symlink("../usr", dir.path().join("etc/link")).unwrap();
        let owned = WriteFile { owner: Some("ghost:root".into()), ..file("/etc/owned", "x", false) };
        let files = [
            file("/usr/x", "x", false),
            file("/etc/../usr/x", "x", false),
            file("/etc/link/x", "x", false),
            file("/etc/dir", "x", false),
            owned,
            file("/run/deep/er/good", "x", false),
        ];
        let problems = apply(&root, &files);
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems.iter().any(|p| p.object.contains("link") && p.reason.contains("symbolic")));
        assert_eq!(root.text("/run/deep/er/good").unwrap(), "x");
        assert_eq!(std::fs::read_dir(dir.path().join("usr")).unwrap().count(), 0);
    }
}
