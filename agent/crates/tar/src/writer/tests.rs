use super::*;
use crate::Archive;
use proptest::prelude::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn entry(path: &[u8], kind: Kind) -> Entry {
    Entry {
        path: path.to_vec(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        size: 0,
        sparse: None,
        xattrs: Vec::new(),
    }
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, data) in entries {
        bytes.extend(header(entry).unwrap());
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len() + padding(entry.size), 0);
    }
    bytes.extend_from_slice(&END);
    bytes
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let part =
        proptest::collection::vec(prop_oneof![8 => b'a'..=b'z', 1 => Just(b'\n'), 1 => 1u8..=255], 1..130);
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join(&b'/'))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::File),
        Just(Kind::Directory),
        Just(Kind::Fifo),
        name().prop_map(Kind::Symlink),
        name().prop_map(Kind::HardLink),
        (0u32..4096, 0u32..1 << 20).prop_map(|(a, b)| Kind::Char(a, b)),
        (0u32..4096, 0u32..1 << 20).prop_map(|(a, b)| Kind::Block(a, b)),
    ]
}

prop_compose! {
    fn any_entry()(
        path in name(), kind in kind(), mode in 0u32..0o10000, uid in any::<u32>(), gid in any::<u32>(),
        seconds in -1_000_000_000_000i64..1_000_000_000_000, nanos in prop_oneof![Just(0), 0u32..1_000_000_000],
        data in proptest::collection::vec(any::<u8>(), 0..1500),
        xattrs in proptest::collection::btree_map("[a-z.]{1,20}", proptest::collection::vec(any::<u8>(), 0..80), 0..3),
    ) -> (Entry, Vec<u8>) {
        let data = if kind == Kind::File { data } else { Vec::new() };
        let xattrs = xattrs.into_iter().map(|(n, v)| (format!("user.{n}").into_bytes(), v)).collect();
        let mut path = path;
        if kind == Kind::Directory { path.push(b'/'); }
        let (uid, gid, mtime, size) = (uid.into(), gid.into(), (seconds, nanos), data.len() as u64);
        (Entry { path, kind, mode, uid, gid, mtime, size, sparse: None, xattrs }, data)
    }
}

proptest! {
    /// What is written is read again, entry by entry and byte by byte.
    #[test]
    fn what_is_written_is_read(entries in proptest::collection::vec(any_entry(), 0..6)) {
        let bytes = archive(&entries);
        let mut reader = Archive::new(bytes.as_slice());
        for (entry, data) in &entries {
            prop_assert_eq!(&reader.next_entry().unwrap().unwrap(), entry);
            let at = usize::try_from(reader.offsets().data).unwrap();
            prop_assert_eq!(&bytes[at..at + data.len()], data.as_slice());
            let mut read = Vec::new();
            reader.data(u64::MAX, |piece| { read.extend_from_slice(piece); Ok::<_, TarError>(()) }).unwrap();
            prop_assert_eq!(&read, data);
        }
        prop_assert!(reader.next_entry().unwrap().is_none());
    }

    /// The names of the two fields always give the path again.
    #[test]
    fn split_paths_join(path in name()) {
        if let Some((prefix, name)) = split(&path) {
            prop_assert!(prefix.len() <= PREFIX && name.len() <= NAME && !name.is_empty());
            let joined = if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() };
            prop_assert_eq!(joined, path);
        }
    }
}

#[test]
fn large_numbers_go_into_records() {
    let mut big = entry(b"big", Kind::File);
    (big.size, big.uid, big.gid) = (1 << 40, MAX_ID + 1, u64::from(u32::MAX) - 1);
    let bytes = header(&big).unwrap();
    let read = Archive::new(bytes.as_slice()).next_entry().unwrap().unwrap();
    assert_eq!(read, big);
    let mut small = entry(b"small", Kind::File);
    (small.size, small.uid) = (MAX_LONG, MAX_ID);
    assert_eq!(header(&small).unwrap().len(), BLOCK);
}

#[test]
fn what_cannot_be_said_is_refused() {
    let mut data = entry(b"d/", Kind::Directory);
    data.size = 1;
    let mut attribute = entry(b"f", Kind::File);
    attribute.xattrs.push((b"user.a=b".to_vec(), Vec::new()));
    let bad = [
        entry(b"", Kind::File),
        entry(b"a\0b", Kind::File),
        entry(b"l", Kind::Symlink(Vec::new())),
        entry(b"l", Kind::HardLink(b"\0".to_vec())),
        entry(b"c", Kind::Char(1 << 21, 0)),
        data,
        attribute,
    ];
    for entry in bad {
        assert!(header(&entry).is_err(), "{entry:?}");
    }
}

#[test]
fn gnu_tar_lists_the_same() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(140));
    let mut file = entry(long.as_bytes(), Kind::File);
    (file.mode, file.uid, file.gid, file.size, file.mtime) = (0o4755, 3_000_000, 5, 3, (1_600_000_000, 5));
    let mut old = entry(b"old", Kind::File);
    old.mtime = (-315_619_200, 0);
    let entries = [
        (entry(b"dir/", Kind::Directory), Vec::new()),
        (file, b"abc".to_vec()),
        (entry("ü\n".as_bytes(), Kind::Symlink(b"x".repeat(120))), Vec::new()),
        (entry(b"hard", Kind::HardLink(long.clone().into_bytes())), Vec::new()),
        (entry(b"null", Kind::Char(1, 3)), Vec::new()),
        (entry(b"disk", Kind::Block(253, 1_048_575)), Vec::new()),
        (entry(b"pipe", Kind::Fifo), Vec::new()),
        (old, Vec::new()),
    ];
    let mut tar = Command::new("tar")
        .args(["--numeric-owner", "--utc", "--full-time", "--quoting-style=escape", "-tvf", "-"])
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&archive(&entries)).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let target = "x".repeat(120);
    let epoch = "1970-01-01 00:00:00";
    let wanted = [
        format!("drw-r--r-- 0/0 0 {epoch} dir/"),
        format!("-rwsr-xr-x 3000000/5 3 2020-09-13 12:26:40.000000005 {long}"),
        format!("lrw-r--r-- 0/0 0 {epoch} ü\\n -> {target}"),
        format!("hrw-r--r-- 0/0 0 {epoch} hard link to {long}"),
        format!("crw-r--r-- 0/0 1,3 {epoch} null"),
        format!("brw-r--r-- 0/0 253,1048575 {epoch} disk"),
        format!("prw-r--r-- 0/0 0 {epoch} pipe"),
        "-rw-r--r-- 0/0 0 1960-01-01 00:00:00 old".to_owned(),
    ];
    assert_eq!(lines, wanted);
}
