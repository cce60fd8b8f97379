//! `hulld`, the agent: composes the drivers, the engine, the reconciler and the API, and decides nothing itself.

mod api;
mod arguments;
mod drivers;
mod files;
mod instance;
mod notify;
mod sources;
mod tcp;

use anyhow::{Context as _, Result};
use arguments::Arguments;
use clap::Parser as _;
use hull_engine::{Engine, Ledger, Settings};
use hull_model::{Problem, Severity};
use hull_reconcile::{Intent, Reconciler};
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::new(&arguments.log);
    // systemd adds the time itself, and its journal is no terminal.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        // A reader of the log that goes away must not end the agent.
        .log_internal_errors(false);
    match arguments.os {
        true => log.without_time().init(),
        false => log.init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime.context("starting the asynchronous runtime").and_then(|r| r.block_on(run(arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Why the agent ends.
enum End {
    /// It was told to, and leaves everything as it is: the next agent adopts it.
    Leave,
    /// A person ended a foreground agent that was given its spec on the command line: what it made goes with it.
    CleanUp,
    /// Everything was removed by request.
    Reset,
}

async fn run(arguments: Arguments) -> Result<()> {
    let _instance = instance::claim(&arguments.state_dir, &arguments.run_dir)?;
    // Before anything that takes time, so that a client's first call waits in the queue instead of failing.
    let listener = api::listen(&arguments.docker_socket)?;
    let composed = drivers::compose(&arguments).await?;
    let tcp = match arguments.tcp() {
        Some((address, files)) => Some(tcp::Proven::listen(address, &files).await?),
        None => None,
    };
    let path = arguments.state_dir.join("ledger.sqlite");
    let (ledger, damaged) = Ledger::open_or_replace(&path, jiff::Timestamp::now())?;
    let settings = Settings {
        files_dir: arguments.state_dir.join("etc"),
        boot: files::boot_id()?,
        seccomp: hull_runtime::seccomp::default_profile,
    };
    let engine = Engine::open(composed.drivers, ledger, settings)
        .await
        .map_err(|e| anyhow::anyhow!("{}", e.chain()))
        .context("opening the engine")?;
    if let Some((aside, error)) = damaged {
        engine.notice(damaged_ledger(&aside, error.into()));
    }
    // Without it containers of people have no network; the agent itself is still worth starting.
    if let Err(error) = engine.ensure_default_network().await {
        tracing::error!(error = error.chain(), "making the default network");
    }
    let (intent, intents) = watch::channel(Intent::default());
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let reconciler = Reconciler::new(engine.clone(), composed.host.clone(), intents, version.clone())?;
    let (reset, resets) = watch::channel(false);
    let doors = api::Doors { socket: listener, tcp };
    let root = arguments.state_dir.clone();
    let server = api::serve(doors, engine.clone(), reconciler.handle(), root, version, reset);
    tokio::spawn(server);
    tokio::spawn(sources::follow(arguments.clone(), composed.host, intent, engine.ledger_handle()));
    let looping = tokio::spawn(reconciler.run(notify::alive));
    notify::ready();
    tracing::info!(socket = %arguments.docker_socket.display(), "ready");
    match wait_for_end(&arguments, resets).await? {
        End::Leave => {}
        End::Reset => tracing::info!("everything was removed by request"),
        End::CleanUp => {
            looping.abort();
            tracing::info!("removing the containers and networks of {}", arguments.state_dir.display());
            engine.reset().await.map_err(|e| anyhow::anyhow!("{}", e.chain())).context("cleaning up")?;
        }
    }
    notify::stopping();
    // A socket without a listener would make clients wait for an answer that cannot come.
    std::fs::remove_file(&arguments.docker_socket).context("removing the socket")
}

/// The containers of the HostSpec are made again on their volumes; what else the ledger knew is in the file put aside.
fn damaged_ledger(aside: &Path, error: anyhow::Error) -> Problem {
    tracing::error!("the ledger was damaged and is now {}: {error:#}", aside.display());
    Problem {
        severity: Severity::Warning,
        source: "ledger".to_owned(),
        object: String::new(),
        reason: format!("it was damaged and a new one was begun: {error:#}"),
        remedy: format!("check the disk; the damaged one is kept as {}", aside.display()),
    }
}

async fn wait_for_end(arguments: &Arguments, mut resets: watch::Receiver<bool>) -> Result<End> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => match arguments.config {
            Some(_) => End::CleanUp,
            None => End::Leave,
        },
        _ = terminate.recv() => End::Leave,
        _ = resets.changed() => End::Reset,
    })
}
