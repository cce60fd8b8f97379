//! One agent per state directory and run directory.

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the agent's directories, closed to others, and claims them for as long as the result is alive. Both, because a
/// supervisor in the run directory has its containers in one state directory.
pub(crate) fn claim(state_dir: &Path, run_dir: &Path) -> Result<[Flock<File>; 2]> {
    Ok([claim_one(state_dir, "--state-dir")?, claim_one(run_dir, "--run-dir")?])
}

fn claim_one(dir: &Path, option: &str) -> Result<Flock<File>> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("making {}", dir.display()))?;
    let path = dir.join("hulld.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            bail!("another hulld uses {}; end that one first, or use another {option}", dir.display())
        }
        Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_directory_is_shared() {
        let top = std::env::temp_dir().join(format!("hulld-instance-{}", std::process::id()));
        let [a, b, c] = ["a", "b", "c"].map(|name| top.join(name));
        let held = claim(&a, &b).unwrap();
        for (state, run, option) in [(&a, &c, "--state-dir"), (&c, &b, "--run-dir")] {
            let refused = claim(state, run).unwrap_err().to_string();
            assert!(refused.contains("another hulld") && refused.ends_with(option), "{refused}");
        }
        drop(held);
        claim(&c, &b).unwrap();
        std::fs::remove_dir_all(top).unwrap();
    }
}
