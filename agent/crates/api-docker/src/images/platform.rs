//! Platforms that clients ask for.

use crate::error::ApiError;
use crate::query::Query;
use crate::wire::image_os;
use hull_model::Image;
use serde::Deserialize;

/// `os/architecture/variant`, of which all but the first may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    pub(crate) variant: String,
}

impl Platform {
    /// What `--platform` says.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = text.split('/').collect();
        let good = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if parts.len() > 3 || !parts.iter().all(good) {
            let message = format!("{text:?}: cannot parse platform specifier: invalid argument");
            return Err(ApiError::bad_request(message));
        }
        let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
        Ok(Self { os: part(0), architecture: part(1), variant: part(2) })
    }

    /// The parameter `platform` in JSON.
    pub(crate) fn asked(query: &Query) -> Result<Option<Self>, ApiError> {
        let Some(text) = query.text("platform") else { return Ok(None) };
        let bad = |e: serde_json::Error| ApiError::bad_request(format!("failed to parse platform: {e}"));
        serde_json::from_str(text).map(Some).map_err(bad)
    }

    /// Whether an image is for it. What is not asked for does not matter.
    pub(crate) fn fits(&self, image: &Image) -> bool {
        let same = |asked: &str, is: &str| asked.is_empty() || asked == is;
        same(&self.os, image_os(image))
            && same(&self.architecture, &image.architecture)
            && (image.variant.is_empty() || same(&self.variant, &image.variant))
    }

    /// Says of an image that it is for another platform.
    pub(crate) fn mismatch(&self, shown: &str, image: &Image) -> String {
        let is = Self {
            os: image_os(image).to_owned(),
            architecture: image.architecture.clone(),
            variant: image.variant.clone(),
        };
        format!(
            "image with reference {shown} was found but its platform ({is}) does not match the specified platform ({self})"
        )
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.os)?;
        for part in [&self.architecture, &self.variant].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_have_one_to_three_parts() {
        for good in ["linux", "linux/amd64", "linux/arm/v7"] {
            assert_eq!(Platform::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "a/b/c/d", "linux/", "li nux"] {
            let message = Platform::parse(bad).unwrap_err().message;
            assert_eq!(message, format!("{bad:?}: cannot parse platform specifier: invalid argument"));
        }
    }
}
