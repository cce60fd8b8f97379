//! The documents of Docker's layout (`manifest.json`).

use super::error::LoadError;
use hull_model::Reference;
use serde::Deserialize;

/// More images than this are no archive anybody made.
const MAX_IMAGES: usize = 10_000;

/// One image, as `manifest.json` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Path of its configuration.
    pub(super) config: String,
    /// What it is to be named.
    pub(super) names: Vec<Reference>,
    /// Paths of its layers, lowest first.
    pub(super) layers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawListed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Reads `manifest.json`.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Listed>, LoadError> {
    let path = "manifest.json";
    let raw: Vec<RawListed> =
        serde_json::from_slice(bytes).map_err(|error| LoadError::invalid(path, error.to_string()))?;
    if raw.len() > MAX_IMAGES {
        return Err(LoadError::invalid(path, "it has too many images"));
    }
    let listed = |raw: RawListed| {
        let names = raw.repo_tags.unwrap_or_default();
        let names = names.iter().map(|name| tagged(name).ok_or_else(|| bad_name(path, name)));
        Ok(Listed {
            config: raw.config,
            names: names.collect::<Result<_, _>>()?,
            layers: raw.layers.unwrap_or_default(),
        })
    };
    raw.into_iter().map(listed).collect()
}

fn bad_name(path: &str, name: &str) -> LoadError {
    let name: String = name.chars().take(200).collect();
    LoadError::invalid(path, format!("invalid tag {name:?}"))
}

/// A name with a tag and without a digest.
pub(super) fn tagged(text: &str) -> Option<Reference> {
    Reference::parse(text).ok().filter(|reference| reference.digest.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_bad_ones_refused() {
        let text = r#"[{"Config":"a.json","RepoTags":["x:1","r.example/y:2"],"Layers":["l/layer.tar"]},
            {"Config":"b.json","RepoTags":null,"Layers":null}]"#;
        let listed = parse(text.as_bytes()).unwrap();
        assert_eq!(listed[0].names[0].familiar(), "x:1");
        assert_eq!(listed[0].layers, ["l/layer.tar"]);
        assert_eq!((listed[1].names.len(), listed[1].layers.len()), (0, 0));
        let digest = format!("x@sha256:{}", "0".repeat(64));
        for bad in [
            "".to_owned(),
            "{}".to_owned(),
            r#"[{"Layers":[]}]"#.to_owned(),
            r#"[{"Config":"a","RepoTags":["../x"]}]"#.to_owned(),
            format!(r#"[{{"Config":"a","RepoTags":["{digest}"]}}]"#),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
