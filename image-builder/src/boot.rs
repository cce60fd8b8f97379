//! Starting an image in QEMU out of the toolbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::accel::{self, Choice};
use crate::qemu::{Console, Disk, Forward, Machine};
use crate::toolbox::Toolbox;
use crate::workdir::WorkDir;

/// What to boot and how to reach it.
#[derive(Debug, Clone)]
pub struct BootSpec {
    /// `hull.raw` or `hull.qcow2`.
    pub image: PathBuf,
    /// A directory with `user-data` and `meta-data`, or an ISO labelled `cidata`.
    pub seed: Option<PathBuf>,
    /// Port on 127.0.0.1 for the guest's ssh.
    pub ssh_port: Option<u16>,
    /// Further forwarded ports.
    pub forwards: Vec<Forward>,
    /// Where the serial console goes.
    pub console: Console,
    /// Mebibytes of memory.
    pub memory: u32,
    /// Number of virtual processors.
    pub cpus: u32,
    /// Which accelerator.
    pub accelerator: Choice,
    /// Whether writes to the disk and the firmware's variables are kept.
    pub persist: bool,
    /// SMBIOS serial number.
    pub smbios_serial: Option<String>,
    /// An ssh public key for root, handed over as a systemd credential.
    pub ssh_key: Option<String>,
    /// Whether a reset ends QEMU.
    pub no_reboot: bool,
    /// A socket for QEMU's control protocol.
    pub qmp: Option<PathBuf>,
    /// Further QEMU arguments.
    pub extra: Vec<String>,
}

impl BootSpec {
    /// The image with nothing forwarded, 1 GiB and two processors, console on standard output.
    pub fn new(image: &Path) -> Self {
        Self {
            image: image.to_owned(),
            seed: None,
            ssh_port: None,
            forwards: Vec::new(),
            console: Console::Stdout,
            memory: 1024,
            cpus: 2,
            accelerator: Choice::Auto,
            persist: false,
            smbios_serial: None,
            ssh_key: None,
            no_reboot: false,
            qmp: None,
            extra: Vec::new(),
        }
    }
}

/// The QEMU command. The process it starts is QEMU itself: killing it pulls the plug, and nothing is left behind.
pub fn command(work: &WorkDir, tools: &Toolbox, spec: &BootSpec) -> Result<Command> {
    let machine = machine(work, tools, spec)?;
    let mut paths: Vec<PathBuf> = vec![directory(&machine.disk.path)];
    paths.extend(machine.seed.iter().chain(&machine.qmp).map(|path| directory(path)));
    if let Console::File(path) = &machine.console {
        paths.push(directory(path));
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let mut command = tools.command_with("qemu-system-x86_64", &paths);
    command.args(machine.arguments());
    Ok(command)
}

fn machine(work: &WorkDir, tools: &Toolbox, spec: &BootSpec) -> Result<Machine> {
    let image =
        spec.image.canonicalize().with_context(|| format!("there is no image {}", spec.image.display()))?;
    let seed = spec.seed.as_ref().map(|seed| seed_iso(work, tools, seed)).transpose()?;
    let ssh = spec.ssh_port.map(|host| Forward { host, guest: 22 });
    let console = match &spec.console {
        Console::File(path) => Console::File(std::path::absolute(path)?),
        Console::Stdout => Console::Stdout,
    };
    Ok(Machine {
        variables: variables(tools, &image, spec.persist)?,
        disk: Disk::new(image, spec.persist),
        firmware: "/usr/share/OVMF/OVMF_CODE_4M.fd".into(),
        seed,
        accelerator: accel::choose(spec.accelerator, tools, work, &probe_kernel(work)?)?,
        memory: spec.memory,
        cpus: spec.cpus,
        forwards: ssh.into_iter().chain(spec.forwards.iter().copied()).collect(),
        restrict: false,
        console,
        smbios_serial: spec.smbios_serial.clone(),
        smbios_strings: spec.ssh_key.iter().map(|key| ssh_credential(key)).collect(),
        no_reboot: spec.no_reboot,
        qmp: spec.qmp.as_ref().map(std::path::absolute).transpose()?,
        extra: spec.extra.clone(),
    })
}

/// The firmware's variables: the template, or beside the image the copy that belongs to it.
fn variables(tools: &Toolbox, image: &Path, persist: bool) -> Result<PathBuf> {
    let template = PathBuf::from("/usr/share/OVMF/OVMF_VARS_4M.fd");
    if !persist {
        return Ok(template);
    }
    let own = image.with_extension("vars.fd");
    if !own.exists() {
        let source = tools.root().join("usr/share/OVMF/OVMF_VARS_4M.fd");
        fs::copy(&source, &own)
            .with_context(|| format!("cannot copy {} to {}", source.display(), own.display()))?;
    }
    Ok(own)
}

/// The kernel that the KVM probe starts: any prepared tree's.
fn probe_kernel(work: &WorkDir) -> Result<PathBuf> {
    for entry in fs::read_dir(work.cache())? {
        let tree = entry?.path();
        let Ok(modules) = fs::read_dir(tree.join("usr/lib/modules")) else { continue };
        for kernel in modules {
            let path = kernel?.path().join("vmlinuz");
            if path.exists() {
                return Ok(path);
            }
        }
    }
    bail!(
        "there is no kernel in {} to try KVM with: build an image first, or choose --accel",
        work.cache().display()
    )
}

/// A seed directory as an ISO labelled `cidata`; an ISO as it is.
pub fn seed_iso(work: &WorkDir, tools: &Toolbox, seed: &Path) -> Result<PathBuf> {
    let seed = seed.canonicalize().with_context(|| format!("there is no seed {}", seed.display()))?;
    if !seed.is_dir() {
        return Ok(seed);
    }
    let iso = work.run().join(format!("seed-{}.iso", seed_digest(&seed)?));
    let output = tools
        .command_with("xorriso", &[&seed])
        .args(["-as", "mkisofs", "-quiet", "-V", "cidata", "-J", "-r", "-o"])
        .args([&iso, &seed])
        .output()
        .context("cannot start xorriso")?;
    ensure!(
        output.status.success(),
        "cannot make the seed's ISO: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(iso)
}

/// A seed is known by its contents: the same files make the same ISO, which takes the place of the one before.
fn seed_digest(seed: &Path) -> Result<String> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    crate::prune::walk(seed, "", &mut |path, is_dir| {
        parts.push(path.as_bytes().to_vec());
        if !is_dir {
            parts.push(fs::read(seed.join(&path[1..])).with_context(|| format!("cannot read {path}"))?);
        }
        Ok(true)
    })?;
    Ok(crate::definition::digest(parts.iter().map(Vec::as_slice)))
}

/// A qcow2 file that takes the writes to an image which itself stays as it is.
pub fn overlay(tools: &Toolbox, image: &Path, overlay: &Path) -> Result<()> {
    let image = image.canonicalize().with_context(|| format!("there is no image {}", image.display()))?;
    let format = Disk::new(image.clone(), false).format;
    let output = tools
        .command_with("qemu-img", &[&directory(&image), &directory(overlay)])
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
        .args([image.as_path(), overlay])
        .output()
        .context("cannot start qemu-img")?;
    ensure!(output.status.success(), "cannot make the overlay: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn directory(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// systemd.system-credentials(7): root's authorized keys, read by systemd-tmpfiles.
fn ssh_credential(key: &str) -> String {
    format!("io.systemd.credential:ssh.authorized_keys.root={}", key.trim())
}
