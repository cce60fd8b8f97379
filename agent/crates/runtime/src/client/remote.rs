//! What the supervisor cannot do without waiting: looking up the host that a log goes to, and whether it answers.

use crate::log::{Address, resolve};
use hull_model::{LogConfig, LogDriver};
use hull_ports::{Error, Result};
use std::net::TcpStream;
use std::time::Duration;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const ADDRESS: &str = "syslog-address";

/// A reason as text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

/// The same log with numbers instead of names.
pub(super) async fn resolved(log: &LogConfig) -> Result<LogConfig> {
    let mut log = log.clone();
    let (LogDriver::Syslog, Some(text)) = (log.driver, log.options.get(ADDRESS).cloned()) else {
        return Ok(log);
    };
    let failed =
        |reason: String| Error::permanent("failed to initialize logging driver").because(Reason(reason));
    let found = tokio::task::spawn_blocking(move || reach(&text)).await;
    let address = found.map_err(|error| failed(error.to_string()))?.map_err(failed)?;
    log.options.insert(ADDRESS.to_owned(), address);
    Ok(log)
}

fn reach(text: &str) -> std::result::Result<String, String> {
    let address = resolve(text)?;
    if let Ok(Address::Tcp(to)) = Address::parse(&address) {
        TcpStream::connect_timeout(&to, PATIENCE).map_err(|error| {
            let why = error.raw_os_error().map_or_else(
                || error.to_string(),
                |number| nix::errno::Errno::from_raw(number).desc().to_lowercase(),
            );
            format!("dial tcp {to}: connect: {why}")
        })?;
    }
    Ok(address)
}
