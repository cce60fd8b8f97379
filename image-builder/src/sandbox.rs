//! Running a program inside a root file system of ours.
//!
//! The program gets a mount namespace of its own with `/proc`, `/dev` and `/sys` and some directories of the host at
//! their own paths. Every wrapper ends in `exec`, so the process that is started *is* the program: signals and the exit
//! code need no forwarding, and killing it leaves nothing behind. The network stays the caller's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Ends our own part of the command line; what follows is the program and its arguments.
pub const MARK: &str = "--in-root--";

/// Arguments: the root, then pairs of (source, target), then [`MARK`], then the program.
const SCRIPT: &str = r#"
set -e
root=$1 dir=$2
shift 2
for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
while [ "$1" != --in-root-- ]; do
    mkdir -p "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
shift
exec chroot "$root" /usr/bin/env --chdir="$dir" -- "$@"
"#;

/// A root file system and what of the host is seen in it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    root: PathBuf,
    binds: Vec<(PathBuf, PathBuf)>,
    dir: PathBuf,
}

impl Sandbox {
    /// Only the root, with the kernel's file systems.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), binds: Vec::new(), dir: PathBuf::from("/") }
    }

    /// Shows a directory of the host at the same path inside.
    #[must_use]
    pub fn with(self, path: &Path) -> Self {
        self.with_at(path, path)
    }

    /// Shows a directory of the host at another path inside.
    #[must_use]
    pub fn with_at(mut self, source: &Path, target: &Path) -> Self {
        self.binds.push((source.to_owned(), target.to_owned()));
        self
    }

    /// The directory the program starts in (`/` otherwise); it must be visible inside.
    #[must_use]
    pub fn in_dir(mut self, dir: &Path) -> Self {
        dir.clone_into(&mut self.dir);
        self
    }

    /// A command that runs `program` inside. Its environment is the caller's, with a plain `PATH` and locale.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "/bin/sh", "-c", SCRIPT, "sandbox"]);
        command.arg(&self.root).arg(&self.dir);
        for (source, target) in &self.binds {
            command.arg(source).arg(target);
        }
        command.arg(MARK).arg(program.as_ref());
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8");
        command.env_remove("TMPDIR");
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_follows_the_mark() {
        let sandbox = Sandbox::new(Path::new("/r")).with(Path::new("/w")).in_dir(Path::new("/w/x"));
        let mut command = sandbox.command("qemu");
        command.arg("-x");
        let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        let at = words.iter().position(|w| w == "sandbox").unwrap();
        assert_eq!(words[at + 1..], ["/r", "/w/x", "/w", "/w", MARK, "qemu", "-x"]);
    }

    #[test]
    fn the_process_is_the_program() {
        let mut child = Sandbox::new(Path::new("/")).command("sleep").arg("60").spawn().unwrap();
        let name = format!("/proc/{}/comm", child.id());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::fs::read_to_string(&name).unwrap().trim() != "sleep" {
            assert!(std::time::Instant::now() < deadline, "the wrapper never became the program");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn exit_codes_and_arguments_come_through() {
        let sandbox = Sandbox::new(Path::new("/")).in_dir(Path::new("/usr"));
        let script = r#"[ "$PWD" = /usr ] && [ "$1" = "a b" ] && exit 42"#;
        let status = sandbox.command("sh").args(["-c", script, "sh", "a b"]).status().unwrap();
        assert_eq!(status.code(), Some(42));
    }
}
