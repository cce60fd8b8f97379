//! Command line of the image builder; `image-builder help` says what it can do.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use image_builder::accel::Choice;
use image_builder::boot::{self, BootSpec};
use image_builder::image::{Builder, ImageFormat, ImageSpec};
use image_builder::progress::{Progress, StepLog};
use image_builder::qemu::{Console, Forward};
use image_builder::toolbox::Toolbox;
use image_builder::workdir::WorkDir;
use image_builder::{commit, definition, demo, disk, registry};

/// Builds Hull's OS image out of Debian packages, and boots it.
#[derive(Debug, Parser)]
#[command(name = "image-builder", version, about)]
struct Cli {
    /// Where the toolbox, the cached stages and the logs are kept.
    #[arg(long, global = true, default_value = "target/hull")]
    work: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the toolbox: a Debian root with every program that making and booting images needs.
    Tools,
    /// Run a program inside the toolbox. It sees the work directory, its cargo target directory and /tmp.
    Enter {
        /// A further directory of the host to show at the same path.
        #[arg(long)]
        bind: Vec<PathBuf>,
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Build the OS image.
    Image(ImageArgs),
    /// Boot an image in QEMU. The process becomes QEMU: ending it ends the machine.
    Boot(BootArgs),
    /// Build the demo's container images as OCI layouts, DIR/web and DIR/client.
    DemoImages {
        /// Where the layouts go.
        #[arg(long)]
        out: PathBuf,
    },
    /// Push an OCI layout to a registry over plain HTTP.
    Push {
        /// The OCI layout.
        #[arg(long)]
        layout: PathBuf,
        /// The registry, such as http://127.0.0.1:5000.
        #[arg(long)]
        registry: String,
        /// The repository, such as demo/web.
        #[arg(long)]
        repository: String,
        /// The tag.
        #[arg(long, default_value = "latest")]
        tag: String,
    },
}

#[derive(Debug, Args)]
struct ImageArgs {
    /// Directory with the programs hull, hulld and hull-runtime (static).
    #[arg(long, default_value = "target/release")]
    bin_dir: PathBuf,
    /// Where the image goes.
    #[arg(long, required_unless_present = "verify_reproducible")]
    out: Option<PathBuf>,
    /// Formats to write.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "qcow2")]
    format: Vec<ImageFormat>,
    /// Version of the release.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    version: String,
    /// Size of the disk; the root grows to the real one at boot.
    #[arg(long, default_value = "4G")]
    size: String,
    /// A word to add to the kernel command line (tests).
    #[arg(long)]
    karg: Vec<String>,
    /// Also publish the commit into this OSTree archive repository, ready to be served over HTTP.
    #[arg(long)]
    publish: Option<PathBuf>,
    /// Build the commit twice from the same packages and compare the checksums, instead of writing an image.
    #[arg(long)]
    verify_reproducible: bool,
    /// The directory of units and defaults.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd"))]
    systemd_dir: PathBuf,
    /// Timestamp of everything in the commit, seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH", default_value_t = definition::DEFAULT_EPOCH)]
    source_date_epoch: u64,
}

#[derive(Debug, Args)]
struct BootArgs {
    /// The image: raw, or qcow2 by its name.
    #[arg(long)]
    image: PathBuf,
    /// NoCloud seed: a directory or an ISO.
    #[arg(long)]
    seed: Option<PathBuf>,
    /// Port on 127.0.0.1 for the guest's ssh.
    #[arg(long)]
    ssh_port: Option<u16>,
    /// Further forwarded TCP ports, HOSTPORT:GUESTPORT.
    #[arg(long)]
    forward: Vec<Forward>,
    /// File for the serial console instead of standard output.
    #[arg(long)]
    console: Option<PathBuf>,
    /// Mebibytes of memory.
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// Number of virtual processors.
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// How guest code is run; auto tries KVM once with a deadline.
    #[arg(long, value_enum, default_value = "auto")]
    accel: Choice,
    /// Keep what the guest writes, in the image itself.
    #[arg(long)]
    persist: bool,
    /// SMBIOS serial number, such as `ds=nocloud;s=http://10.0.2.2:8000/`.
    #[arg(long)]
    smbios_serial: Option<String>,
    /// File with an ssh public key for root, handed over as a systemd credential.
    #[arg(long)]
    ssh_key: Option<PathBuf>,
    /// End when the guest resets.
    #[arg(long)]
    no_reboot: bool,
    /// Socket for QEMU's control protocol.
    #[arg(long)]
    qmp: Option<PathBuf>,
    /// Further arguments for QEMU, after `--`.
    #[arg(last = true)]
    qemu: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-builder: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let work = WorkDir::open(&cli.work)?;
    match cli.action {
        Action::Tools => tools(&work),
        Action::Enter { bind, command } => enter(&work, &bind, &command),
        Action::Image(args) => image(&work, &args),
        Action::Boot(args) => {
            let tools = Toolbox::open(&work)?;
            let spec = boot_spec(args)?;
            become_program(boot::command(&work, &tools, &spec)?)
        }
        Action::DemoImages { out } => demo_images(&work, &out),
        Action::Push { layout, registry, repository, tag } => {
            let digest = registry::push(&layout, &registry, &repository, &tag)?;
            println!("pushed {repository}:{tag} {digest}");
            Ok(())
        }
    }
}

fn tools(work: &WorkDir) -> Result<()> {
    let mut progress = Progress::new(&work.logs());
    let tools = Toolbox::ensure(work, &mut progress)?;
    println!("toolbox ready: {}", tools.root().display());
    Ok(())
}

fn enter(work: &WorkDir, binds: &[PathBuf], command: &[String]) -> Result<()> {
    let tools = Toolbox::open(work)?;
    let dir = std::env::current_dir().context("cannot tell the current directory")?;
    let binds: Vec<PathBuf> = binds.iter().map(|path| path.canonicalize()).collect::<std::io::Result<_>>()?;
    let mut sandbox = tools.sandbox();
    for bind in binds.iter().map(PathBuf::as_path).chain((dir != Path::new("/")).then_some(dir.as_path())) {
        sandbox = sandbox.with(bind);
    }
    let mut inside = sandbox.in_dir(&dir).command(&command[0]);
    inside.args(&command[1..]);
    become_program(inside)
}

/// Replaces this process; returns only when that fails.
fn become_program(mut command: Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn image(work: &WorkDir, args: &ImageArgs) -> Result<()> {
    let spec = ImageSpec {
        bin_dir: args.bin_dir.clone(),
        systemd: args.systemd_dir.clone(),
        version: args.version.clone(),
        size: disk::parse_size(&args.size)?,
        extra_kargs: args.karg.clone(),
        epoch: args.source_date_epoch,
    };
    commit::check_version(&spec.version)?;
    let mut progress = Progress::new(&work.logs());
    let mut builder = Builder::new(work, &mut progress)?;
    if args.verify_reproducible {
        let checksum = builder.verify_reproducible(&spec)?;
        println!("reproducible: both builds gave commit {checksum}");
        return Ok(());
    }
    let out = args.out.as_deref().context("--out is missing")?;
    let built = builder.build(&spec, &args.format, out)?;
    if let Some(archive) = &args.publish {
        let archive = std::path::absolute(archive)?;
        let tools = Toolbox::open(work)?;
        progress.step("publish", |log: &mut StepLog| {
            commit::publish(log, &tools, work, commit::BRANCH, &archive)
        })?;
    }
    let seconds = progress.elapsed().as_secs_f64();
    println!("image ready: version {}, commit {}, {seconds:.1} s", spec.version, built.commit);
    Ok(())
}

fn boot_spec(args: BootArgs) -> Result<BootSpec> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("cannot read the ssh key {}", path.display()))
    };
    ensure!(args.cpus > 0 && args.memory >= 256, "a machine takes at least one processor and 256 MiB");
    Ok(BootSpec {
        image: args.image,
        seed: args.seed,
        ssh_port: args.ssh_port,
        forwards: args.forward,
        console: args.console.map_or(Console::Stdout, Console::File),
        memory: args.memory,
        cpus: args.cpus,
        accelerator: args.accel,
        persist: args.persist,
        smbios_serial: args.smbios_serial,
        ssh_key: args.ssh_key.map(read).transpose()?,
        no_reboot: args.no_reboot,
        qmp: args.qmp,
        extra: args.qemu,
    })
}

fn demo_images(work: &WorkDir, out: &Path) -> Result<()> {
    let mut progress = Progress::new(&work.logs());
    let tools = Toolbox::ensure(work, &mut progress)?;
    let busybox = tools.root().join("usr/bin/busybox");
    let written = progress.step("demo images", |_| demo::write_layouts(&busybox, out))?;
    for image in written {
        println!("{}: {}", image.name, image.layout.display());
    }
    Ok(())
}
