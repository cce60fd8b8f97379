//! Names of images as Docker reads them, with its words for those that are none.

use crate::cli::failure::Failure;
use hull_model::Reference;

/// Reads a name.
pub(crate) fn parse(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|_| {
        let name = text.split('@').next().unwrap_or(text);
        let end = name.rfind('/').map_or(0, |slash| slash + 1);
        let name = name[end..].find(':').map_or(name, |colon| &name[..end + colon]);
        let lower = Reference::parse(&name.to_lowercase());
        match lower.ok().filter(|_| name.chars().any(|c| c.is_ascii_uppercase())) {
            Some(right) => {
                let path = match right.familiar_name() == name.to_lowercase() && !name.contains('/') {
                    true => format!("library/{name}"),
                    false => name.strip_prefix(&format!("{}/", right.registry)).unwrap_or(name).to_owned(),
                };
                Failure::new(format!("invalid reference format: repository name ({path}) must be lowercase"))
            }
            None => Failure::new("invalid reference format"),
        }
    })
}

/// Whether neither a tag nor a digest was written.
pub(crate) fn is_name_only(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or(text);
    !last.contains(':') && !last.contains('@')
}

/// Name and tag as the API takes them apart; the tag is empty where none was written.
pub(crate) fn split(text: &str) -> Result<(String, String), Failure> {
    if text.is_empty() {
        return Ok((String::new(), String::new()));
    }
    let reference = parse(text)?;
    let tag = if is_name_only(text) { String::new() } else { reference.tag.clone().unwrap_or_default() };
    Ok((reference.familiar_name(), tag))
}

/// With registry and path: `docker.io/library/busybox:latest`.
pub(crate) fn full(reference: &Reference) -> String {
    let mut text = format!("{}/{}", reference.registry, reference.repository);
    if let Some(tag) = &reference.tag {
        text = format!("{text}:{tag}");
    }
    match &reference.digest {
        Some(digest) => format!("{text}@{digest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        assert_eq!(full(&parse("busybox").unwrap()), "docker.io/library/busybox:latest");
        assert_eq!(split("127.0.0.1:5000/a").unwrap(), ("127.0.0.1:5000/a".into(), String::new()));
        assert_eq!(split("a:b").unwrap(), ("a".into(), "b".into()));
        let lower = "invalid reference format: repository name (library/UPPER) must be lowercase";
        assert_eq!(parse("UPPER").unwrap_err().message, lower);
        assert_eq!(parse("a b").unwrap_err().message, "invalid reference format");
    }
}
