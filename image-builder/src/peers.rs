//! Other container engines, for comparisons and benchmarks: a root of Debian testing, and its engines in namespaces of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::definition::{PEER_PACKAGES, PEER_SUITE};
use crate::mmdebstrap::{bootstrap_peers, ensure_installed};
use crate::progress::Progress;
use crate::workdir::WorkDir;

/// Arguments: the root, a directory of the host that is seen as `/shared`, then the program. Loopback is up; the hybrid control
/// group hierarchy, which engines of others stumble over, is out of sight. Everything ends with the namespaces.
const SCRIPT: &str = r#"
set -e
root=$1 shared=$2
shift 2
ip link set lo up
mount --bind "$root" "$root"
cd "$root"
for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
if [ -d sys/fs/cgroup/unified ]; then umount -R sys/fs/cgroup/unified; fi
mount -t tmpfs tmpfs run
mkdir -p shared var/lib/docker var/lib/containers
mount --bind "$shared" shared
mkdir -p shared/docker shared/containers
mount --bind shared/docker var/lib/docker
mount --bind shared/containers var/lib/containers
pivot_root . mnt
umount -l /mnt
cd /
exec "$@"
"#;

/// A root with the engines.
#[derive(Debug, Clone)]
pub struct Peers {
    root: PathBuf,
}

impl Peers {
    /// Makes the root, or finds the one that was made from the same list of packages.
    pub fn ensure(work: &WorkDir, progress: &mut Progress) -> Result<Self> {
        let (root, stamp) = (work.root().join("peers"), work.root().join("peers.stamp"));
        let wanted = format!("{PEER_SUITE} {}", PEER_PACKAGES.join(" "));
        if fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
            progress.cached("peers");
        } else {
            progress.step("install mmdebstrap", ensure_installed)?;
            progress.step("peers", |log| bootstrap_peers(log, &root))?;
            fs::write(&stamp, &wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        }
        Ok(Self { root })
    }

    /// A program of theirs in namespaces of its own, for mounts, network, host name and IPC. It sees `shared` as `/shared`,
    /// and keeps its state there.
    pub fn command(&self, shared: &Path, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--uts", "--ipc", "--propagation", "private"]);
        command.args(["sh", "-c", SCRIPT, "peers"]).arg(&self.root).arg(shared).arg(program);
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env_remove("TMPDIR");
        command
    }
}
