//! The client's configuration, `config.json`, shared with Docker's own command line.

use crate::cli::failure::Failure;
use serde_json::{Map, Value};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

const FILE: &str = "config.json";

/// What the file says, and where it is.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) folder: PathBuf,
    document: Map<String, Value>,
}

impl Config {
    /// Reads the file below a folder, `$DOCKER_CONFIG` or `~/.docker`. One that is not there says nothing.
    pub(crate) fn load(folder: Option<&str>) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = folder.map(PathBuf::from).or_else(|| variable("DOCKER_CONFIG").map(PathBuf::from));
        let folder = folder
            .unwrap_or_else(|| variable("HOME").map_or_else(|| "/".into(), PathBuf::from).join(".docker"));
        let document = match std::fs::read(folder.join(FILE)) {
            Err(_) => Map::new(),
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(document) => document,
                Err(why) => {
                    eprintln!("WARNING: Error loading config file: {}: {why}", folder.join(FILE).display());
                    Map::new()
                }
            },
        };
        Ok(Self { folder, document })
    }

    /// A text of the top level; empty if there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.document.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// An object of the top level.
    pub(crate) fn object(&self, key: &str) -> Option<&Map<String, Value>> {
        self.document.get(key)?.as_object()
    }

    /// The keys that leave a terminal: as given, or as the file says.
    pub(crate) fn detach_keys<'a>(&'a self, given: &'a str) -> &'a str {
        if given.is_empty() { self.text("detachKeys") } else { given }
    }

    /// A `--format`, or the one that the file has for it.
    pub(crate) fn format<'a>(&'a self, given: Option<&'a str>, key: &str) -> Option<&'a str> {
        given.or_else(|| Some(self.text(key)).filter(|format| !format.is_empty()))
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Sets or removes what the file has for a registry, and writes the file: whole, or not at all.
    pub(crate) fn store(&self, registry: &str, entry: Option<Value>) -> Result<(), Failure> {
        let mut document = self.document.clone();
        let auths = document.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if let Some(auths) = auths.as_object_mut() {
            match entry {
                Some(entry) => _ = auths.insert(registry.to_owned(), entry),
                None => _ = auths.remove(registry),
            }
        }
        std::fs::create_dir_all(&self.folder)?;
        let path = std::fs::canonicalize(self.path()).unwrap_or_else(|_| self.path());
        let new = path.with_extension(format!("json.{}", std::process::id()));
        let mut text = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut writer = serde_json::Serializer::with_formatter(&mut text, indent);
        serde::Serialize::serialize(&document, &mut writer).map_err(|e| Failure::new(e.to_string()))?;
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let written = file.write_all(&text).and_then(|()| file.sync_all());
        let renamed = written.and_then(|()| std::fs::rename(&new, &path));
        renamed.map_err(|why| {
            // Half a file helps nobody.
            _ = std::fs::remove_file(&new);
            Failure::new(format!("{} could not be written: {why}", path.display()))
        })
    }
}
