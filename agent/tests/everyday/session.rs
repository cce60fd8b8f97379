//! The agent, a registry and a terminal for transcripts.

use crate::transcript::{Kind, Step, matches};
use anyhow::{Context as _, Result, bail, ensure};
use image_builder::small_root;
use image_builder::toolbox::Toolbox;
use image_builder::workdir::WorkDir;
use nix::sched::{CloneFlags, unshare};
use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Which program is called `docker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Docker's own.
    Docker,
    /// Ours.
    Hull,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Hull => "hull",
        })
    }
}

/// What a command did.
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) code: i32,
}

/// Everything that transcripts need, below one directory, in namespaces of this process.
pub(crate) struct Session {
    dir: PathBuf,
    host: String,
    agent: Option<Child>,
    registry: Option<Child>,
    plays: AtomicU32,
}

impl Session {
    pub(crate) fn start() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("hull-everyday-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        let other = std::env::var("HULL_EVERYDAY_HOST").ok();
        let host = other.clone().unwrap_or_else(|| format!("unix://{}/docker.sock", dir.display()));
        let mut session = Self { dir, host, agent: None, registry: None, plays: AtomicU32::new(0) };
        let tools = PathBuf::from(variable("HULL_TOOLS_ROOT")?);
        session.write_clients(&tools)?;
        small_root::archive(Path::new(&variable("HULL_TEST_BUSYBOX")?), &session.dir)?;
        if other.is_none() {
            enter_namespaces()?;
            session.agent = Some(session.spawn_agent()?);
            session.registry = Some(session.spawn_registry(&tools)?);
            session.wait_for("docker version", Client::Docker)?;
        }
        Ok(session)
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        if self.agent.is_some() { vec![Client::Docker, Client::Hull] } else { vec![Client::Docker] }
    }

    /// Two directories, each with a program `docker`. Docker's own is of the toolbox, whose C library it needs too.
    fn write_clients(&self, tools: &Path) -> Result<()> {
        let tools = tools.display();
        let docker = format!(
            "#!/bin/sh\nexec {tools}/usr/lib64/ld-linux-x86-64.so.2 --library-path {tools}/usr/lib/x86_64-linux-gnu {tools}/usr/bin/docker \"$@\"\n"
        );
        let bin = |client: Client| -> Result<PathBuf> {
            let bin = self.dir.join(client.to_string());
            std::fs::create_dir(&bin)?;
            Ok(bin.join("docker"))
        };
        let program = bin(Client::Docker)?;
        std::fs::write(&program, docker)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        // Ours goes by the name it is called by, as people's scripts expect.
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hull"), bin(Client::Hull)?).context("linking hull")?;
        Ok(())
    }

    fn spawn_agent(&self) -> Result<Child> {
        let log = std::fs::File::create(self.dir.join("hulld.log"))?;
        Command::new(env!("CARGO_BIN_EXE_hulld"))
            .arg("--state-dir")
            .arg(self.dir.join("state"))
            .arg("--run-dir")
            .arg(self.dir.join("run"))
            .arg("--docker-socket")
            .arg(self.dir.join("docker.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("starting hulld")
    }

    fn spawn_registry(&self, tools: &Path) -> Result<Child> {
        let work = WorkDir::open(tools.parent().context("the toolbox lies in a work directory")?)?;
        let tools = Toolbox::open(&work)?;
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: 127.0.0.1:5000}}\n",
            self.dir.join("registry").display()
        );
        let file = self.dir.join("registry.yml");
        std::fs::write(&file, config)?;
        let mut command = tools.command("docker-registry");
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("starting docker-registry")
    }

    fn wait_for(&self, command: &str, client: Client) -> Result<()> {
        let step = Step {
            line: 0,
            kind: Kind::Plain,
            command: format!("{command} >/dev/null"),
            typed: Vec::new(),
            expected: Vec::new(),
            code: 0,
        };
        let begun = Instant::now();
        loop {
            let seen = self.play(client, &step, &self.dir)?;
            if seen.code == 0 {
                return Ok(());
            }
            if begun.elapsed() > DEADLINE {
                bail!("{command}: {}", seen.text);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn new_directory(&self) -> Result<PathBuf> {
        let dir = self.dir.join(format!("play-{}", self.plays.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&dir).context("making a directory for a transcript")?;
        Ok(dir)
    }

    /// Runs one command of a transcript.
    pub(crate) fn play(&self, client: Client, step: &Step, dir: &Path) -> Result<Seen> {
        let begun = Instant::now();
        loop {
            let seen = self.run(client, step, dir)?;
            let lines: Vec<&str> = seen.text.lines().collect();
            let done =
                step.kind != Kind::Until || (seen.code == step.code && matches(&step.expected, &lines));
            if done || begun.elapsed() > DEADLINE {
                return Ok(seen);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn command(&self, client: Client, step: &Step, dir: &Path) -> Command {
        let mut command = if step.kind == Kind::Terminal {
            let mut command = Command::new("script");
            command.args(["--quiet", "--return", "--echo", "never", "--command", &step.command, "/dev/null"]);
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-ec").arg(&step.command);
            command
        };
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.join(client.to_string()).display());
        command.current_dir(dir).env("PATH", path).env("DOCKER_HOST", &self.host).env("HOME", dir);
        command.env("DOCKER_CONFIG", dir.join(".docker")).env("IMAGE", self.dir.join("busybox.tar"));
        command.env("SHELL", "/bin/sh").env("TERM", "xterm").env("COLUMNS", "200");
        command
    }

    fn run(&self, client: Client, step: &Step, dir: &Path) -> Result<Seen> {
        let output = dir.join("output");
        let file = std::fs::File::create(&output)?;
        let mut command = self.command(client, step, dir);
        let terminal = step.kind == Kind::Terminal;
        command.stdin(if terminal { Stdio::piped() } else { Stdio::null() });
        let mut child =
            command.stdout(file.try_clone()?).stderr(file).spawn().context("starting a command")?;
        let keyboard = child.stdin.take();
        let mut typing =
            keyboard.map(|keyboard| Typing { keyboard, lines: step.typed.clone().into(), at: 0 });
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > DEADLINE {
                child.kill().context("ending a command that hangs")?;
                child.wait()?;
                bail!("line {}: {}: hangs; so far: {}", step.line, step.command, read(&output)?);
            }
            if let Some(typing) = &mut typing {
                typing.go_on(&output)?;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ok(Seen { text: read(&output)?, code: status.code().unwrap_or(-1) })
    }

    /// Removes all that a transcript made but the image.
    pub(crate) fn clean(&self, client: Client) -> Result<()> {
        if self.agent.is_none() {
            return Ok(());
        }
        let command = "docker ps -aq | xargs -r docker rm -fv >/dev/null; docker volume prune -af >/dev/null; \
                       docker network prune -f >/dev/null; docker images -q | sort -u | xargs -r docker rmi -f >/dev/null";
        let step = Step {
            line: 0,
            kind: Kind::Plain,
            command: command.to_owned(),
            typed: Vec::new(),
            expected: Vec::new(),
            code: 0,
        };
        let seen = self.run(client, &step, &self.dir)?;
        ensure!(seen.code == 0, "cleaning up after a transcript: {}", seen.text);
        Ok(())
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("hulld.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let mut reset = Command::new(env!("CARGO_BIN_EXE_hull"));
            _ = reset.args(["-H", &self.host, "system", "reset", "--force"]).stdout(Stdio::null()).status();
            _ = agent.kill();
            _ = agent.wait();
        }
        if let Some(mut registry) = self.registry.take() {
            _ = registry.kill();
            _ = registry.wait();
        }
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("removing {}: {error}", self.dir.display());
        }
    }
}

/// A person at the keyboard: types a line once something was printed since the last one.
struct Typing {
    keyboard: std::process::ChildStdin,
    lines: std::collections::VecDeque<String>,
    at: u64,
}

impl Typing {
    fn go_on(&mut self, output: &Path) -> Result<()> {
        let printed = std::fs::metadata(output)?.len();
        if printed <= self.at || self.lines.is_empty() {
            return Ok(());
        }
        self.at = printed;
        let line = self.lines.pop_front().unwrap_or_default();
        let keys =
            line.replace("^P", "\x10").replace("^Q", "\x11").replace("^C", "\x03").replace("^D", "\x04");
        let end = if keys == line { "\n" } else { "" };
        // A command that ended meanwhile reads no more; what it printed will tell.
        _ = write!(self.keyboard, "{keys}{end}");
        _ = self.keyboard.flush();
        Ok(())
    }
}

fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set: `cargo xtask test` makes the toolbox and sets it"))
}

fn ensure_success(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Leaves the machine's network and mounts alone: everything from here on happens in namespaces of our own.
fn enter_namespaces() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .context("making namespaces: this test needs root")?;
    ensure_success(Command::new("mount").args(["--make-rprivate", "/"]))?;
    ensure_success(Command::new(variable("HULL_TEST_BUSYBOX")?).args(["ip", "link", "set", "lo", "up"]))
}
