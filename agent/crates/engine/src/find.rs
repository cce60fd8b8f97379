//! Finding a container by what a person typed.

use hull_model::ContainerRecord;

/// Why a text does not name one container. Worded as Docker does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing has that name or id.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
}

/// The container of that full id, of that name (a leading slash is allowed), or whose id begins so.
pub(crate) fn find<'a>(
    containers: &'a [ContainerRecord],
    text: &str,
) -> Result<&'a ContainerRecord, FindError> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let exact = containers.iter().find(|c| c.id.as_str() == text || c.spec.name.as_str() == name);
    if let Some(container) = exact {
        return Ok(container);
    }
    let mut by_prefix = containers.iter().filter(|c| !text.is_empty() && c.id.as_str().starts_with(text));
    match (by_prefix.next(), by_prefix.next()) {
        (Some(container), None) => Ok(container),
        (Some(_), Some(_)) => Err(FindError::Ambiguous(text.to_owned())),
        (None, _) => Err(FindError::NotFound(text.to_owned())),
    }
}
