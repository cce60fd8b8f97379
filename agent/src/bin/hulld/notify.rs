//! What systemd is told (sd_notify(3)). Without systemd nobody is told anything.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The agent serves its API and has begun to reconcile.
pub(crate) fn ready() {
    send("READY=1");
}

/// The reconciler's loop still turns: keeps the watchdog quiet.
pub(crate) fn alive() {
    send("WATCHDOG=1");
}

/// The agent is about to end by itself.
pub(crate) fn stopping() {
    send("STOPPING=1");
}

fn send(message: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent =
        address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, message, "telling systemd");
    }
}
