//! The demo's two container images, made of Debian's busybox and a script each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::mmdebstrap;
use crate::oci::{self, Config, Entry, Layer, Packing};

/// What busybox is called in the images.
const APPLETS: &[&str] = &[
    "ash", "awk", "cat", "chmod", "chown", "cp", "cut", "date", "df", "du", "echo", "env", "false", "find",
    "free", "grep", "head", "hostname", "id", "ip", "kill", "ln", "ls", "mkdir", "mount", "mv", "nc",
    "nproc", "nslookup", "ping", "printf", "ps", "pwd", "rm", "sed", "sh", "sleep", "sort", "stat", "tail",
    "test", "top", "touch", "tr", "true", "uname", "vi", "wc", "wget", "which", "whoami", "xargs",
];

/// An image that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// `demo/web` or `demo/client`.
    pub name: &'static str,
    /// The OCI layout.
    pub layout: PathBuf,
    /// Digest of its image index.
    pub digest: String,
}

/// Writes `out/web` and `out/client`; what was there is replaced. `busybox` is a static busybox.
pub fn write_layouts(busybox: &Path, out: &Path) -> Result<Vec<Written>> {
    let program = fs::read(busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let base = Layer::new(&base_entries(program), Packing::Gzip)?;
    let path = "PATH=/usr/bin:/bin".to_owned();
    let web = Config {
        env: vec![path.clone()],
        entrypoint: vec!["/usr/bin/serve".to_owned()],
        exposed_ports: vec!["8080/tcp".to_owned()],
        volumes: vec!["/www".to_owned()],
        // As process 1 without a handler it would not notice any other.
        stop_signal: Some("SIGKILL".to_owned()),
    };
    let client = Config { env: vec![path], entrypoint: vec!["/usr/bin/ask".to_owned()], ..Config::default() };
    let images = [
        ("demo/web", "web", web, script("usr/bin/serve", include_bytes!("../demo/web.sh"), &["www/"])),
        ("demo/client", "client", client, script("usr/bin/ask", include_bytes!("../demo/client.sh"), &[])),
    ];
    images
        .into_iter()
        .map(|(name, dir, config, entries)| {
            let layout = out.join(dir);
            mmdebstrap::remove(&layout)?;
            let layers = [base.clone(), Layer::new(&entries, Packing::Zstd)?];
            let digest = oci::write_layout(&layout, &format!("{name}:1"), &config, &layers)?;
            Ok(Written { name, layout, digest })
        })
        .collect()
}

fn base_entries(busybox: Vec<u8>) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for (path, mode) in [
        ("bin/", 0o755),
        ("dev/", 0o755),
        ("etc/", 0o755),
        ("proc/", 0o755),
        ("root/", 0o700),
        ("sys/", 0o755),
        ("tmp/", 0o1777),
    ] {
        entries.insert(path.to_owned(), Entry::Directory(mode));
    }
    entries.insert("bin/busybox".to_owned(), Entry::File(0o755, busybox));
    for applet in APPLETS {
        entries.insert(format!("bin/{applet}"), Entry::Link("busybox".to_owned()));
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
    for (path, text) in [("etc/passwd", passwd), ("etc/group", "root:x:0:\nnogroup:x:65534:\n")] {
        entries.insert(path.to_owned(), Entry::File(0o644, text.as_bytes().to_vec()));
    }
    entries
}

fn script(path: &str, text: &[u8], dirs: &[&str]) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::from([(path.to_owned(), Entry::File(0o755, text.to_vec()))]);
    for dir in ["usr/", "usr/bin/"].iter().chain(dirs) {
        entries.insert((*dir).to_owned(), Entry::Directory(0o755));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_busybox_gives_the_same_images() {
        let dir = std::env::temp_dir().join(format!("hull-demo-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("busybox"), b"not really").unwrap();
        let first = write_layouts(&dir.join("busybox"), &dir).unwrap();
        let second = write_layouts(&dir.join("busybox"), &dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        let digests = |list: &[Written]| list.iter().map(|w| w.digest.clone()).collect::<Vec<_>>();
        assert_eq!(digests(&first), digests(&second));
        assert_ne!(first[0].digest, first[1].digest);
    }
}
