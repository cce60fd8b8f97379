//! The whole way from packages to a disk, in cached stages.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::commit::{self, Release};
use crate::definition::{BASE_PACKAGES, bootstrap_digest, digest, hex};
use crate::disk::{self, Layout};
use crate::mmdebstrap::{self, Format};
use crate::progress::{Progress, StepLog};
use crate::sizes;
use crate::toolbox::Toolbox;
use crate::uki::{self, Slot};
use crate::workdir::WorkDir;
use crate::{initramfs, tree};

/// What kind of file comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ImageFormat {
    /// The disk as it is, a sparse file.
    Raw,
    /// QEMU's format, compressed.
    Qcow2,
    /// The raw disk compressed with zstd.
    RawZst,
}

impl ImageFormat {
    /// The name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Raw => "hull.raw",
            Self::Qcow2 => "hull.qcow2",
            Self::RawZst => "hull.raw.zst",
        }
    }
}

/// What to build.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Directory with `hull`, `hulld` and `hull-runtime`.
    pub bin_dir: PathBuf,
    /// The repository's `systemd` directory.
    pub systemd: PathBuf,
    /// Version of the release.
    pub version: String,
    /// Size of the disk in bytes.
    pub size: u64,
    /// Words added to the kernel command line.
    pub extra_kargs: Vec<String>,
    /// Timestamp of the commit, seconds since 1970.
    pub epoch: u64,
}

/// A prepared tree and the branch it is committed to.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The tree as a directory.
    pub tree: PathBuf,
    /// Its branch in the repository.
    pub branch: String,
}

/// A finished image.
#[derive(Debug, Clone)]
pub struct Built {
    /// The commit's checksum.
    pub commit: String,
    /// Files, in the order of the formats asked for.
    pub files: Vec<PathBuf>,
}

/// How many of an image's files are shown.
const LARGEST: usize = 10;

/// Builds images in one work directory.
#[derive(Debug)]
pub struct Builder<'a> {
    work: &'a WorkDir,
    tools: Toolbox,
    progress: &'a mut Progress,
}

impl<'a> Builder<'a> {
    /// Makes the toolbox when it is missing.
    pub fn new(work: &'a WorkDir, progress: &'a mut Progress) -> Result<Self> {
        let tools = Toolbox::ensure(work, progress)?;
        Ok(Self { work, tools, progress })
    }

    /// Builds the release and writes it to `out` in each format.
    pub fn build(&mut self, spec: &ImageSpec, formats: &[ImageFormat], out: &Path) -> Result<Built> {
        commit::check_version(&spec.version)?;
        let layout = Layout::new(spec.size)?;
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        let out = out.canonicalize().with_context(|| format!("cannot resolve {}", out.display()))?;
        let prepared = self.prepare(spec)?;
        let checksum = self.release(spec, &prepared.branch)?;
        let raw = out.join(ImageFormat::Raw.file_name());
        self.disk(spec, &layout, &prepared, &checksum, &raw)?;
        let mut files = Vec::new();
        for format in formats {
            files.push(self.convert(*format, &raw, &out)?);
        }
        self.report(spec, &prepared, &files)?;
        if !formats.contains(&ImageFormat::Raw) {
            mmdebstrap::remove(&raw)?;
        }
        Ok(Built { commit: checksum, files })
    }

    /// The base packages as a tar, and its digest.
    fn base(&mut self, epoch: u64) -> Result<(PathBuf, String)> {
        let tar = self.work.cache().join(format!("base-{}.tar", bootstrap_digest(BASE_PACKAGES)));
        let sum = tar.with_extension("sha256");
        if let (true, Ok(sum)) = (tar.exists(), fs::read_to_string(&sum)) {
            self.progress.cached("base packages");
            return Ok((tar, sum));
        }
        self.progress.step("base packages", |log| {
            mmdebstrap::bootstrap(log, BASE_PACKAGES, Format::Tar, &tar, epoch)?;
            let digest = file_digest(&tar)?;
            fs::write(&sum, &digest).context("cannot write the digest of the base")?;
            Ok((tar.clone(), digest))
        })
    }

    /// The pruned and configured tree, committed.
    pub fn prepare(&mut self, spec: &ImageSpec) -> Result<Prepared> {
        let (base, base_digest) = self.base(spec.epoch)?;
        let id = digest([tree::digest(&base_digest, &spec.systemd)?.as_bytes(), &spec.epoch.to_le_bytes()]);
        let (dir, branch) = (self.work.cache().join(format!("tree-{id}")), commit::base_branch(&id));
        let (tools, repo) = (&self.tools, self.work.repo());
        if dir.with_extension("done").exists() && repo.join("refs/heads").join(&branch).exists() {
            self.progress.cached("file tree and initramfs");
            return Ok(Prepared { tree: dir, branch });
        }
        self.forget_trees()?;
        self.progress.step("file tree and initramfs", |log| {
            tree::build(log, tools, &base, &spec.systemd, &dir, spec.epoch)
        })?;
        self.progress.step("commit file tree", |log| {
            commit::ensure_repo(log, tools, &repo)?;
            commit::commit_tree(log, tools, &repo, &branch, &dir, spec.epoch)?;
            commit::forget_bases(log, tools, &repo, &branch)?;
            fs::write(dir.with_extension("done"), "").context("cannot mark the tree as done")
        })?;
        Ok(Prepared { tree: dir, branch })
    }

    /// Trees of earlier definitions are only in the way.
    fn forget_trees(&self) -> Result<()> {
        for entry in fs::read_dir(self.work.cache())? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tree-")) {
                mmdebstrap::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Commits the prepared tree with hull's programs.
    pub fn release(&mut self, spec: &ImageSpec, base: &str) -> Result<String> {
        let (tools, repo, scratch) = (&self.tools, self.work.repo(), self.work.run().join("overlay"));
        self.progress.step("commit release", |log| {
            let release = Release {
                base,
                branch: commit::BRANCH,
                version: &spec.version,
                bin_dir: &spec.bin_dir,
                epoch: spec.epoch,
            };
            commit::commit_release(log, tools, &repo, &release, &scratch)
        })
    }

    /// Builds the tree and the release a second time from the same packages and compares the checksums.
    pub fn verify_reproducible(&mut self, spec: &ImageSpec) -> Result<String> {
        let prepared = self.prepare(spec)?;
        let first = self.release(spec, &prepared.branch)?;
        let (base, _) = self.base(spec.epoch)?;
        let (tools, repo) = (&self.tools, self.work.repo());
        let (dir, branch) = (self.work.run().join("second"), "hull/base/second");
        self.progress.step("second file tree", |log| {
            tree::build(log, tools, &base, &spec.systemd, &dir, spec.epoch)?;
            commit::commit_tree(log, tools, &repo, branch, &dir, spec.epoch)?;
            log.run(tools.command("ostree").arg(format!("--repo={}", repo.display())).args([
                "diff",
                &prepared.branch,
                branch,
            ]))
        })?;
        let second = self.release(spec, branch)?;
        mmdebstrap::remove(&dir)?;
        ensure!(first == second, "two builds from the same packages differ: {first} and {second}");
        Ok(first)
    }

    fn disk(
        &mut self,
        spec: &ImageSpec,
        layout: &Layout,
        prepared: &Prepared,
        checksum: &str,
        raw: &Path,
    ) -> Result<()> {
        let (tools, repo, run) = (&self.tools, self.work.repo(), self.work.run());
        let sysroot = run.join("sysroot");
        self.progress.step("deploy", |log| deploy(log, tools, &repo, &sysroot, checksum))?;
        let kernel = run.join("hull-a.efi");
        self.progress.step("unified kernel image", |log| {
            let modules =
                prepared.tree.join("usr/lib/modules").join(initramfs::kernel_version(&prepared.tree)?);
            let os_release = run.join("os-release");
            fs::write(&os_release, commit::os_release_text(&spec.version))
                .context("cannot write os-release")?;
            let line = uki::kernel_command_line(Slot::A, &spec.extra_kargs);
            uki::build(log, tools, &modules, &os_release, &line, &kernel)
        })?;
        let loader = prepared.tree.join("usr/lib/systemd/boot/efi/systemd-bootx64.efi");
        self.progress.step("raw disk", |log| {
            let contents =
                disk::Contents { sysroot: &sysroot, loader: &loader, kernel: &kernel, epoch: spec.epoch };
            disk::write(log, tools, layout, &contents, raw)?;
            remove_sysroot(log, tools, &sysroot)
        })
    }

    fn convert(&mut self, format: ImageFormat, raw: &Path, out: &Path) -> Result<PathBuf> {
        let (tools, target) = (&self.tools, out.join(format.file_name()));
        let partial = target.with_extension("partial");
        match format {
            ImageFormat::Raw => return Ok(target),
            ImageFormat::Qcow2 => self.progress.step("qcow2", |log| {
                log.run(
                    tools
                        .command_with("qemu-img", &[out])
                        .args([
                            "convert",
                            "-c",
                            "-m",
                            "4",
                            "-W",
                            "-O",
                            "qcow2",
                            "-o",
                            "compression_type=zstd",
                        ])
                        .args([raw, &partial]),
                )
            })?,
            ImageFormat::RawZst => self.progress.step("raw.zst", |log| {
                log.run(
                    tools
                        .command_with("zstd", &[out])
                        .args(["-q", "-f", "-T0", "-9", "-o"])
                        .args([&partial, raw]),
                )
            })?,
        }
        fs::rename(&partial, &target).with_context(|| format!("cannot put {} in place", target.display()))?;
        Ok(target)
    }

    fn report(&self, spec: &ImageSpec, prepared: &Prepared, files: &[PathBuf]) -> Result<()> {
        let (mut total, mut list) = sizes::largest(&prepared.tree, LARGEST)?;
        for (source, path) in tree::programs(&spec.bin_dir) {
            let bytes =
                fs::metadata(&source).with_context(|| format!("there is no {}", source.display()))?.len();
            total += bytes;
            list.push(sizes::Weight { path: format!("/{path}"), bytes });
        }
        sizes::sort(&mut list);
        list.truncate(LARGEST);
        println!("root file system: {}; the ten largest files in it:", sizes::megabytes(total));
        for weight in list {
            println!("{:>10}  {}", sizes::megabytes(weight.bytes), weight.path);
        }
        for file in files {
            println!("{:>10}  {}", sizes::megabytes(sizes::allocated(file)?), file.display());
        }
        Ok(())
    }
}

/// Lays the commit out as a physical root: repository, deployment, state, and slot a's link to the deployment.
fn deploy(log: &mut StepLog, tools: &Toolbox, repo: &Path, sysroot: &Path, checksum: &str) -> Result<()> {
    remove_sysroot(log, tools, sysroot)?;
    fs::create_dir_all(sysroot).with_context(|| format!("cannot create {}", sysroot.display()))?;
    let admin = |args: &[&str]| {
        let mut command = tools.command("ostree");
        command.arg("admin").arg(args[0]).arg(format!("--sysroot={}", sysroot.display())).args(&args[1..]);
        command
    };
    let target = sysroot.join("ostree/repo");
    let on_target = |args: &[&str]| {
        let mut command = tools.command("ostree");
        command.arg(format!("--repo={}", target.display())).args(args);
        command
    };
    let root = sysroot.to_string_lossy().into_owned();
    log.run(tools.command("ostree").args(["admin", "init-fs", "--modern", &root]))?;
    log.run(&mut admin(&["os-init", "hull"]))?;
    for (key, value) in
        [("sysroot.bootloader", "none"), ("sysroot.readonly", "true"), ("core.fsync", "false")]
    {
        log.run(&mut on_target(&["config", "set", key, value]))?;
    }
    log.run(on_target(&["pull-local"]).arg(repo).arg(commit::BRANCH))?;
    log.run(&mut admin(&["deploy", "--os=hull", "--no-merge", commit::BRANCH]))?;
    // From now on objects are verified by the file system and a power cut must not lose one.
    log.run(&mut on_target(&["config", "unset", "core.fsync"]))?;
    log.run(&mut on_target(&["config", "set", "ex-integrity.fsverity", "maybe"]))?;
    let deployment = format!("deploy/hull/deploy/{checksum}.0");
    ensure!(sysroot.join("ostree").join(&deployment).is_dir(), "the deployment {deployment} did not appear");
    let link = sysroot.join("ostree/root.a");
    std::os::unix::fs::symlink(&deployment, &link).with_context(|| format!("cannot link {}", link.display()))
}

/// Deployments are immutable (chattr +i), which would keep them from being removed.
fn remove_sysroot(log: &mut StepLog, tools: &Toolbox, sysroot: &Path) -> Result<()> {
    let deployments = sysroot.join("ostree/deploy/hull/deploy");
    if deployments.exists() {
        let script = "chattr -i \"$0\"/*.[0-9]* 2>/dev/null || true";
        log.run(tools.command("sh").args(["-c", script]).arg(&deployments))?;
    }
    mmdebstrap::remove(sysroot)
}

fn file_digest(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Shows a commit as ostree sees it.
pub fn show(tools: &Toolbox, work: &WorkDir) -> Command {
    let mut command = tools.command("ostree");
    command.arg(format!("--repo={}", work.repo().display())).args(["show", commit::BRANCH]);
    command
}
