//! A running machine.

use crate::session::{Session, free_port};
use crate::{http, wait};
use anyhow::{Context as _, Result, bail, ensure};
use image_builder::boot::{self, BootSpec};
use image_builder::qemu::{Console, Forward};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A machine may take this long from power-on to whatever is waited for first: code is translated, cores are shared.
pub(crate) const BOOT_DEADLINE: Duration = Duration::from_secs(420);

/// QEMU with an image. Its plug is pulled when this value ends.
pub(crate) struct Guest<'a> {
    session: &'a Session,
    child: Child,
    key: PathBuf,
    console: PathBuf,
    control: PathBuf,
    /// Port of loopback that is the guest's ssh.
    pub(crate) ssh_port: u16,
    /// Port of loopback that is the guest's published web server.
    pub(crate) web_port: u16,
    /// When it was switched on.
    pub(crate) begun: Instant,
}

/// How a guest is told what it should be.
pub(crate) enum Seed {
    /// A disk labelled cidata.
    Disk(PathBuf),
    /// A URL in the SMBIOS serial number.
    Url(String),
}

impl<'a> Guest<'a> {
    /// Switches a machine on. What it writes is kept below `dir` for as long as that is, so that it may be rebooted.
    pub(crate) fn boot(session: &'a Session, dir: &Path, seed: &Seed) -> Result<Self> {
        let (key, public) = session.ssh_key()?;
        let disk = dir.join("disk.qcow2");
        if !disk.exists() {
            boot::overlay(&session.tools, &session.image, &disk)?;
        }
        let (ssh_port, web_port) = (free_port()?, free_port()?);
        let console = dir.join("console.log");
        let mut spec = BootSpec::new(&disk);
        spec.persist = true;
        spec.ssh_port = Some(ssh_port);
        spec.forwards = vec![Forward { host: web_port, guest: crate::seed::WEB_PORT }];
        spec.console = Console::File(console.clone());
        spec.ssh_key = Some(public);
        let control = dir.join("qmp.sock");
        spec.qmp = Some(control.clone());
        match seed {
            Seed::Disk(path) => spec.seed = Some(path.clone()),
            Seed::Url(url) => spec.smbios_serial = Some(format!("ds=nocloud;s={url}")),
        }
        let log = std::fs::File::create(dir.join("qemu.log")).context("making QEMU's log")?;
        let child = boot::command(&session.work, &session.tools, &spec)?
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting QEMU")?;
        Ok(Self { session, child, key, console, control, ssh_port, web_port, begun: Instant::now() })
    }

    /// Fails if QEMU has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        match self.child.try_wait().context("looking at QEMU")? {
            Some(status) => bail!("QEMU ended ({status}); its log is beside {}", self.console.display()),
            None => Ok(()),
        }
    }

    /// The last lines of the machine's console, for a failure's report.
    pub(crate) fn console_tail(&self) -> String {
        let bytes = std::fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Plugs the network cable in or pulls it (QEMU's control protocol, `set_link`).
    pub(crate) fn cable(&mut self, plugged: bool) -> Result<()> {
        let stream = wait::until("QEMU's control socket", Duration::from_secs(30), || {
            self.alive()?;
            Ok(UnixStream::connect(&self.control).ok())
        })?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answers = BufReader::new(stream.try_clone()?).lines();
        let mut ask = |order: &str| -> Result<()> {
            (&stream).write_all(order.as_bytes()).context("telling QEMU")?;
            for line in answers.by_ref() {
                let line = line.context("hearing from QEMU")?;
                ensure!(!line.contains("\"error\""), "QEMU refuses {order}: {line}");
                if line.contains("\"return\"") {
                    return Ok(());
                }
            }
            bail!("QEMU hung up at {order}")
        };
        ask("{\"execute\": \"qmp_capabilities\"}\n")?;
        ask(&format!(
            "{{\"execute\": \"set_link\", \"arguments\": {{\"name\": \"net\", \"up\": {plugged}}}}}\n"
        ))
    }

    /// Waits until the console has said something.
    pub(crate) fn wait_for_console(&mut self, text: &str) -> Result<()> {
        let console = self.console.clone();
        let said = wait::until(&format!("the console says {text:?}"), BOOT_DEADLINE, || {
            self.alive()?;
            let bytes = std::fs::read(&console).unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).contains(text).then_some(()))
        });
        said.with_context(|| format!("the console says\n{}", self.console_tail()))
    }

    fn ssh_command(&self, user: &str) -> Command {
        let mut command = self.session.tools.command("ssh");
        command.arg("-i").arg(&self.key).args(["-p", &self.ssh_port.to_string()]);
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=20",
            "IdentitiesOnly=yes",
        ] {
            command.args(["-o", option]);
        }
        command.arg(format!("{user}@127.0.0.1"));
        command
    }

    /// Runs a command in the guest as root and returns what it prints; an error has what it said.
    pub(crate) fn ssh(&self, script: &str) -> Result<String> {
        self.ssh_as("root", script)
    }

    /// The same as somebody else.
    pub(crate) fn ssh_as(&self, user: &str, script: &str) -> Result<String> {
        let output =
            self.ssh_command(user).arg(script).stdin(Stdio::null()).output().context("starting ssh")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "in the guest, `{script}`: {} {text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }

    /// Runs a whole script in the guest as root. How it ends says nothing; what it prints is returned.
    pub(crate) fn ssh_with(&self, script: &str) -> Result<String> {
        let mut command = self.ssh_command("root");
        let mut child = command.arg("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.take().context("ssh has an input")?.write_all(script.as_bytes())?;
        let output = child.wait_with_output().context("waiting for ssh")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Copies a file of this machine into the guest.
    pub(crate) fn send(&self, file: &Path, to: &str) -> Result<()> {
        let input = std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
        let mut command = self.ssh_command("root");
        let status = command.arg(format!("cat > {to}")).stdin(input).status().context("starting ssh")?;
        ensure!(status.success(), "copying {} into the guest: {status}", file.display());
        Ok(())
    }

    /// Waits until ssh lets root in.
    pub(crate) fn wait_for_ssh(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.alive()?;
            match self.ssh("true") {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > BOOT_DEADLINE => {
                    return Err(
                        error.context(format!("waiting for ssh; the console says\n{}", self.console_tail()))
                    );
                }
                Err(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    /// Waits until the published web server answers with a page.
    pub(crate) fn wait_for_page(&mut self) -> Result<String> {
        let port = self.web_port;
        let asked = wait::until("the published port answers", BOOT_DEADLINE, || {
            self.alive()?;
            Ok(http::get(port, "/").ok())
        });
        asked.with_context(|| format!("the console says\n{}", self.console_tail()))
    }

    /// The host's own account of itself.
    pub(crate) fn status(&self) -> Result<Value> {
        let text = self.ssh("hull status --format json")?;
        serde_json::from_str(&text).with_context(|| format!("reading the status {text:?}"))
    }

    /// Waits until the host's account of itself is as wanted.
    pub(crate) fn wait_for_status(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let found = wait::until(what, BOOT_DEADLINE, || {
            let Ok(status) = self.status() else { return Ok(None) };
            last.clone_from(&status);
            Ok(is_so(&status).then_some(status))
        });
        found.with_context(|| format!("the last status was {last:#}"))
    }

    /// Reboots from within and waits until ssh answers again.
    pub(crate) fn reboot(&mut self) -> Result<()> {
        let before = self.ssh("cat /proc/sys/kernel/random/boot_id")?;
        // The connection goes down with the machine: how this command ends says nothing.
        _ = self.ssh("systemctl reboot");
        let begun = Instant::now();
        loop {
            self.alive()?;
            if self.ssh("cat /proc/sys/kernel/random/boot_id").is_ok_and(|after| after != before) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < BOOT_DEADLINE,
                "the machine did not come back; the console says\n{}",
                self.console_tail()
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// The command a person would type to log in.
    pub(crate) fn ssh_hint(&self, user: &str) -> String {
        format!(
            "ssh -i {} -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {user}@127.0.0.1",
            self.key.display(),
            self.ssh_port
        )
    }

    /// Waits for QEMU's end.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.child.wait().context("waiting for QEMU")?;
        Ok(())
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
