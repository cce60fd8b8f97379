//! One agent per state directory.

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the agent's directories, closed to others, and claims them for as long as the result is alive.
pub(crate) fn claim(state_dir: &Path, run_dir: &Path) -> Result<Flock<File>> {
    for dir in [state_dir, run_dir] {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("making {}", dir.display()))?;
    }
    let path = state_dir.join("hulld.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            bail!(
                "another hulld uses {}; end that one first, or use another --state-dir",
                state_dir.display()
            )
        }
        Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}
