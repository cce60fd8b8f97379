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
        let mut damage = read(socket.get_ref(), port);
        while damage != Damage::None {
            tokio::time::sleep(SETTLE).await;
            let _ = read(socket.get_ref(), port);
            let Some(inner) = inner.upgrade() else { return };
            let Ok(renewed) = tokio::task::spawn_blocking(move || inner.rules().renew()).await else {
                return;
            };
            report(renewed, damage);
            // Whoever removed something meanwhile is answered, too. A large renewal may lose announcements by itself: that is
            // no damage.
            damage = match read(socket.get_ref(), port) {
                Damage::Removed => Damage::Removed,
                Damage::None | Damage::Unknown => Damage::None,
            };
        }
    }
}

fn report(renewed: Outcome<()>, damage: Damage) {
    match renewed {
        Ok(()) if damage == Damage::Removed => {
            tracing::warn!("nftables table {} was changed from outside; made again", nft::host::TABLE);
        }
        Ok(()) => {}
        Err(failure) => {
            let error = hull_ports::Error::from(failure).chain();
            tracing::error!(error, "nftables table {} cannot be made again", nft::host::TABLE);
        }
    }
}

/// What the announcements say of our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    None,
    /// Some announcements were lost.
    Unknown,
    /// Somebody else removed something.
    Removed,
}

/// Reads all announcements.
fn read(socket: &Socket, port: u32) -> Damage {
    let mut buffer = vec![0u8; 64 << 10];
    let mut damage = Damage::None;
    let ours = |chain: String| chain != nft::host::USER_CHAIN;
    while let Some(announced) = socket.announced(&mut buffer) {
        damage = damage.max(match announced {
            Ok(length) => {
                let mut replies = Reply::split(&buffer[..length]);
                let removed =
                    replies.any(|reply| nft::deletion_in(&reply, nft::host::TABLE, port).is_some_and(ours));
                if removed { Damage::Removed } else { Damage::None }
            }
            Err(_) => Damage::Unknown,
        });
    }
    damage
}
