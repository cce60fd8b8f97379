//! The files of a seed: fetched, then understood.

use super::{Found, Place, disk, http};
use crate::yaml::MAX_BYTES;
use crate::{cloud_config, meta_data, network_config};
use hull_model::{HostFacts, Layer, Problem, Severity, Source};
use hull_ports::Error;
use std::io;
use std::path::Path;

/// The files of a seed, as they are. `None` for one that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seed {
    /// What the platform knows of the instance.
    pub meta_data: Option<Vec<u8>>,
    /// The owner's document.
    pub user_data: Option<Vec<u8>>,
    /// The platform vendor's document.
    pub vendor_data: Option<Vec<u8>>,
    /// Interfaces.
    pub network_config: Option<Vec<u8>>,
    /// Instance id given beside the place.
    pub instance_id: Option<String>,
    /// Host name given beside the place.
    pub hostname: Option<String>,
}

const FILES: [&str; 4] = ["meta-data", "user-data", "vendor-data", "network-config"];

/// Reads the files of a seed. Nothing is written or mounted.
///
/// # Errors
/// Retryable where the server, the network or the device may come back; permanent where the answer will be the same.
pub async fn fetch(found: &Found) -> Result<Seed, Error> {
    let [meta_data, user_data, vendor_data, network_config] = match &found.place {
        Place::Http { base } => fetch_http(base).await?,
        Place::Nowhere => Default::default(),
        Place::Directory { path } => {
            read_blocking(path, |dir| FILES.map(|name| read_file(dir, name))).await?
        }
        Place::Device { path } => {
            let read = |device: &Path| match disk::open(device) {
                Ok(volume) => FILES.map(|name| volume.read(name, MAX_BYTES)),
                Err(e) => FILES.map(|_| Err(io::Error::new(e.kind(), e.to_string()))),
            };
            read_blocking(path, read).await?
        }
    };
    let (instance_id, hostname) = (found.instance_id.clone(), found.hostname.clone());
    Ok(Seed { meta_data, user_data, vendor_data, network_config, instance_id, hostname })
}

type Files = [Option<Vec<u8>>; 4];

async fn fetch_http(base: &str) -> Result<Files, Error> {
    let client = http::client()?;
    let mut files = Files::default();
    for (file, name) in files.iter_mut().zip(FILES) {
        *file = http::get(&client, &format!("{base}{name}"), MAX_BYTES).await?;
    }
    Ok(files)
}

async fn read_blocking<F>(place: &Path, read: F) -> Result<Files, Error>
where
    F: FnOnce(&Path) -> [io::Result<Option<Vec<u8>>>; 4] + Send + 'static,
{
    let owned = place.to_owned();
    let results = tokio::task::spawn_blocking(move || read(&owned)).await;
    let results = results.map_err(|e| Error::retryable("reading the seed").because(e))?;
    let mut files = Files::default();
    for ((file, result), name) in files.iter_mut().zip(results).zip(FILES) {
        *file = result.map_err(|e| {
            let class =
                if e.kind() == io::ErrorKind::InvalidData { Error::permanent } else { Error::retryable };
            class(format!("reading {name} from {}", place.display())).because(e).remedy("check the seed")
        })?;
    }
    Ok(files)
}

fn read_file(dir: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(dir.join(name)) {
        // A directory that is not there is a mistake; a file that is not there is none.
        Err(e) if e.kind() == io::ErrorKind::NotFound && dir.is_dir() => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    disk::check_size(name, bytes.len() as u64, MAX_BYTES)?;
    Ok(Some(bytes))
}

/// Understands the files of a seed, lowest layer first: the platform's, the vendor's, the owner's.
///
/// The platform's keys stay with the default user when the owner's document describes that user too; a host name that a
/// layer sets is already the host's name in the documents above it.
pub fn layers(seed: &Seed, facts: &HostFacts) -> Vec<Layer> {
    let (platform, keys) = platform(seed);
    let mut facts = facts.clone();
    let mut layers = vec![platform];
    let documents = [
        (Source::VendorData, "vendor-data", &seed.vendor_data),
        (Source::UserData, "user-data", &seed.user_data),
    ];
    for (source, name, bytes) in documents {
        let hostname = layers.last().and_then(|layer| layer.host.hostname.clone());
        facts.hostname = hostname.unwrap_or(facts.hostname);
        // A file with nothing in it says nothing, rather than that there should be nothing.
        let Some(bytes) = bytes.as_ref().filter(|bytes| !is_blank(bytes)) else { continue };
        let mut layer = cloud_config::parse(source, name, bytes, &facts);
        let default = cloud_config::default_user(Vec::new()).name;
        for user in layer.host.users.iter_mut().filter(|user| user.name == default) {
            let missing = keys.iter().filter(|key| !user.ssh_authorized_keys.contains(key)).cloned();
            let missing: Vec<String> = missing.collect();
            user.ssh_authorized_keys.extend(missing);
        }
        layers.push(layer);
    }
    layers
}

/// The platform's layer, and its keys for the default user.
fn platform(seed: &Seed) -> (Layer, Vec<String>) {
    let mut data = meta_data::parse(seed.meta_data.as_deref().unwrap_or_default());
    data.instance_id = data.instance_id.or_else(|| seed.instance_id.clone());
    data.local_hostname =
        data.local_hostname.or_else(|| seed.hostname.clone().filter(|name| cloud_config::is_hostname(name)));
    let mut layer = data.layer();
    if let Some(bytes) = &seed.network_config {
        let (network, problems) = network_config::parse("network-config", bytes);
        layer.host.network = network;
        layer.problems.extend(problems);
    }
    layer.problems.extend(what_is_missing(seed));
    (layer, data.public_keys)
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

fn what_is_missing(seed: &Seed) -> Option<Problem> {
    let empty = |file: &Option<Vec<u8>>| file.as_ref().is_none_or(|bytes| is_blank(bytes));
    let problem = |source: &str, reason: &str, remedy: &str| Problem {
        severity: Severity::Warning,
        source: source.to_owned(),
        object: String::new(),
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    };
    let Seed { meta_data, user_data, vendor_data, network_config, instance_id: _, hostname: _ } = seed;
    if [meta_data, user_data, vendor_data, network_config].into_iter().all(empty) {
        let remedy = "put a #cloud-config document into its file user-data";
        return Some(problem("nocloud", "the seed holds nothing", remedy));
    }
    if meta_data.is_none() && seed.instance_id.is_none() {
        let remedy = "add the file meta-data with a line instance-id: NAME";
        return Some(problem("meta-data", "the seed has no meta-data", remedy));
    }
    if empty(user_data) {
        let remedy = "add the file user-data, beginning with #cloud-config";
        return Some(problem("user-data", "the seed has no user-data", remedy));
    }
    None
}

#[cfg(test)]
mod tests;
