//! The program to be executed and where it begins, with failures in the words that Docker's clients derive exit codes from.

use super::rootdir::{Links, RootDir};
use crate::failure::{Class, Failure, Result, describe};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Where a search begins if the environment does not say (confstr(3), as Docker has it).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn nul() -> Failure {
    Failure::permanent("reading process.args", "an argument or variable contains a NUL byte")
}

/// Changes to the working directory, which must lie in the container: links of /proc that lead elsewhere are refused.
pub(super) fn change_directory(cwd: &Path) -> Result<()> {
    let failed = |error: &io::Error| {
        let doing = format!("chdir to cwd ({:?}) set in config.json failed", cwd.display().to_string());
        plain(doing, error)
    };
    let root = RootDir::open_current()?;
    let dir = root.open(cwd, libc::O_PATH | libc::O_DIRECTORY, Links::Inside).map_err(|e| failed(&e))?;
    nix::unistd::fchdir(&dir).map_err(|e| failed(&e.into()))?;
    match nix::unistd::getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => Err(Failure::permanent(
            format!("changing to working directory {}", cwd.display()),
            "it is not inside the container",
        )),
    }
}

/// The kernel's error in the words of C, which clients look for.
fn plain(doing: String, error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Failure::not_found(doing, "no such file or directory"),
        Some(libc::ENOTDIR) => Failure::permanent(doing, "not a directory"),
        Some(libc::EACCES | libc::EPERM) => Failure::permanent(doing, "permission denied"),
        _ => Failure { reason: describe(error), ..Failure::from_io(doing, error) },
    }
}

/// Finds the program as execvp(3) does, with the rights it will have.
pub(super) fn find(name: &str, env: &[String]) -> Result<CString> {
    let bytes = |path: PathBuf| CString::new(path.as_os_str().as_bytes()).map_err(|_| nul());
    if name.contains('/') {
        check(name)?;
        return bytes(PathBuf::from(name));
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    for directory in path.split(':') {
        let candidate = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        let Ok(stat) = nix::sys::stat::stat(&candidate) else { continue };
        if stat.st_mode & libc::S_IFMT == libc::S_IFREG && executable(&candidate) {
            return bytes(candidate);
        }
    }
    Err(Failure::not_found(format!("exec: {name:?}"), "executable file not found in $PATH")
        .remedy("check the command, the entrypoint and PATH of the image"))
}

/// A program that is named by its path must be one.
fn check(name: &str) -> Result<()> {
    let stat = nix::sys::stat::stat(name).map_err(|errno| {
        let failure = plain(format!("exec: {name:?}: stat {name}"), &errno.into());
        // Below a file there is nothing.
        Failure {
            class: if errno == nix::errno::Errno::ENOTDIR { Class::NotFound } else { failure.class },
            ..failure
        }
    })?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return Err(Failure::permanent(format!("exec: {name:?}: is a directory"), "permission denied"));
    }
    if !executable(Path::new(name)) {
        return Err(Failure::permanent(format!("exec: {name:?}"), "permission denied"));
    }
    Ok(())
}

fn executable(path: &Path) -> bool {
    use nix::fcntl::{AT_FDCWD, AtFlags};
    use nix::unistd::{AccessFlags, faccessat};
    faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok()
}

/// Why execve(2) failed.
pub(super) fn failure(name: &str, error: &io::Error) -> Failure {
    let doing = format!("exec: {name:?}");
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Failure::not_found(doing, "no such file or directory")
            .remedy("the program, or the interpreter or loader it names, is not in the image"),
        Some(libc::EACCES | libc::EPERM | libc::EISDIR) => Failure::permanent(doing, "permission denied"),
        Some(libc::ENOEXEC) => Failure::permanent(doing, "exec format error")
            .remedy("the program was built for another architecture, or is not one"),
        _ => plain(doing, error),
    }
}
