//! Images made in memory.

use hull_model::Digest;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// An uncompressed archive.
#[derive(Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn header(path: &str, kind: u8, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let name = path.as_bytes();
        assert!(name.len() <= 100, "use a long name header");
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(size);
        header
    }

    /// A header as it is and its data.
    pub fn raw(mut self, mut header: tar::Header, data: &[u8]) -> Self {
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, data: &[u8]) -> Self {
        self.raw(Self::header(path, b'0', 0o644, data.len() as u64), data)
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.raw(Self::header(path, b'5', mode, 0), b"")
    }

    pub fn link(self, path: &str, kind: u8, target: &str) -> Self {
        let mut header = Self::header(path, kind, 0o777, 0);
        header.set_link_name_literal(target).unwrap();
        self.raw(header, b"")
    }

    pub fn device(self, path: &str, kind: u8, major: u32, minor: u32) -> Self {
        let mut header = Self::header(path, kind, 0o600, 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.raw(header, b"")
    }

    /// An extended header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|n| n.to_string().len() + rest == *n).unwrap();
            data.extend(format!("{length} {key}=").bytes().chain(value.iter().copied()).chain([b'\n']));
        }
        let header = Self::header("pax", b'x', 0o644, data.len() as u64);
        self.raw(header, &data)
    }

    /// A file with holes, as GNU tar writes it since version 1.0 of its format.
    pub fn sparse(self, path: &str, size: u64, segments: &[(u64, &[u8])]) -> Self {
        let mut data = format!("{}\n", segments.len()).into_bytes();
        for (offset, bytes) in segments {
            data.extend(format!("{offset}\n{}\n", bytes.len()).bytes());
        }
        data.resize(data.len().next_multiple_of(512), 0);
        data.extend(segments.iter().flat_map(|(_, bytes)| bytes.iter().copied()));
        let records = [
            ("GNU.sparse.major", "1".to_owned()),
            ("GNU.sparse.minor", "0".to_owned()),
            ("GNU.sparse.name", path.to_owned()),
            ("GNU.sparse.realsize", size.to_string()),
        ];
        let records: Vec<(&str, &[u8])> = records.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
        self.pax(&records).file("GNUSparseFile.0/x", &data)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

pub struct Blob {
    pub bytes: Vec<u8>,
    pub media_type: &'static str,
    pub diff_id: Digest,
}

impl Blob {
    pub fn layer(archive: &[u8], packing: Packing) -> Self {
        let (bytes, media_type) = match packing {
            Packing::Plain => (archive.to_vec(), "application/vnd.oci.image.layer.v1.tar"),
            Packing::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(archive).unwrap();
                (writer.finish().unwrap(), "application/vnd.oci.image.layer.v1.tar+gzip")
            }
            Packing::Zstd => {
                (zstd::encode_all(archive, 1).unwrap(), "application/vnd.oci.image.layer.v1.tar+zstd")
            }
        };
        Self { bytes, media_type, diff_id: digest(archive) }
    }
}

/// A whole image: what a push would send.
pub struct TestImage {
    pub layers: Vec<Blob>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

impl TestImage {
    pub fn new(archives: &[(Vec<u8>, Packing)]) -> Self {
        Self::for_platform("amd64", archives)
    }

    pub fn for_platform(architecture: &str, archives: &[(Vec<u8>, Packing)]) -> Self {
        let layers: Vec<Blob> =
            archives.iter().map(|(archive, packing)| Blob::layer(archive, *packing)).collect();
        Self::from_layers(architecture, layers)
    }

    pub fn from_layers(architecture: &str, layers: Vec<Blob>) -> Self {
        let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = serde_json::json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-02T03:04:05Z",
            "config": {"Cmd": ["/bin/true"], "Env": ["A=b"], "Labels": null},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let descriptors: Vec<serde_json::Value> = layers
            .iter()
            .map(|l| serde_json::json!({"mediaType": l.media_type, "digest": digest(&l.bytes), "size": l.bytes.len()}))
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
            "layers": descriptors,
        });
        Self { layers, config, manifest: manifest.to_string().into_bytes() }
    }

    pub fn blobs(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.layers.iter().map(|layer| &layer.bytes).chain([&self.config])
    }
}

/// A small image of one file.
pub fn small(contents: &str) -> TestImage {
    TestImage::new(&[(
        Tar::new().directory("etc/", 0o755).file("etc/name", contents.as_bytes()).end(),
        Packing::Gzip,
    )])
}

/// Bytes that no compressor makes smaller.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
