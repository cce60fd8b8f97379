//! What a registry says of a reference, without fetching anything but documents.

use crate::manifest::{self, Descriptor, Document, InvalidManifest};
use crate::registry::{Client, Fetched, RegistryError};
use crate::store::Inner;
use hull_model::Reference;
use hull_ports::{Distribution, Error, PullOptions};
use serde_json::Value;

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DistributionError {
    /// The registry did not say it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What it says is not about an image.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
}

impl DistributionError {
    pub(crate) fn at_door(self) -> Error {
        match self {
            Self::Registry(error) => error.at_door(),
            Self::Manifest(error) => Error::permanent(error.to_string()),
        }
    }
}

pub(crate) async fn distribution(
    inner: &Inner,
    reference: &Reference,
    options: &PullOptions,
) -> Result<Distribution, DistributionError> {
    let client = Client::new(reference, options, &inner.options.ca_bundle, inner.options.timeouts());
    let selector = reference.manifest_selector();
    let fetched = client.manifest(&selector, reference.digest.as_ref(), 0).await?;
    let descriptor = hull_ports::Descriptor {
        media_type: fetched.content_type.split(';').next().unwrap_or_default().trim().to_owned(),
        digest: fetched.digest.to_string(),
        size: fetched.bytes.len() as u64,
    };
    let platforms = match manifest::parse(&fetched.content_type, &fetched.bytes)? {
        Document::Index(_) => index_platforms(&fetched)?,
        Document::Manifest(manifest) => vec![config_platform(&client, &manifest.config, &fetched).await?],
    };
    Ok(Distribution { descriptor, platforms })
}

/// Platforms of an index with all their fields, some of which mean nothing here.
fn index_platforms(fetched: &Fetched) -> Result<Vec<Value>, InvalidManifest> {
    let json = |error: serde_json::Error| InvalidManifest::Json { what: "index", reason: error.to_string() };
    let mut index: Value = serde_json::from_slice(&fetched.bytes).map_err(json)?;
    let entries = index.get_mut("manifests").and_then(Value::as_array_mut).map(std::mem::take);
    let platforms = entries.unwrap_or_default().into_iter();
    Ok(platforms
        .filter_map(|mut entry| Some(entry.get_mut("platform")?.take()))
        .filter(Value::is_object)
        .collect())
}

async fn config_platform(
    client: &Client,
    config: &Descriptor,
    fetched: &Fetched,
) -> Result<Value, DistributionError> {
    let bytes = client.configuration(config, fetched.endpoint).await?;
    let json =
        |error: serde_json::Error| InvalidManifest::Json { what: "configuration", reason: error.to_string() };
    let config: Value = serde_json::from_slice(&bytes).map_err(json)?;
    let names = ["architecture", "os", "os.version", "os.features", "variant"];
    let fields = names.into_iter().filter_map(|name| {
        let value = config.get(name)?;
        (!value.is_null() && value.as_str() != Some("")).then(|| (name.to_owned(), value.clone()))
    });
    Ok(Value::Object(fields.collect()))
}
