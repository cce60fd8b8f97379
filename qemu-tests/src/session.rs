//! What all machines of one run share: toolbox, image, an ssh key.

use anyhow::{Context as _, Result, ensure};
use image_builder::toolbox::Toolbox;
use image_builder::workdir::WorkDir;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// One run.
pub(crate) struct Session {
    pub(crate) work: WorkDir,
    pub(crate) tools: Toolbox,
    pub(crate) image: PathBuf,
}

impl Session {
    /// Opens the work directory in which toolbox and image were made.
    pub(crate) fn open(work: &Path, image: &Path) -> Result<Self> {
        let work = WorkDir::open(work)?;
        let tools = Toolbox::open(&work)?;
        Ok(Self { work, tools, image: image.to_owned() })
    }

    /// A directory of this run for one machine, empty.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let dir = self.work.root().join("machines").join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// The key that may log in to the machines of this work directory: its private file and its public line.
    pub(crate) fn ssh_key(&self) -> Result<(PathBuf, String)> {
        let private = self.work.root().join("machines").join("id_ed25519");
        if !private.exists() {
            let dir = private.parent().context("the key has a directory")?;
            std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
            let made = self
                .tools
                .command("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "hull-demo", "-f"])
                .arg(&private)
                .output()
                .context("starting ssh-keygen")?;
            ensure!(made.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&made.stderr));
        }
        let public =
            std::fs::read_to_string(private.with_extension("pub")).context("reading the public key")?;
        Ok((private, public.trim().to_owned()))
    }
}

/// A port of loopback that nobody uses right now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}
