//! Home directories.

use crate::accounts::{Account, Homes, canonical_home};
use crate::files::{Access, Root};
use hull_model::User;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const HOMES: &str = "/var/home";
const SKELETON: &str = "/etc/skel";
/// What a skeleton holds is small; more is a mistake.
const DEEPEST: usize = 8;

/// Who owns the homes that exist: all in their usual place, and those that users name.
pub(crate) fn owners(root: &Root, users: &[User]) -> Homes {
    let usual = std::fs::read_dir(root.at(HOMES)).into_iter().flatten().flatten();
    let usual = usual.map(|entry| Path::new(HOMES).join(entry.file_name()));
    let named = users.iter().filter_map(|user| user.homedir.clone()).map(canonical_home);
    usual.chain(named).filter_map(|home| root.owner(&home).map(|owner| (home, owner))).collect()
}

/// Makes a home directory that is not there yet, private, with a copy of the skeleton in it. Only below `/var`: the rest
/// is the read-only image.
pub(crate) fn make(root: &Root, account: &Account) -> io::Result<bool> {
    if !account.home.starts_with("/var") {
        return Ok(false);
    }
    let access = Access { mode: 0o700, uid: account.uid, gid: account.gid };
    let made = root.make_directory(&account.home, access)?;
    if made {
        copy(root, Path::new(SKELETON), &account.home, account, 0)?;
    }
    Ok(made)
}

fn copy(root: &Root, from: &Path, to: &Path, account: &Account, depth: usize) -> io::Result<()> {
    let entries = match std::fs::read_dir(root.at(from)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        let access = Access { mode, uid: account.uid, gid: account.gid };
        if kind.is_file() {
            root.write(&target, &std::fs::read(entry.path())?, access)?;
        } else if kind.is_dir() && depth < DEEPEST {
            root.make_directory(&target, access)?;
            copy(root, &from.join(entry.file_name()), &target, account, depth + 1)?;
        }
    }
    Ok(())
}
