//! A container's directories, archives of all kinds, and how tests look at them.
#![allow(dead_code, unreachable_pub)]

use futures_util::StreamExt as _;
use hull_archive::Driver;
use hull_ports::{Archives as _, ByteStream, Bytes, ContainerTree, Error, PutOptions, Rootfs, TreeMount};
use hull_tar::{Archive, Entry, Kind, TarError, writer};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A container's layers in a temporary directory.
pub struct Container {
    pub dir: tempfile::TempDir,
    pub tree: ContainerTree,
    pub driver: Driver,
}

impl Container {
    /// With the directories `etc`, `bin` and `dir`, and two files.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (base, top) = (at("base"), at("top"));
        let rootfs = Rootfs { lower: vec![top.clone(), base.clone()], upper: at("upper"), work: at("work") };
        for name in ["etc", "bin", "dir", "dir/sub"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        fs::write(base.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::write(top.join("file"), "hello\n").unwrap();
        let tree = ContainerTree { rootfs, read_only: false, mounts: Vec::new(), pid: None };
        Self { dir, tree, driver: Driver::new() }
    }

    pub fn lower(&self) -> &Path {
        &self.tree.rootfs.lower[0]
    }

    pub fn upper(&self) -> &Path {
        &self.tree.rootfs.upper
    }

    /// Adds a volume; returns its directory.
    pub fn volume(&mut self, target: &str, read_only: bool) -> PathBuf {
        let source = self.dir.path().join(format!("volume-{}", self.tree.mounts.len()));
        fs::create_dir(&source).unwrap();
        self.tree.mounts.push(TreeMount { source: source.clone(), target: target.into(), read_only });
        source
    }

    pub async fn get(&self, path: &str) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
        let (_, stream) = self.driver.get(&self.tree, Path::new(path)).await?;
        Ok(entries(&collect(stream).await.unwrap()))
    }

    pub async fn put(&self, path: &str, archive: Vec<u8>, options: PutOptions) -> Result<(), Error> {
        self.driver.put(&self.tree, Path::new(path), stream(archive), options).await
    }

    /// Runs a shell on the merged tree, in a mount namespace of its own; what it prints is returned.
    pub fn sh(&self, script: &str) -> String {
        let merged = self.merged();
        let script = format!("{} && cd {} && {script}", self.mount(&merged), merged.display());
        let output = Command::new("unshare").args(["--mount", "sh", "-ec", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn merged(&self) -> PathBuf {
        let merged = self.dir.path().join("merged");
        fs::create_dir_all(&merged).unwrap();
        merged
    }

    fn mount(&self, merged: &Path) -> String {
        let lower: Vec<&str> = self.tree.rootfs.lower.iter().map(|p| p.to_str().unwrap()).collect();
        format!(
            "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {}",
            lower.join(":"),
            self.upper().display(),
            self.tree.rootfs.work.display(),
            merged.display()
        )
    }

    /// Starts a process whose root is the merged tree, with the volumes mounted, and notes its number. `script` is run by the
    /// container's own shell and has to print a line when it is ready.
    pub fn start(&mut self, script: &str) -> Running {
        let busybox = std::env::var("HULL_TEST_BUSYBOX").expect("HULL_TEST_BUSYBOX names a static busybox");
        let bin = self.tree.rootfs.lower[1].join("bin");
        fs::copy(busybox, bin.join("busybox")).unwrap();
        if !bin.join("sh").exists() {
            std::os::unix::fs::symlink("busybox", bin.join("sh")).unwrap();
        }
        let merged = self.merged();
        let mut setup = format!("{}; cd {}; ", self.mount(&merged), merged.display());
        for mount in &self.tree.mounts {
            let target = mount.target.to_str().unwrap().trim_start_matches('/');
            setup += &format!("mkdir -p {target}; mount --bind {} {target}; ", mount.source.display());
        }
        setup += "mkdir -p proc; mount -t proc proc proc; pivot_root . .; exec /bin/busybox sh -ec '/bin/busybox umount -l .; cd /; '\"$0\"";
        let mut child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", &setup, script])
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the container did not start");
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        self.tree.pid = Some(children.trim().parse().unwrap());
        Running(child)
    }
}

/// A running container; it ends with this.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub fn stream(archive: Vec<u8>) -> ByteStream {
    let pieces: Vec<std::io::Result<Bytes>> =
        archive.chunks(64_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    futures_util::stream::iter(pieces).boxed()
}

pub async fn collect(mut stream: ByteStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

pub fn entries(archive: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    let mut reader = Archive::new(archive);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut data = Vec::new();
        reader
            .data(u64::MAX, |piece| {
                data.extend_from_slice(piece);
                Ok::<_, TarError>(())
            })
            .unwrap();
        entries.push((entry, data));
    }
    entries
}

pub fn names(entries: &[(Entry, Vec<u8>)]) -> Vec<String> {
    entries.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path).into_owned()).collect()
}

/// Builds an archive entry by entry.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn entry(mut self, entry: &Entry, data: &[u8]) -> Self {
        self.0.extend(writer::header(entry).unwrap());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len() + writer::padding(data.len() as u64), 0);
        self
    }

    pub fn file(self, path: &str, data: &str) -> Self {
        let mut entry = plain(path, Kind::File);
        entry.size = data.len() as u64;
        self.entry(&entry, data.as_bytes())
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(&Entry { mode, ..plain(path, Kind::Directory) }, b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(&plain(path, Kind::Symlink(target.into())), b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(&plain(path, Kind::HardLink(target.into())), b"")
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&writer::END);
        self.0
    }
}

pub fn plain(path: &str, kind: Kind) -> Entry {
    Entry {
        path: path.into(),
        kind,
        mode: 0o640,
        uid: 123,
        gid: 456,
        mtime: (1_600_000_000, 0),
        size: 0,
        sparse: None,
        xattrs: Vec::new(),
    }
}

/// What GNU tar lists.
pub fn listed(archive: &[u8]) -> Vec<String> {
    let mut tar = Command::new("tar")
        .args(["--numeric-owner", "--utc", "--full-time", "-tvf", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
