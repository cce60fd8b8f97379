//! The cable is out: the host boots all the same, and does what it was told as soon as the cable is in.

use crate::demo;
use crate::registry::Registry;
use crate::session::Session;
use anyhow::{Result, ensure};

pub(crate) fn run(session: &Session) -> Result<()> {
    let dir = session.directory("no-network")?;
    let registry = Registry::with_demo_images(session, &dir)?;
    let mut guest = demo::boot(session, &registry, &dir)?;
    guest.cable(false)?;
    guest.wait_for_console("hull: boot complete")?;
    guest.cable(true)?;
    guest.wait_for_ssh()?;
    let log = guest.ssh("journalctl -b -u hulld --no-pager")?;
    ensure!(log.contains("failed") && log.contains("pull image"), "the pull did not fail first:\n{log}");
    let page = guest.wait_for_page()?;
    demo::verify(&page, &demo::ready(&guest)?)
}
