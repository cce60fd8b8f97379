//! Where the HostSpec comes from: a file on the command line, or the platform's cloud-init data.

use crate::arguments::Arguments;
use cloud_init::{cloud_config, nocloud};
use hull_engine::Ledger;
use hull_model::{HostFacts, Layer, Problem, Severity, Source};
use hull_ports::Host;
use hull_reconcile::Intent;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often a file is looked at.
const POLL: Duration = Duration::from_millis(500);
/// How long a file that changed must stay as it is before it is read: what an editor has written half is a document too.
const SETTLED: Duration = Duration::from_millis(100);
/// Waits between attempts to reach a datasource: 1 s, 2 s, … 1 min.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Reads the sources, and again whenever they change, until the agent ends.
pub(crate) async fn follow(
    arguments: Arguments,
    host: Arc<dyn Host>,
    intent: watch::Sender<Intent>,
    ledger: Arc<Ledger>,
) {
    match &arguments.config {
        Some(file) => follow_file(file, &*host, &intent).await,
        None if arguments.os => read_datasource(&arguments, &*host, &intent, &ledger).await,
        // Without a document this agent declares nothing: an empty one, not a missing one.
        None => _ = intent.send_replace(declared(vec![Layer::empty(Source::File)], "none".to_owned())),
    }
    // The reconciler ends with the last sender: it lives as long as the agent.
    intent.closed().await;
}

fn declared(layers: Vec<Layer>, datasource: String) -> Intent {
    Intent { layers: Some(layers), datasource, problems: Vec::new() }
}

fn unreadable(datasource: String, source: &str, reason: String, remedy: &str) -> Intent {
    let problem = Problem {
        severity: Severity::Error,
        source: source.to_owned(),
        object: String::new(),
        reason,
        remedy: remedy.to_owned(),
    };
    Intent { layers: None, datasource, problems: vec![problem] }
}

async fn facts(host: &dyn Host) -> HostFacts {
    host.facts().await.unwrap_or_else(|error| {
        tracing::warn!(error = error.chain(), "asking what the host is");
        HostFacts::default()
    })
}

async fn follow_file(file: &Path, host: &dyn Host, intent: &watch::Sender<Intent>) {
    let name = file.display().to_string();
    let mut seen: Option<Stamp> = None;
    loop {
        let mut stamp = Stamp::of(file);
        if seen != Some(stamp) {
            if seen.is_some() {
                stamp = settled(file, stamp).await;
            }
            seen = Some(stamp);
            let next = match std::fs::read(file) {
                Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => {
                    let remedy =
                        "write the document into it; a host without workloads is the line #cloud-config";
                    unreadable(name.clone(), &name, "the file is empty".to_owned(), remedy)
                }
                Ok(bytes) => {
                    let layer = cloud_config::parse(Source::File, &name, &bytes, &facts(host).await);
                    declared(vec![layer], name.clone())
                }
                Err(error) => {
                    let remedy = "mend the file; it is read again as soon as it changes";
                    unreadable(name.clone(), &name, format!("reading the file: {error}"), remedy)
                }
            };
            intent.send_replace(next);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until nobody writes the file any more.
async fn settled(file: &Path, mut stamp: Stamp) -> Stamp {
    loop {
        tokio::time::sleep(SETTLED).await;
        let now = Stamp::of(file);
        if now == stamp {
            return stamp;
        }
        stamp = now;
    }
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(file: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        match std::fs::metadata(file) {
            Ok(m) => Self { modified: m.modified().ok(), size: m.len(), inode: m.ino() },
            Err(_) => Self { modified: None, size: 0, inode: 0 },
        }
    }
}

/// Finds the platform's data and reads it once; the network may take its time to come up.
async fn read_datasource(
    arguments: &Arguments,
    host: &dyn Host,
    intent: &watch::Sender<Intent>,
    ledger: &Ledger,
) {
    let places = nocloud::Places { seed: arguments.seed.clone(), ..nocloud::Places::of_host() };
    let mut wait = FIRST_WAIT;
    loop {
        let Some(found) = nocloud::detect(&places) else {
            intent.send_replace(no_datasource(ledger));
            return;
        };
        let name = found.to_string();
        match nocloud::fetch(&found).await {
            Ok(seed) => {
                tracing::info!(datasource = name, "read the instance's data");
                intent.send_replace(declared(layers(&seed, facts(host).await), name));
                return;
            }
            Err(error) => {
                let reason = error.chain();
                tracing::warn!(datasource = name, error = reason, "reading the instance's data");
                let remedy = "what ran before keeps running; this is tried again until it succeeds";
                intent.send_replace(unreadable(name, "datasource", reason, remedy));
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The name that the data gives the host is already its name to `${HULL_HOSTNAME}`, although it is applied later.
fn layers(seed: &nocloud::Seed, mut facts: HostFacts) -> Vec<Layer> {
    let first = nocloud::layers(seed, &facts);
    match hull_plan::merge(&first).host.hostname {
        Some(hostname) if hostname != facts.hostname => {
            facts.hostname = hostname;
            nocloud::layers(seed, &facts)
        }
        _ => first,
    }
}

/// A host that had a spec keeps it: its seed may have been a disk that was only there the first time.
fn no_datasource(ledger: &Ledger) -> Intent {
    match ledger.host_spec() {
        Ok(Some(_)) => {
            Intent { layers: None, datasource: "none; the last spec stays".to_owned(), problems: vec![] }
        }
        _ => {
            let problem = Problem {
                severity: Severity::Warning,
                source: "datasource".to_owned(),
                object: String::new(),
                reason: "no instance data was found".to_owned(),
                remedy: "attach a disk labelled cidata, or pass ds=nocloud;s=URL on the kernel command line"
                    .to_owned(),
            };
            Intent { problems: vec![problem], ..declared(vec![], "none".to_owned()) }
        }
    }
}
