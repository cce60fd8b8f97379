//! Watches the ruleset: whoever flushes Hull's table cuts containers off, so it is made again at once.

use crate::driver::Inner;
use crate::error::Outcome;
use crate::netlink::{Reply, Socket};
use crate::nft;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A reload comes as many changes: wait until it is over. Well under the second after which people notice.
const SETTLE: Duration = Duration::from_millis(50);

/// Opens the watch; the future runs it until it is dropped.
pub(crate) fn open(inner: &Arc<Inner>) -> Outcome<impl Future<Output = ()> + Send + 'static> {
    let socket = Socket::netfilter(nft::GROUP_MASK)?;
    #[expect(
        deprecated,
        reason = "the replacement is unsafe; this is sound as `Socket` keeps one descriptor all its life"
    )]
    let socket = AsyncFd::with_interest(socket, Interest::READABLE)
        .map_err(crate::error::Failure::system("watching the ruleset"))?;
    let (port, inner) = (inner.rules().port(), Arc::downgrade(inner));
    Ok(run(socket, port, inner))
}

async fn run(socket: AsyncFd<Socket>, port: u32, inner: Weak<Inner>) {
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        ready.clear_ready();
        if !damaged(socket.get_ref(), port) {
            continue;
        }
        tokio::time::sleep(SETTLE).await;
        let _ = damaged(socket.get_ref(), port);
        let Some(inner) = inner.upgrade() else { return };
        let renewed = tokio::task::spawn_blocking(move || inner.rules().renew()).await;
        match renewed {
            Ok(Ok(())) => {
                tracing::warn!("nftables table {} was changed from outside; made again", nft::host::TABLE)
            }
            Ok(Err(failure)) => {
                let error = hull_ports::Error::from(failure).chain();
                tracing::error!(
                    error,
                    "nftables table {} was changed from outside and cannot be made again",
                    nft::host::TABLE
                );
            }
            Err(_) => return,
        }
    }
}

/// Reads all announcements: whether somebody else removed anything from the table, or some announcements were lost.
fn damaged(socket: &Socket, port: u32) -> bool {
    let mut buffer = vec![0u8; 64 << 10];
    let mut damaged = false;
    while let Some(announced) = socket.announced(&mut buffer) {
        damaged |= match announced {
            Ok(length) => Reply::split(&buffer[..length]).any(|reply| {
                nft::deletion_in(&reply, nft::host::TABLE, port).is_some_and(|c| c != nft::host::USER_CHAIN)
            }),
            Err(_) => true,
        };
    }
    damaged
}
