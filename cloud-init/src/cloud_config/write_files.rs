//! `write_files`: files that the host should have.

use crate::document::gunzip;
use crate::node::{Node, Read};
use crate::report::Report;
use crate::yaml::MAX_BYTES;
use base64::Engine as _;
use hull_model::WriteFile;
use std::path::{Component, PathBuf};

const EXAMPLE: &str = "write_files: [{path: /etc/motd, content: \"hello\"}]";
const KEYS: [&str; 7] = ["path", "content", "encoding", "owner", "permissions", "append", "defer"];
/// Where files may be written; the rest of the file system is the read-only image.
const WRITABLE: [&str; 3] = ["/etc", "/var", "/run"];

/// Reads the list. A file that cannot be understood is left out.
pub(super) fn read(node: &Node<'_>, report: &mut Report) -> Read<Vec<WriteFile>> {
    let items = node.items(EXAMPLE)?;
    Ok(items.iter().filter_map(|item| report.take(file(item))).collect())
}

fn file(node: &Node<'_>) -> Read<WriteFile> {
    let mut file =
        WriteFile { path: PathBuf::new(), content: Vec::new(), owner: None, mode: 0o644, append: false };
    let mut content = None;
    let mut encoding = "text/plain";
    for (key, value) in node.entries(EXAMPLE)? {
        match key {
            _ if value.is_null() => {}
            "path" => file.path = path(&value)?,
            "content" => content = Some((value.text("content: |\n  a line")?, value)),
            "encoding" => encoding = value.text("encoding: b64")?,
            "owner" => file.owner = Some(owner(&value)?),
            "permissions" => file.mode = permissions(&value)?,
            "append" => file.append = value.boolean()?,
            // All files are written after the users are made, which is what deferring asks for.
            "defer" => {
                value.boolean()?;
            }
            "source" => {
                let remedy = "put the content itself here, or into an image";
                return Err(value.issue("known to cloud-init, not handled by Hull: source", remedy));
            }
            _ => return Err(node.unknown(key, KEYS)),
        }
    }
    if file.path.as_os_str().is_empty() {
        return Err(node.issue("path is missing", format!("write it like {EXAMPLE}")));
    }
    if let Some((text, value)) = content {
        file.content = decode(text, encoding).map_err(|reason| {
            value.issue(reason, "encode it with `base64 -w0 FILE` and write encoding: b64")
        })?;
    }
    Ok(file)
}

fn path(node: &Node<'_>) -> Read<PathBuf> {
    let text = node.text("/etc/motd")?;
    let path: PathBuf = text.into();
    let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || text.ends_with('/') || text.contains('\0') {
        let remedy = "write the whole path, without ..: /etc/motd";
        return Err(node.issue(format!("{text:?} is not the absolute path of a file"), remedy));
    }
    let inside = WRITABLE.iter().any(|dir| path.starts_with(dir) && path.as_os_str().len() > dir.len());
    if !inside {
        return Err(node.issue(
            format!("{text} lies in the read-only image"),
            "write below /etc, /var or /run, or put the file into an image of a service",
        ));
    }
    Ok(path)
}

fn owner(node: &Node<'_>) -> Read<String> {
    let text = node.text("root:root")?;
    let (user, group) = text.split_once(':').unwrap_or((text, "root"));
    let plain = |name: &str| {
        !name.is_empty()
            && name.len() <= 32
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    };
    if plain(user) && plain(group) {
        return Ok(text.to_owned());
    }
    Err(node.issue(format!("{text:?} is not an owner"), "write it like root:root"))
}

/// Octal in quotes. A bare number is refused: `644` and `0644` are different numbers to different YAML readers.
fn permissions(node: &Node<'_>) -> Read<u32> {
    let example = "permissions: \"0644\"";
    let text = node.value().as_str().ok_or_else(|| node.expected("octal digits in quotes", example))?;
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 && !digits.starts_with('+') => Ok(mode),
        _ => Err(node.issue(format!("{text:?} is not a file mode"), format!("write it like {example}"))),
    }
}

fn decode(text: &str, encoding: &str) -> Result<Vec<u8>, String> {
    let base64 = |text: &str| {
        let compact: String = text.split_ascii_whitespace().collect();
        let engine = base64::engine::general_purpose::STANDARD;
        engine.decode(compact).map_err(|e| format!("the content is not base64: {e}"))
    };
    match encoding.to_ascii_lowercase().as_str() {
        "text/plain" => Ok(text.as_bytes().to_vec()),
        "b64" | "base64" => base64(text),
        "gz" | "gzip" => gunzip(text.as_bytes(), MAX_BYTES),
        "gz+b64" | "gzip+b64" | "gz+base64" | "gzip+base64" => gunzip(&base64(text)?, MAX_BYTES),
        other => Err(format!("unknown encoding {other:?}; b64, gz+b64 and text/plain are known")),
    }
}
