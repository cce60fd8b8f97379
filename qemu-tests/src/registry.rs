//! A real registry on loopback, with the demo's images in it.

use crate::session::{Session, free_port};
use crate::{http, wait};
use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// The address under which QEMU's user networking shows this machine's loopback to a guest.
pub(crate) const HOST_SEEN_BY_GUEST: &str = "10.0.2.2";

/// Debian's docker-registry. Ends with this value.
pub(crate) struct Registry {
    child: Child,
    /// On loopback.
    pub(crate) port: u16,
}

impl Registry {
    /// Starts an empty one and pushes the demo's images.
    pub(crate) fn with_demo_images(session: &Session, dir: &Path) -> Result<Self> {
        let port = free_port()?;
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
            dir.join("registry").display()
        );
        let file = dir.join("registry.yml");
        std::fs::write(&file, config).context("writing the registry's configuration")?;
        let log = std::fs::File::create(dir.join("registry.log")).context("making the registry's log")?;
        let child = session
            .tools
            .command("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting docker-registry")?;
        let registry = Self { child, port };
        wait::until("the registry answers", Duration::from_secs(30), || Ok(http::get(port, "/v2/").ok()))?;
        let layouts = dir.join("images");
        let busybox = session.tools.root().join("usr/bin/busybox");
        for image in image_builder::demo::write_layouts(&busybox, &layouts)? {
            let url = format!("http://127.0.0.1:{port}");
            image_builder::registry::push(&image.layout, &url, image.name, "1")?;
        }
        Ok(registry)
    }

    /// The registry as the guest names it.
    pub(crate) fn name_in_guest(&self) -> String {
        format!("{HOST_SEEN_BY_GUEST}:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
