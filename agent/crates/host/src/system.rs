//! What is not a file: the kernel's host name, and systemd over D-Bus.

use async_trait::async_trait;
use std::time::Duration;

/// An answer over D-Bus takes no longer than this.
const ANSWER: Duration = Duration::from_secs(30);

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemError {
    /// The kernel refused.
    #[error("the kernel refused: {0}")]
    Kernel(#[from] nix::Error),
    /// The bus, or who was asked over it, refused.
    #[error("over D-Bus: {0}")]
    Bus(#[from] zbus::Error),
    /// Nobody answered.
    #[error("no answer over D-Bus within {} s", ANSWER.as_secs())]
    Silent,
}

/// The host's running parts.
#[async_trait]
pub(crate) trait System: Send + Sync {
    /// Sets the kernel's host name.
    fn set_hostname(&self, name: &str) -> Result<(), SystemError>;
    /// Restarts a unit, or starts it.
    async fn restart(&self, unit: &str) -> Result<(), SystemError>;
    /// Stops a unit and keeps it from being started until the next boot.
    async fn stop_and_mask(&self, unit: &str) -> Result<(), SystemError>;
    /// Lets a unit be started again.
    async fn unmask(&self, unit: &str) -> Result<(), SystemError>;
    /// Has systemd-networkd read its files again and set up what they changed.
    async fn reload_network(&self) -> Result<(), SystemError>;
}

/// The host this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Live;

const SYSTEMD: (&str, &str, &str) =
    ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
const NETWORKD: (&str, &str, &str) =
    ("org.freedesktop.network1", "/org/freedesktop/network1", "org.freedesktop.network1.Manager");

/// One call; a connection for each, since they are rare.
async fn call<B>(
    (name, path, interface): (&str, &str, &str),
    method: &str,
    body: &B,
) -> Result<(), SystemError>
where
    B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
{
    let answer = async {
        let bus = zbus::Connection::system().await?;
        bus.call_method(Some(name), path, Some(interface), method, body).await
    };
    tokio::time::timeout(ANSWER, answer).await.map_err(|_| SystemError::Silent)??;
    Ok(())
}

#[async_trait]
impl System for Live {
    fn set_hostname(&self, name: &str) -> Result<(), SystemError> {
        Ok(nix::unistd::sethostname(name)?)
    }

    async fn restart(&self, unit: &str) -> Result<(), SystemError> {
        call(SYSTEMD, "RestartUnit", &(unit, "replace")).await
    }

    async fn stop_and_mask(&self, unit: &str) -> Result<(), SystemError> {
        call(SYSTEMD, "MaskUnitFiles", &(vec![unit], true, true)).await?;
        call(SYSTEMD, "Reload", &()).await?;
        call(SYSTEMD, "StopUnit", &(unit, "replace")).await
    }

    async fn unmask(&self, unit: &str) -> Result<(), SystemError> {
        call(SYSTEMD, "UnmaskUnitFiles", &(vec![unit], true)).await?;
        call(SYSTEMD, "Reload", &()).await
    }

    async fn reload_network(&self) -> Result<(), SystemError> {
        call(NETWORKD, "Reload", &()).await
    }
}

/// Remembers what it was asked, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) calls: std::sync::Mutex<Vec<String>>,
    pub(crate) failing: bool,
}

#[cfg(test)]
impl Recorded {
    fn note(&self, call: String) -> Result<(), SystemError> {
        self.calls.lock().unwrap().push(call);
        if self.failing { Err(SystemError::Silent) } else { Ok(()) }
    }

    /// What was asked since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[cfg(test)]
#[async_trait]
impl System for Recorded {
    fn set_hostname(&self, name: &str) -> Result<(), SystemError> {
        self.note(format!("hostname {name}"))
    }

    async fn restart(&self, unit: &str) -> Result<(), SystemError> {
        self.note(format!("restart {unit}"))
    }

    async fn stop_and_mask(&self, unit: &str) -> Result<(), SystemError> {
        self.note(format!("mask {unit}"))
    }

    async fn unmask(&self, unit: &str) -> Result<(), SystemError> {
        self.note(format!("unmask {unit}"))
    }

    async fn reload_network(&self) -> Result<(), SystemError> {
        self.note("reload network".to_owned())
    }
}
