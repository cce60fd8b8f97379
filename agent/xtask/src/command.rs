//! Running programs, as the caller or as root.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

/// One program to be run from the root of the workspace.
pub(crate) struct Step {
    command: Command,
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    const MANIFEST: &str = env!("CARGO_MANIFEST_DIR");
    // agent/xtask
    Path::new(MANIFEST).parent().and_then(Path::parent).unwrap_or(Path::new("."))
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let output = Command::new("id").arg("-u").output();
        output.is_ok_and(|o| o.stdout.trim_ascii() == b"0")
    })
}

impl Step {
    /// The cargo that runs us. It builds into the workspace, wherever other builds of the caller go: what is built is
    /// looked for there, also by programs that see nothing else of this machine.
    pub(crate) fn cargo(action: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::new(cargo).arg(action).env("CARGO_TARGET_DIR", workspace().join("target"))
    }

    /// Any program.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(workspace());
        Self { command }
    }

    /// A program that needs root: through sudo unless we are root.
    pub(crate) fn root(program: impl AsRef<OsStr>) -> Self {
        if is_root() {
            return Self::new(program);
        }
        Self::new("sudo").arg("--preserve-env=PATH,CI,TERM").arg("--").arg(program)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it; says what it is for, and how long it took.
    pub(crate) fn run(mut self, what: &str) -> Result<()> {
        println!("xtask: {what}");
        let begun = Instant::now();
        let program = self.command.get_program().to_owned();
        let status = self.command.status().with_context(|| format!("starting {}", program.display()))?;
        let seconds = begun.elapsed().as_secs_f64();
        if !status.success() {
            bail!("{what}: {} ended with {status} after {seconds:.0} s", program.display());
        }
        println!("xtask: {what}: {seconds:.0} s");
        Ok(())
    }

    /// Runs it and returns what it prints.
    pub(crate) fn output(mut self, what: &str) -> Result<String> {
        let output = self.command.output().with_context(|| format!("{what}: starting it"))?;
        if !output.status.success() {
            bail!("{what}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
