//! Whatever can be written is read as the same, entry after entry.
#![no_main]

use hull_tar::{Archive, Entry, Kind, TarError, writer};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct One {
    path: Vec<u8>,
    kind: u8,
    link: Vec<u8>,
    device: (u32, u32),
    mode: u16,
    owner: (u64, u64),
    mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    data: Vec<u8>,
}

impl One {
    fn entry(&self) -> Entry {
        let kind = match self.kind % 7 {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink(self.link.clone()),
            3 => Kind::HardLink(self.link.clone()),
            4 => Kind::Char(self.device.0, self.device.1),
            5 => Kind::Block(self.device.0, self.device.1),
            _ => Kind::Fifo,
        };
        let size = if kind == Kind::File { self.data.len() as u64 } else { 0 };
        let mut xattrs = self.xattrs.clone();
        xattrs.sort();
        xattrs.dedup_by(|a, b| a.0 == b.0);
        Entry {
            path: self.path.clone(),
            kind,
            mode: u32::from(self.mode) & 0o7777,
            uid: self.owner.0,
            gid: self.owner.1,
            mtime: (self.mtime.0.clamp(-(1 << 60), 1 << 60), self.mtime.1 % 1_000_000_000),
            size,
            sparse: None,
            xattrs,
        }
    }
}

fuzz_target!(|all: Vec<One>| {
    let mut bytes = Vec::new();
    let mut written = Vec::new();
    for one in &all {
        let entry = one.entry();
        let Ok(header) = writer::header(&entry) else { continue };
        bytes.extend_from_slice(&header);
        if entry.size > 0 {
            bytes.extend_from_slice(&one.data);
        }
        bytes.resize(bytes.len() + writer::padding(entry.size), 0);
        written.push((entry, &one.data));
    }
    bytes.extend_from_slice(&writer::END);
    let mut archive = Archive::new(bytes.as_slice());
    for (entry, data) in written {
        assert_eq!(archive.next_entry().unwrap(), Some(entry.clone()));
        let mut read = Vec::new();
        archive
            .data(u64::MAX, |piece| {
                read.extend_from_slice(piece);
                Ok::<_, TarError>(())
            })
            .unwrap();
        assert_eq!(read.as_slice(), if entry.size > 0 { data.as_slice() } else { &[] });
    }
    assert!(archive.next_entry().unwrap().is_none());
});
