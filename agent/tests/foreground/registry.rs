//! Debian's docker-registry on loopback of our namespace, with the demo's images.

use crate::wait;
use anyhow::{Context as _, Result};
use image_builder::toolbox::Toolbox;
use image_builder::workdir::WorkDir;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// In a network namespace of our own every port is free.
const PORT: u16 = 5000;

/// The registry. Ends with this value.
pub(crate) struct Registry {
    child: Child,
}

impl Registry {
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let tools = std::env::var_os("HULL_TOOLS_ROOT").map(PathBuf::from);
        let tools =
            tools.context("HULL_TOOLS_ROOT is not set: `cargo xtask test` makes the toolbox and sets it")?;
        let work = WorkDir::open(tools.parent().context("the toolbox lies in a work directory")?)?;
        let tools = Toolbox::open(&work)?;
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{PORT}}}\n",
            dir.join("registry").display()
        );
        let file = dir.join("registry.yml");
        std::fs::write(&file, config)?;
        let child = tools
            .command("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting docker-registry")?;
        let registry = Self { child };
        wait::until("the registry listens", Duration::from_secs(30), || {
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).ok())
        })?;
        let busybox = tools.root().join("usr/bin/busybox");
        for image in image_builder::demo::write_layouts(&busybox, &dir.join("images"))? {
            image_builder::registry::push(
                &image.layout,
                &format!("http://127.0.0.1:{PORT}"),
                image.name,
                "1",
            )?;
        }
        Ok(registry)
    }

    /// As image references name it.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{PORT}")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
