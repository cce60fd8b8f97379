//! The user and group, as numbers, that a container's user is in its own files.

use crate::State;
use crate::error::ApiError;
use futures_util::StreamExt as _;
use hull_ports::{ContainerTree, ErrorClass};
use std::path::Path;

/// Bytes of an account file that are looked at: no real one is larger.
const LIMIT: usize = 1 << 20;
const BLOCK: usize = 512;

/// Finds `user`, `uid`, `user:group` or `uid:gid`. `None` for a container without a user: its files belong to root anyway.
pub(crate) async fn numbers(
    state: &State,
    tree: &ContainerTree,
    user: &str,
) -> Result<Option<(u32, u32)>, ApiError> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    if user.is_empty() {
        return Ok(None);
    }
    let passwd = read(state, tree, "/etc/passwd").await?;
    let known = account(&passwd, user);
    let missing = |what: &str, name: &str, file: &str| {
        ApiError::bad_request(format!("unable to find {what} {name}: no matching entries in {file} file"))
    };
    let uid = known.map(|(id, _)| id).or_else(|| user.parse().ok());
    let uid = uid.ok_or_else(|| missing("user", user, "passwd"))?;
    let gid = match group {
        "" => known.and_then(|(_, group)| group).unwrap_or(0),
        group => {
            let groups = read(state, tree, "/etc/group").await?;
            let found = account(&groups, group).map(|(id, _)| id).or_else(|| group.parse().ok());
            found.ok_or_else(|| missing("group", group, "group"))?
        }
    };
    Ok(Some((uid, gid)))
}

/// The third and fourth column of a name's line (passwd(5), group(5)). Numbers are no names.
fn account(text: &str, name: &str) -> Option<(u32, Option<u32>)> {
    if name.bytes().all(|b| b.is_ascii_digit()) {
        let id = name.parse().ok()?;
        let group = text.lines().find_map(|line| {
            let parts: Vec<&str> = line.split(':').collect();
            (parts.get(2)?.parse::<u32>().ok()? == id).then(|| parts.get(3)?.parse().ok())?
        });
        return Some((id, group));
    }
    text.lines().find_map(|line| {
        let parts: Vec<&str> = line.split(':').collect();
        (parts[0] == name).then_some(())?;
        Some((parts.get(2)?.parse().ok()?, parts.get(3).and_then(|g| g.parse().ok())))
    })
}

/// A small file of the container; empty if it is not there.
async fn read(state: &State, tree: &ContainerTree, path: &str) -> Result<String, ApiError> {
    let mut archive = match state.engine.drivers().archives.get(tree, Path::new(path)).await {
        Ok((_, archive)) => archive,
        Err(error) if error.class == ErrorClass::NotFound => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    while let Some(piece) = archive.next().await {
        let piece = piece.map_err(|e| ApiError::internal(format!("reading {path} of the container: {e}")))?;
        if bytes.len() + piece.len() > LIMIT {
            return Err(ApiError::bad_request(format!("{path} of the container is too large")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(file(&bytes).unwrap_or_default()).into_owned())
}

/// The content of the first plain file of an archive (ustar: blocks of 512 bytes, sizes in octal).
fn file(mut archive: &[u8]) -> Option<&[u8]> {
    loop {
        let header = archive.get(..BLOCK)?;
        let digits = std::str::from_utf8(&header[124..136]).ok()?.trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(digits, 8).ok()?;
        let content = archive.get(BLOCK..)?.get(..size)?;
        if matches!(header[156], b'0' | 0) {
            return Some(content);
        }
        archive = archive.get(BLOCK + size.next_multiple_of(BLOCK)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_numbers_stay_numbers() {
        let text = "root:x:0:0::/:\n1000:x:0:0::/:\nweb:x:33:34::/:\n";
        assert_eq!(account(text, "web"), Some((33, Some(34))));
        assert_eq!(account(text, "33"), Some((33, Some(34))));
        assert_eq!(account(text, "1000"), Some((1000, None)), "a user called by a number is not that number");
        assert_eq!(account(text, "nobody"), None);
    }

    #[test]
    fn the_first_file_of_an_archive_is_read() {
        let mut archive = vec![0; 1024];
        archive[124..135].copy_from_slice(b"00000000005");
        archive[156] = b'0';
        archive[512..517].copy_from_slice(b"hello");
        assert_eq!(file(&archive), Some(&b"hello"[..]));
        assert_eq!(file(&archive[..514]), None);
    }
}
