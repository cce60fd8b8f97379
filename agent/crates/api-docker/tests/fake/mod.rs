//! A host for the API's tests: containers in memory, but processes run in them are real children with real pipes and
//! terminals, and their output is what a test says.

#[allow(dead_code, reason = "not every program that shares this file asks this way")]
pub(crate) mod client;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use hull_api_docker::Api;
use hull_engine::{Engine, Ledger, Settings};
use hull_model::{
    ContainerId, ContainerRecord, ContainerSpec, EndpointSpec, ExitStatus, HostFacts, HostStatus, Ipv4Net,
    MountKind, MountSpec, NetworkSpec, Owner, Phase, PortSpec, Protocol, VolumeSpec,
};
use hull_ports::{
    AttachIo, AttachSpec, Bundle, Drivers, Error, ExecIo, ExecSpec, LogLine, LogOptions, LogStream,
    ProcessRecord, Result, Runtime, RuntimeEvent, Started, Stats, Stream,
};
use hull_testkit::{World, container, name};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, broadcast};

/// Containers in memory with real children.
pub(crate) struct Pretend {
    world: World,
    children: Mutex<HashMap<String, Child>>,
    attached: Attached,
}

/// The container's ends of streams that clients are attached to.
#[allow(dead_code, reason = "only some of the programs that share this file attach")]
pub(crate) struct Far {
    /// What clients type is read from here.
    pub(crate) stdin: std::fs::File,
    /// What is written here, clients see.
    pub(crate) stdout: std::fs::File,
    /// Likewise.
    pub(crate) stderr: std::fs::File,
}

pub(crate) type Attached = Arc<Mutex<Vec<Far>>>;

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| Error::retryable("making a pipe").because(e))
}

fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |e| Error::retryable(doing).because(e)
}

/// Opens a terminal and gives the child its other end as all three streams.
fn on_terminal(spec: &ExecSpec) -> std::io::Result<(Command, OwnedFd)> {
    let pty = nix::pty::openpty(None, None)?;
    // A child that held our end open would never see it hang up.
    for fd in [&pty.master, &pty.slave] {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    if let Some((rows, columns)) = spec.size {
        hull_sys::terminal::set_size(std::os::fd::AsFd::as_fd(&pty.master), rows, columns)?;
    }
    let mut command = Command::new("setsid");
    command.arg("--ctty").args(&spec.args);
    command.stdin(pty.slave.try_clone()?).stdout(pty.slave.try_clone()?).stderr(pty.slave);
    Ok((command, pty.master))
}

impl Pretend {
    fn spawn(&self, spec: &ExecSpec) -> Result<ExecIo> {
        let (mut command, terminal) = match spec.tty {
            true => on_terminal(spec).map(|(c, t)| (c, Some(t))).map_err(failed("opening a terminal"))?,
            false => {
                let mut command = Command::new(&spec.args[0]);
                command.args(&spec.args[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.stdin(if spec.stdin { Stdio::piped() } else { Stdio::null() });
                (command, None)
            }
        };
        command.envs(spec.env.iter().filter_map(|e| e.split_once('='))).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::not_found(format!("exec: {:?}: executable file not found in $PATH", spec.args[0]))
            }
            _ => Error::permanent(format!("exec: {:?}", spec.args[0])).because(e),
        })?;
        drop(command);
        let io = ExecIo {
            exec: child.id().unwrap_or(0).to_string(),
            pid: child.id().and_then(|p| p.try_into().ok()).unwrap_or(0),
            stdin: child.stdin.take().map(|s| s.into_owned_fd()).transpose().map_err(failed("stdin"))?,
            stdout: child.stdout.take().map(|s| s.into_owned_fd()).transpose().map_err(failed("stdout"))?,
            stderr: child.stderr.take().map(|s| s.into_owned_fd()).transpose().map_err(failed("stderr"))?,
            terminal,
        };
        self.children.lock().unwrap().insert(io.exec.clone(), child);
        Ok(io)
    }
}

/// Three lines on both streams, a second apart.
fn said() -> Vec<LogLine> {
    let line = |second, stream, text: &str| LogLine {
        stream,
        at: Timestamp::from_second(second).unwrap(),
        bytes: text.as_bytes().to_vec(),
        attributes: Default::default(),
    };
    vec![
        line(1, Stream::Stdout, "one\n"),
        line(2, Stream::Stderr, "two\n"),
        line(3, Stream::Stdout, "three\n"),
    ]
}

#[async_trait]
impl Runtime for Pretend {
    async fn start(&self, bundle: &Bundle) -> Result<Started> {
        self.world.start(bundle).await
    }

    async fn list(&self) -> Result<Vec<ProcessRecord>> {
        Runtime::list(&self.world).await
    }

    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<()> {
        self.world.signal(id, signal).await
    }

    async fn kill(&self, id: &ContainerId) -> Result<()> {
        self.world.kill(id).await
    }

    async fn wait(&self, id: &ContainerId) -> Result<(ExitStatus, Timestamp)> {
        self.world.wait(id).await
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.world.events()
    }

    async fn exec(&self, _id: &ContainerId, spec: &ExecSpec) -> Result<ExecIo> {
        self.spawn(spec)
    }

    async fn exec_wait(&self, exec: &str) -> Result<ExitStatus> {
        let child = self.children.lock().unwrap().remove(exec);
        let mut child = child.ok_or_else(|| Error::not_found(format!("No such exec: {exec}")))?;
        let status = child.wait().await.map_err(failed("waiting"))?;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let code = status.code().or(signal.map(|s| 128 + s)).unwrap_or(255);
        Ok(ExitStatus { code, ..ExitStatus::default() })
    }

    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
        let mut lines = said();
        lines.retain(|l| options.since.is_none_or(|s| l.at >= s) && options.until.is_none_or(|u| l.at < u));
        let skipped = options.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
        let past = futures_util::stream::iter(lines.into_iter().skip(skipped).map(Ok));
        if !options.follow {
            return Ok(past.boxed());
        }
        let (world, id) = (self.world.clone(), id.clone());
        let last = futures_util::stream::once(async move {
            let (_, at) = world.wait(&id).await?;
            Ok(LogLine {
                stream: Stream::Stdout,
                at,
                bytes: b"bye\n".to_vec(),
                attributes: Default::default(),
            })
        });
        Ok(past.chain(last).boxed())
    }

    async fn attach(&self, _id: &ContainerId, spec: &AttachSpec) -> Result<AttachIo> {
        let ((input, stdin), (stdout, output), (stderr, errors)) = (pipe()?, pipe()?, pipe()?);
        let far = Far { stdin: input.into(), stdout: output.into(), stderr: errors.into() };
        self.attached.lock().unwrap().push(far);
        Ok(AttachIo {
            stdin: spec.stdin.then_some(stdin),
            stdout: spec.stdout.then_some(stdout),
            stderr: spec.stderr.then_some(stderr),
        })
    }

    async fn processes(&self, _id: &ContainerId) -> Result<Vec<i32>> {
        Ok(vec![i32::try_from(std::process::id()).unwrap_or(1)])
    }

    async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        match Runtime::list(&self.world).await?.iter().any(|p| p.id == *id && p.exit.is_none()) {
            true => Ok(Stats { cpu_total: 5, pids: 1, ..Stats::default() }),
            false => Err(Error::conflict(format!("container {id} is not running"))),
        }
    }

    async fn pause(&self, id: &ContainerId) -> Result<()> {
        Runtime::pause(&self.world, id).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<()> {
        Runtime::resume(&self.world, id).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<()> {
        Runtime::remove(&self.world, id).await
    }

    async fn reset(&self) -> Result<()> {
        Runtime::reset(&self.world).await
    }
}

fn no_filter(_: &BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp {
    oci_spec::runtime::LinuxSeccomp::default()
}

/// A host whose API answers on a socket.
pub(crate) struct Host {
    pub(crate) world: World,
    pub(crate) engine: Engine,
    pub(crate) socket: PathBuf,
    /// Told when the agent was asked to exit.
    #[allow(dead_code, reason = "only some of the programs that share this file end a host")]
    pub(crate) exited: Arc<Notify>,
    /// The other ends of what clients are attached to.
    #[allow(dead_code, reason = "only some of the programs that share this file attach")]
    pub(crate) attached: Attached,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Host {
    /// Starts a host below a directory: `web` declared in the host spec and running, `job` made by hand and ended with 3.
    pub(crate) async fn start(dir: &Path) -> Self {
        let world = World::with_images(&["web:1", "job"]);
        let attached = Attached::default();
        let runtime =
            Pretend { world: world.clone(), children: Mutex::default(), attached: attached.clone() };
        let drivers = Drivers { runtime: Arc::new(runtime), ..world.drivers() };
        let ledger = Ledger::open(&dir.join("ledger.sqlite")).unwrap();
        let settings = Settings { files_dir: dir.join("etc"), boot: "boot".into(), seccomp: no_filter };
        let engine = Engine::open(drivers, ledger, settings).await.unwrap();
        let socket = dir.join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let exited = Arc::new(Notify::new());
        let telling = exited.clone();
        let api = Api {
            engine: engine.clone(),
            status: Arc::new(|| Box::pin(async { status() })),
            version: "0.1.0".into(),
            root: dir.to_owned(),
            shutdown: Arc::new(move || telling.notify_one()),
        };
        let serving = tokio::spawn(hull_api_docker::serve(listener, api));
        let host = Self { world, engine, socket, exited, attached, serving };
        host.populate().await;
        host
    }

    async fn populate(&self) {
        let network = NetworkSpec {
            name: name("front"),
            subnet: None,
            gateway: None,
            internal: false,
            labels: Default::default(),
        };
        let subnet = Ipv4Net::try_from("10.89.0.0/24".to_owned()).unwrap();
        let gateway = "10.89.0.1".parse().unwrap();
        self.engine.create_network(&network, subnet, gateway, Owner::HostSpec).await.unwrap();
        let volume = VolumeSpec { name: name("data"), labels: Default::default() };
        self.engine.create_volume(&volume, Owner::HostSpec).await.unwrap();
        self.bring_up(web(), Owner::HostSpec).await;
        self.world.clock.advance(jiff::SignedDuration::from_secs(60));
        let job = self.bring_up(container("job", "job"), Owner::Docker).await;
        self.world.clock.advance(jiff::SignedDuration::from_secs(55));
        self.world.exit(&job.id, 3);
        self.until("job", |r| !r.state.is_running()).await;
        self.world.clock.advance(jiff::SignedDuration::from_secs(5));
    }

    async fn bring_up(&self, spec: ContainerSpec, owner: Owner) -> ContainerRecord {
        let images = &self.engine.drivers().images;
        images.pull(&spec.image, &Default::default(), &hull_ports::Silent).await.unwrap();
        let record = self.engine.create_container(&spec, None, owner).await.unwrap();
        self.engine.start_container(&record.id, false).await.unwrap();
        record
    }

    /// Waits until a container is as the test wants it.
    pub(crate) async fn until(&self, named: &str, wanted: impl Fn(&ContainerRecord) -> bool) {
        let looking = async {
            loop {
                match self.engine.find(named).await {
                    Ok(record) if wanted(&record) => return,
                    _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), looking)
            .await
            .expect("the state is reached");
    }
}

fn web() -> ContainerSpec {
    let mut web = container("web", "web:1");
    web.command = Some(vec!["/bin/serve".into(), "--greeting".into(), "hello world".into()]);
    web.networks.insert(name("front"), EndpointSpec { aliases: vec!["www".into()], ipv4: None });
    web.ports.push(PortSpec { host_ip: None, host_port: 8080, container_port: 80, protocol: Protocol::Tcp });
    let kind = MountKind::Volume { name: name("data") };
    web.mounts.push(MountSpec {
        kind,
        target: "/data".into(),
        read_only: false,
        options: Default::default(),
    });
    web.labels.insert("tier".into(), "front".into());
    web
}

fn status() -> HostStatus {
    let host = HostFacts {
        hostname: "fake".into(),
        os: "Fake OS 1".into(),
        kernel: "6.18".into(),
        architecture: "amd64".into(),
        cpus: 2,
        memory: 1 << 30,
        ..HostFacts::default()
    };
    HostStatus { phase: Phase::Ready, host, agent_version: "0.1.0".into(), ..HostStatus::default() }
}
