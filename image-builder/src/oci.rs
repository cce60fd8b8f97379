//! Container images as OCI layouts (OCI image specification 1.1), written without any other program.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::definition::hex;

/// Media type of an image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip, level 9, no time and no name in its header.
    Gzip,
    /// zstd, level 15.
    Zstd,
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory with its mode.
    Directory(u32),
    /// A file with its mode and contents.
    File(u32, Vec<u8>),
    /// A symbolic link with its target.
    Link(String),
}

/// A packed layer.
#[derive(Debug, Clone)]
pub struct Layer {
    media_type: &'static str,
    bytes: Vec<u8>,
    diff_id: String,
}

/// What a container of the image runs with; field names as in the specification.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `Env`
    pub env: Vec<String>,
    /// `Entrypoint`
    pub entrypoint: Vec<String>,
    /// `ExposedPorts`, such as `8080/tcp`
    pub exposed_ports: Vec<String>,
    /// `Volumes`
    pub volumes: Vec<String>,
    /// `StopSignal`
    pub stop_signal: Option<String>,
}

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

impl Layer {
    /// Packs entries, in the order of their paths. The same entries give the same bytes.
    pub fn new(entries: &BTreeMap<String, Entry>, packing: Packing) -> Result<Self> {
        let tar = archive(entries)?;
        let diff_id = digest(&tar);
        let (media_type, bytes) = match packing {
            Packing::Gzip => {
                let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
                encoder.write_all(&tar).context("cannot compress a layer")?;
                (
                    "application/vnd.oci.image.layer.v1.tar+gzip",
                    encoder.finish().context("cannot compress a layer")?,
                )
            }
            Packing::Zstd => {
                let bytes = zstd::bulk::compress(&tar, 15).context("cannot compress a layer")?;
                ("application/vnd.oci.image.layer.v1.tar+zstd", bytes)
            }
        };
        Ok(Self { media_type, bytes, diff_id })
    }
}

fn archive(entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, entry) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(crate::definition::DEFAULT_EPOCH);
        header.set_uid(0);
        header.set_gid(0);
        let (mode, data): (u32, &[u8]) = match entry {
            Entry::Directory(mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                (*mode, &[])
            }
            Entry::File(mode, data) => {
                header.set_entry_type(tar::EntryType::Regular);
                (*mode, data)
            }
            Entry::Link(_) => {
                header.set_entry_type(tar::EntryType::Symlink);
                (0o777, &[])
            }
        };
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        match entry {
            Entry::Link(target) => builder.append_link(&mut header, path, target),
            _ => builder.append_data(&mut header, path, data),
        }
        .with_context(|| format!("cannot add {path} to a layer"))?;
    }
    builder.into_inner().context("cannot finish a layer")
}

/// Writes a layout with one image for linux/amd64 behind an image index. Returns the index's digest.
pub fn write_layout(dir: &Path, name: &str, config: &Config, layers: &[Layer]) -> Result<String> {
    fs::create_dir_all(dir.join("blobs/sha256"))
        .with_context(|| format!("cannot create {}", dir.display()))?;
    let config = blob(dir, CONFIG, &serde_json::to_vec(&config_json(config, layers))?)?;
    let layers = layers
        .iter()
        .map(|layer| blob(dir, layer.media_type, &layer.bytes))
        .collect::<Result<Vec<Value>>>()?;
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    let mut manifest = blob(dir, MANIFEST, &serde_json::to_vec(&manifest)?)?;
    manifest["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});
    let mut index = blob(dir, INDEX, &serde_json::to_vec(&index)?)?;
    let digest = index["digest"].as_str().unwrap_or_default().to_owned();
    index["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    let top = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]});
    write(&dir.join("index.json"), &serde_json::to_vec_pretty(&top)?)?;
    write(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(digest)
}

fn config_json(config: &Config, layers: &[Layer]) -> Value {
    let set = |names: &[String]| {
        names.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>()
    };
    let created = "2026-01-01T00:00:00Z";
    let mut run = json!({"Env": config.env, "Entrypoint": config.entrypoint, "WorkingDir": "/"});
    if !config.exposed_ports.is_empty() {
        run["ExposedPorts"] = Value::Object(set(&config.exposed_ports));
    }
    if !config.volumes.is_empty() {
        run["Volumes"] = Value::Object(set(&config.volumes));
    }
    if let Some(signal) = &config.stop_signal {
        run["StopSignal"] = json!(signal);
    }
    json!({
        "created": created,
        "architecture": "amd64",
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| &l.diff_id).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created": created, "created_by": "image-builder"})).collect::<Vec<_>>(),
    })
}

fn blob(dir: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    write(&dir.join("blobs").join(digest.replace(':', "/")), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn entries() -> BTreeMap<String, Entry> {
        BTreeMap::from([
            ("bin/".to_owned(), Entry::Directory(0o755)),
            ("bin/sh".to_owned(), Entry::Link("busybox".to_owned())),
            ("bin/busybox".to_owned(), Entry::File(0o755, b"program".to_vec())),
        ])
    }

    #[test]
    fn both_packings_hold_the_same_tar() {
        let gzip = Layer::new(&entries(), Packing::Gzip).unwrap();
        let zstd = Layer::new(&entries(), Packing::Zstd).unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(gzip.bytes.as_slice()).read_to_end(&mut tar).unwrap();
        assert_eq!(digest(&tar), gzip.diff_id);
        assert_eq!(zstd::stream::decode_all(zstd.bytes.as_slice()).unwrap(), tar);
        assert_eq!(zstd.diff_id, gzip.diff_id);
        let mut archive = tar::Archive::new(tar.as_slice());
        let paths: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["bin/", "bin/busybox", "bin/sh"]);
    }

    #[test]
    fn every_descriptor_of_a_layout_names_a_blob() {
        let dir = std::env::temp_dir().join(format!("hull-oci-{}", std::process::id()));
        let layers =
            [Layer::new(&entries(), Packing::Gzip).unwrap(), Layer::new(&entries(), Packing::Zstd).unwrap()];
        let config = Config { volumes: vec!["/www".to_owned()], ..Config::default() };
        let digest = write_layout(&dir, "demo:1", &config, &layers).unwrap();
        let read = |digest: &str| -> Value {
            serde_json::from_slice(&fs::read(dir.join("blobs").join(digest.replace(':', "/"))).unwrap())
                .unwrap()
        };
        let manifest = read(read(&digest)["manifests"][0]["digest"].as_str().unwrap());
        let config = read(manifest["config"]["digest"].as_str().unwrap());
        let layer = manifest["layers"][1].clone();
        let size = fs::metadata(dir.join("blobs").join(layer["digest"].as_str().unwrap().replace(':', "/")));
        assert_eq!(size.unwrap().len(), layer["size"].as_u64().unwrap());
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        assert!(config["config"]["Volumes"]["/www"].is_object());
        fs::remove_dir_all(&dir).unwrap();
    }
}
