//! Memory as a file system: sizes, modes and options.

use super::mounts::tidy;
use crate::error::ApiError;
use hull_model::{MountKind, MountOptions, MountSpec};
use std::path::Path;

/// Options of tmpfs(5) and mount(8) that may be asked for.
const FLAGS: &[&str] = &[
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "sync",
    "async",
    "dirsync",
    "defaults",
    "mand",
    "nomand",
];
const VALUES: &[&str] = &["uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// Reads `size=64m,mode=1770,exec`.
pub(crate) fn mount(target: &str, options: &str) -> Result<MountSpec, ApiError> {
    if !target.starts_with('/') {
        let why = format!("invalid mount path: '{target}' mount path must be absolute");
        return Err(ApiError::bad_request(why));
    }
    let target = tidy(target);
    if target == Path::new("/") {
        return Err(ApiError::bad_request("invalid specification: destination can't be '/'"));
    }
    let (mut size, mut bits, mut read_only, mut more) = (None, None, false, Vec::new());
    for word in options.split(',').filter(|w| !w.is_empty()) {
        let bad = || ApiError::bad_request(format!("invalid tmpfs option {word:?}"));
        match word.split_once('=') {
            Some(("size", text)) => size = Some(bytes(text).ok_or_else(bad)?),
            Some(("mode", text)) => bits = Some(u32::from_str_radix(text, 8).map_err(|_| bad())?),
            Some((key, _)) if VALUES.contains(&key) => more.push(word.to_owned()),
            None if word == "ro" || word == "rw" => read_only = word == "ro",
            None if FLAGS.contains(&word) => more.push(word.to_owned()),
            _ => return Err(bad()),
        }
    }
    let options = MountOptions { tmpfs: more, ..MountOptions::default() };
    Ok(MountSpec { kind: MountKind::Tmpfs { size, mode: bits }, target, read_only, options })
}

/// `64m`, `1g`, as tmpfs(5) reads it. Percentages have no meaning for a container.
fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = mount("/t/", "size=64m,mode=1770,exec,uid=5,ro").unwrap();
        assert_eq!(read.target, Path::new("/t"));
        assert_eq!(read.kind, MountKind::Tmpfs { size: Some(64 << 20), mode: Some(0o1770) });
        assert_eq!((read.options.tmpfs, read.read_only), (vec!["exec".to_owned(), "uid=5".to_owned()], true));
        for (target, options) in
            [("t", ""), ("/", ""), ("/t", "bogus"), ("/t", "size=x"), ("/t", "mode=9"), ("/t", "size=é")]
        {
            assert!(mount(target, options).is_err(), "{target} {options}");
        }
    }
}
