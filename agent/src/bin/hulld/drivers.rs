//! The drivers, made once.

use crate::arguments::Arguments;
use anyhow::{Context as _, Result};
use hull_ports::{Drivers, Host, SystemClock, SystemEntropy};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the OS image has what only the agent runs.
const LIBEXEC: &str = "/usr/libexec/hull";
/// The supervisor's program.
const RUNTIME: &str = "hull-runtime";

/// Everything the engine acts through, and who is asked what the host is.
pub(crate) struct Composed {
    pub(crate) drivers: Drivers,
    pub(crate) host: Arc<dyn Host>,
}

/// Opens every driver below the agent's two directories.
pub(crate) async fn compose(arguments: &Arguments) -> Result<Composed> {
    let (state, run) = (&arguments.state_dir, &arguments.run_dir);
    // A second caller of the process may have installed one; any will do.
    _ = rustls::crypto::ring::default_provider().install_default();
    let images = hull_images::Store::open(state.join("images"), hull_images::Options::default())
        .context("opening the image store")?;
    let volumes = hull_volumes::Store::open(state.join("volumes")).context("opening the volumes")?;
    let networks = hull_network::Driver::open(run.clone(), hull_network::Options::default())
        .await
        .map_err(|e| anyhow::anyhow!("{}", e.chain()))
        .context("opening the network driver")?;
    // On the OS systemd starts the supervisor, so that it outlives the agent in a unit of its own.
    let program = (!arguments.os).then(|| arguments.runtime.clone().unwrap_or_else(find_runtime));
    let runtime = hull_runtime::Driver::connect(run, state, program)
        .await
        .map_err(|e| anyhow::anyhow!("{}", e.chain()))
        .context("connecting to the supervisor")?;
    let host: Arc<dyn Host> = Arc::new(hull_host::Driver::new(PathBuf::from("/"), run.clone()));
    let drivers = Drivers {
        images: Arc::new(images),
        runtime: Arc::new(runtime),
        networks: Arc::new(networks),
        volumes: Arc::new(volumes),
        archives: Arc::new(hull_archive::Driver::new()),
        host: arguments.os.then(|| host.clone()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    Ok(Composed { drivers, host })
}

/// The supervisor's program beside this one, or where the OS image has it.
fn find_runtime() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|dir| dir.join(RUNTIME)));
    beside.filter(|path| path.exists()).unwrap_or_else(|| Path::new(LIBEXEC).join(RUNTIME))
}
