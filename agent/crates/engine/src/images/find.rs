//! Finding an image by what a person typed.

use crate::engine::Engine;
use hull_model::{Digest, Image, Reference};
use hull_ports::{Error, Result};

/// Reads a reference. What is none is refused in the words that Docker's clients know.
pub fn parse_reference(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(|_| Error::permanent(refusal(text)))
}

/// Says of a name with capital letters what is wrong with it; other mistakes are not told apart, as in Docker.
fn refusal(text: &str) -> String {
    const FORMAT: &str = "invalid reference format";
    let tagless = |t: &str| t.rfind(':').filter(|at| !t[*at..].contains('/')).unwrap_or(t.len());
    let name = &text[..tagless(text.split('@').next().unwrap_or_default())];
    let lower = name.to_ascii_lowercase();
    let Ok(good) = Reference::parse(&format!("{lower}{}", &text[name.len()..])) else {
        return FORMAT.to_owned();
    };
    // The registry is a host name, which may have capitals; the repository is as long as it would be in lower case.
    let path = match good.repository.strip_prefix("library/") {
        Some(short) if short == lower => format!("library/{name}"),
        _ => name[name.len().saturating_sub(good.repository.len())..].to_owned(),
    };
    format!("{FORMAT}: repository name ({path}) must be lowercase")
}

/// The id that a text writes out in full.
fn whole_id(text: &str) -> Option<Digest> {
    match text.strip_prefix("sha256:") {
        Some(_) => Digest::parse(text).ok(),
        None if text.len() == 64 => Digest::parse(&format!("sha256:{text}")).ok(),
        None => None,
    }
}

/// Whether a text is the beginning of an image's id, with or without the algorithm.
pub(super) fn begins_id(id: &Digest, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    !hex.is_empty() && id.hex().starts_with(hex)
}

/// The one image whose id begins so.
pub(super) fn by_prefix<'a>(images: &'a [Image], text: &str) -> Option<&'a Image> {
    let mut found = images.iter().filter(|image| begins_id(&image.id, text));
    found.next().filter(|_| found.next().is_none())
}

fn missing(shown: &str) -> Error {
    Error::not_found(format!("No such image: {shown}"))
}

impl Engine {
    /// The image that a text means: a name with or without tag or digest, an id, or the beginning of one.
    pub async fn find_image(&self, text: &str) -> Result<Image> {
        let images = &self.inner.drivers.images;
        if let Some(id) = whole_id(text) {
            return images.image(&id).await?.ok_or_else(|| missing(&id.to_string()));
        }
        let short_id = text.strip_prefix("sha256:").filter(|hex| hex.len() < 64);
        if let Some(hex) =
            short_id.filter(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            let all = images.list().await?;
            return by_prefix(&all, hex).cloned().ok_or_else(|| missing(text));
        }
        let reference = parse_reference(text)?;
        if let Some(image) = images.lookup(&reference).await? {
            return Ok(image);
        }
        if text.bytes().all(|b| b.is_ascii_hexdigit())
            && let Some(image) = by_prefix(&images.list().await?, text)
        {
            return Ok(image.clone());
        }
        Err(missing(&reference.familiar()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_reference_is_refused_in_dockers_words() {
        let upper =
            |name: &str| format!("invalid reference format: repository name ({name}) must be lowercase");
        let rows = [
            ("NOPE", upper("library/NOPE")),
            ("NOPE:1", upper("library/NOPE")),
            ("Team/app:V1", upper("Team/app")),
            ("reg:5000/Team/app:V1", upper("Team/app")),
            ("a b", "invalid reference format".to_owned()),
            ("", "invalid reference format".to_owned()),
            ("a:", "invalid reference format".to_owned()),
            ("-", "invalid reference format".to_owned()),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_reference(text).unwrap_err().message, expected, "{text}");
        }
        assert!(parse_reference("app:V1").is_ok(), "tags may be of any case");
    }

    #[test]
    fn ids_are_written_out_or_begun() {
        let id = Digest::from_sha256([0xab; 32]);
        assert_eq!(whole_id(&id.to_string()), Some(id.clone()));
        assert_eq!(whole_id(id.hex()), Some(id.clone()));
        assert_eq!(whole_id("abab"), None);
        assert!(begins_id(&id, "aba") && begins_id(&id, "sha256:ab") && !begins_id(&id, "b"));
        assert!(!begins_id(&id, "") && !begins_id(&id, "sha256:"));
    }
}
