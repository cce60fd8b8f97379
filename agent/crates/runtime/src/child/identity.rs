//! Users and groups by the container's own /etc/passwd and /etc/group.

use super::rootdir::RootDir;
use crate::failure::{Failure, Result};
use crate::plan::UserChoice;
use std::path::Path;

/// Files of people larger than this are not read.
const LIMIT: u64 = 4 << 20;
/// The kernel takes no more supplementary groups.
const MAX_GROUPS: usize = 65_536;

/// Who a process runs as, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// Home directory, if the container knows the user.
    pub(crate) home: Option<String>,
}

/// Looks a user up. Numbers are taken as they are and only looked up for what else belongs to them.
pub(super) fn resolve(root: &RootDir, choice: &UserChoice) -> Result<Identity> {
    match choice {
        UserChoice::Numbers { uid, gid, groups } => {
            let home = root.read_small(Path::new("/etc/passwd"), LIMIT).ok().flatten();
            let home = home.and_then(|passwd| find_user(&passwd, &Key::Number(*uid)).map(|user| user.home));
            Ok(Identity { uid: *uid, gid: *gid, groups: groups.clone(), home })
        }
        UserChoice::Words { user, groups } => {
            let passwd = root.read_small(Path::new("/etc/passwd"), LIMIT)?.unwrap_or_default();
            let group = root.read_small(Path::new("/etc/group"), LIMIT)?.unwrap_or_default();
            look_up(user, groups, &passwd, &group)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Key<'a> {
    Number(u32),
    Name(&'a str),
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// A word of digits is always an id. The kernel knows larger ids, but Docker's clients do not.
fn key<'a>(word: &'a str, what: &str) -> Result<Key<'a>> {
    if !word.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Key::Name(word));
    }
    match word.parse::<u32>() {
        Ok(number) if number <= i32::MAX as u32 => Ok(Key::Number(number)),
        _ => Err(Failure::permanent(
            format!("unable to find {what} {word}"),
            "uids and gids must be in range 0-2147483647",
        )),
    }
}

/// The pure part: `user` as `name`, `uid`, `name:group`, `uid:gid`; empty for root.
pub(crate) fn look_up(user: &str, extra: &[String], passwd: &[u8], group: &[u8]) -> Result<Identity> {
    let (user_word, group_word) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (user, None),
    };
    let user_word = if user_word.is_empty() { "0" } else { user_word };
    let user_key = key(user_word, "user")?;
    let found = find_user(passwd, &user_key);
    let uid = match (&found, &user_key) {
        (Some(user), _) => user.uid,
        (None, Key::Number(uid)) => *uid,
        (None, Key::Name("root")) => 0,
        (None, Key::Name(name)) => {
            return Err(Failure::permanent(
                format!("unable to find user {name}"),
                "no matching entries in passwd file",
            )
            .remedy("name a user of the image, or give a number"));
        }
    };
    let gid = match group_word.filter(|word| !word.is_empty()) {
        Some(word) => find_gid(group, word)?,
        None => found.as_ref().map_or(0, |user| user.gid),
    };
    let mut groups = match (&found, group_word) {
        // A group that is named stands for all the user's groups, as in Docker.
        (Some(user), None) => groups_of(group, &user.name),
        _ => Vec::new(),
    };
    for word in extra {
        groups.push(find_gid(group, word)?);
    }
    // So that a program which changes its group stays bound to what was forbidden to this one.
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MAX_GROUPS {
        return Err(Failure::permanent(
            format!("looking up groups of {user_word}"),
            "there are more than 65536",
        ));
    }
    Ok(Identity { uid, gid, groups, home: found.map(|user| user.home) })
}

fn lines(file: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    file.split(|b| *b == b'\n').filter_map(|line| {
        let text = std::str::from_utf8(line).ok()?.trim();
        (!text.is_empty() && !text.starts_with('#')).then(|| text.split(':').collect())
    })
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn find_user(passwd: &[u8], wanted: &Key<'_>) -> Option<User> {
    lines(passwd).find_map(|fields| {
        let (uid, gid) = (id(fields.get(2)?)?, id(fields.get(3)?)?);
        let matches = match wanted {
            Key::Number(number) => uid == *number,
            Key::Name(name) => fields[0] == *name,
        };
        let home = fields.get(5).copied().unwrap_or_default().to_owned();
        matches.then(|| User { name: fields[0].to_owned(), uid, gid, home })
    })
}

fn find_gid(group: &[u8], word: &str) -> Result<u32> {
    match key(word, "group")? {
        Key::Number(gid) => Ok(gid),
        Key::Name(name) => lines(group)
            .find(|fields| fields[0] == name)
            .and_then(|fields| id(fields.get(2)?))
            .or((name == "root").then_some(0))
            .ok_or_else(|| {
                Failure::permanent(
                    format!("unable to find group {name}"),
                    "no matching entries in group file",
                )
                .remedy("name a group of the image, or give a number")
            }),
    }
}

fn groups_of(group: &[u8], name: &str) -> Vec<u32> {
    lines(group)
        .filter(|fields| fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name)))
        .filter_map(|fields| id(fields.get(2)?))
        .take(MAX_GROUPS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\n1000:x:0:0::/:/bin/sh\n\
        4294967296:x:0:0::/:/bin/sh\nbroken\nodd:x:-1:0::/:/\n";
    const GROUP: &[u8] = b"root:x:0:\nwww:x:34:\nlogs:x:50:web,other\nadm:x:4:web\n";

    fn of(user: &str) -> Result<Identity> {
        look_up(user, &[], PASSWD, GROUP)
    }

    #[test]
    fn users_and_their_groups() {
        let web = of("web").unwrap();
        assert_eq!(
            (web.uid, web.gid, web.groups, web.home.as_deref()),
            (33, 34, vec![4, 34, 50], Some("/var/www"))
        );
        let web = of("33:root").unwrap();
        assert_eq!((web.uid, web.gid, web.groups), (33, 0, vec![0]));
        let extra = look_up("web", &["root".into(), "7".into()], PASSWD, GROUP).unwrap();
        assert_eq!(extra.groups, vec![0, 4, 7, 34, 50]);
        let nobody = of("12345").unwrap();
        assert_eq!((nobody.uid, nobody.gid), (12345, 0));
        assert_eq!(of("").unwrap().uid, 0);
        assert_eq!(of("web:77").unwrap().gid, 77);
    }

    #[test]
    fn numbers_are_never_names() {
        assert_eq!(of("1000").unwrap().uid, 1000);
        for bad in [
            "4294967296",
            "4294967295",
            "2147483648",
            "99999999999999999999",
            "nobody",
            "odd",
            "web:none",
            "0:4294967295",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn root_needs_no_files() {
        let root = look_up("root", &[], b"", b"").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
    }
}
