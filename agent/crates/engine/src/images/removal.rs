//! Decides what removing an image means: which names go, whether the image goes, or who is against it.

use super::find::begins_id;
use hull_model::{ContainerRecord, Image, Reference};
use hull_ports::Error;
use std::collections::BTreeSet;

/// What is known when an image is to be removed.
#[derive(Debug, Clone)]
pub(super) struct Scene<'a> {
    pub(super) image: &'a Image,
    /// Other images were made from it here.
    pub(super) has_children: bool,
    /// A container of it whose process runs, by short id.
    pub(super) running: Option<&'a str>,
    /// A container of it that does not run.
    pub(super) stopped: Option<&'a str>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Removal {
    /// Names to be taken away, in this order.
    pub(super) untag: Vec<Reference>,
    /// Whether the image goes then.
    pub(super) delete: bool,
}

impl<'a> Scene<'a> {
    pub(super) fn new(image: &'a Image, images: &'a [Image], containers: &'a [ContainerRecord]) -> Self {
        let of_it = |runs: bool| {
            containers
                .iter()
                .find(|c| c.image == image.id && c.state.is_running() == runs)
                .map(|c| c.id.short())
        };
        Self {
            image,
            has_children: images.iter().any(|other| other.parent.as_ref() == Some(&image.id)),
            running: of_it(true),
            stopped: of_it(false),
        }
    }

    /// Everything that names the image: tags first, then the digests it was pulled or pushed by.
    pub(super) fn names(&self) -> Vec<Reference> {
        let digests = self.image.repo_digests.iter().filter_map(|text| Reference::parse(text).ok());
        let all: BTreeSet<Reference> = self.image.references.iter().cloned().chain(digests).collect();
        let (tags, digests): (Vec<_>, Vec<_>) = all.into_iter().partition(|r| r.digest.is_none());
        tags.into_iter().chain(digests).collect()
    }

    fn unable(&self, force: &str, why: &str) -> Error {
        let id = self.image.id.short();
        Error::conflict(format!("conflict: unable to delete {id} ({force}) - {why}"))
    }

    /// Who is against deleting the image. `named` asks also whether several repositories name it.
    fn objection(&self, force: bool, named: bool) -> Option<Error> {
        const NEVER: &str = "cannot be forced";
        const FORCED: &str = "must be forced";
        if self.has_children {
            return Some(self.unable(NEVER, "image has dependent child images"));
        }
        if let Some(id) = self.running {
            return Some(self.unable(NEVER, &format!("image is being used by running container {id}")));
        }
        if named && !force {
            return Some(self.unable(FORCED, "image is referenced in multiple repositories"));
        }
        let id = self.stopped.filter(|_| !force)?;
        Some(self.unable(FORCED, &format!("image is being used by stopped container {id}")))
    }

    /// A container that does not run keeps its image, also against force: without it, it could never run again.
    fn may_go(&self) -> bool {
        self.stopped.is_none()
    }
}

/// Whether all names are of one repository, with one tag at most.
fn is_single(names: &[Reference]) -> bool {
    let repositories: BTreeSet<String> = names.iter().map(Reference::familiar_name).collect();
    let tags = names.iter().filter(|r| r.digest.is_none()).count();
    names.len() <= 1 || (repositories.len() == 1 && tags <= 1)
}

/// What removing an image by this text means.
pub(super) fn decide(scene: &Scene<'_>, text: &str, force: bool) -> Result<Removal, Error> {
    let names = scene.names();
    if begins_id(&scene.image.id, text) {
        return by_id(scene, names, force);
    }
    let asked = super::parse_reference(text)?;
    by_name(scene, &names, (text, &asked), force)
}

fn by_id(scene: &Scene<'_>, names: Vec<Reference>, force: bool) -> Result<Removal, Error> {
    if let Some(error) = scene.objection(force, !is_single(&names)) {
        return Err(error);
    }
    if names.is_empty() && !scene.may_go() {
        let id = scene.stopped.unwrap_or_default();
        let why = format!("image is being used by stopped container {id}");
        return Err(scene.unable("cannot be forced", &why).remedy("remove the container first"));
    }
    Ok(Removal { untag: names, delete: scene.may_go() })
}

/// `asked` is the reference as it was given, and as it was understood.
fn by_name(
    scene: &Scene<'_>,
    names: &[Reference],
    asked: (&str, &Reference),
    force: bool,
) -> Result<Removal, Error> {
    let (text, asked) = asked;
    let user = scene.running.or(scene.stopped);
    if let Some(container) = user.filter(|_| !force && is_single(names)) {
        return Err(Error::conflict(format!(
            "conflict: unable to remove repository reference \"{text}\" (must force) - container {container} is using its referenced image {}",
            scene.image.id.short()
        )));
    }
    let asked = match &asked.digest {
        Some(_) => Reference { tag: None, ..asked.clone() },
        None => asked.clone(),
    };
    let same = |r: &&Reference| r.familiar_name() == asked.familiar_name();
    let tag_left = names.iter().filter(same).any(|r| r.digest.is_none() && *r != asked);
    // A digest only stays for as long as a tag of the same repository does.
    let orphans = names.iter().filter(same).filter(|r| r.digest.is_some() && **r != asked);
    let mut untag = vec![asked.clone()];
    if asked.digest.is_none() && !tag_left {
        untag.extend(orphans.cloned());
    }
    let left = names.iter().any(|r| !untag.contains(r));
    let delete = !left && scene.objection(true, false).is_none() && scene.may_go();
    Ok(Removal { untag, delete })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{Digest, ImageConfig};

    fn image(tags: &[&str], digests: &[&str]) -> Image {
        let with = |name: &&str| format!("{name}@sha256:{}", "0".repeat(64));
        Image {
            id: Digest::from_sha256([0xab; 32]),
            manifest: Digest::from_sha256([1; 32]),
            references: tags.iter().map(|t| Reference::parse(t).unwrap()).collect(),
            layers: Vec::new(),
            config: ImageConfig::default(),
            architecture: "amd64".into(),
            size: 0,
            created: String::new(),
            os: "linux".into(),
            variant: String::new(),
            author: String::new(),
            comment: String::new(),
            repo_digests: digests.iter().map(with).collect(),
            tagged: None,
            parent: None,
        }
    }

    fn scene<'a>(image: &'a Image, who: &str) -> Scene<'a> {
        Scene {
            image,
            has_children: who.contains('c'),
            running: who.contains('r').then_some("running"),
            stopped: who.contains('s').then_some("stopped"),
        }
    }

    /// Names taken away, and `!` if the image goes; or the error.
    fn outcome(scene: &Scene<'_>, text: &str, force: bool) -> String {
        match decide(scene, text, force) {
            Ok(removal) => {
                let names: Vec<String> = removal.untag.iter().map(Reference::familiar).collect();
                names.join(" ").replace(&"0".repeat(64), "0") + if removal.delete { " !" } else { "" }
            }
            Err(error) => error.message,
        }
    }

    #[test]
    fn names_go_first_and_the_image_with_the_last() {
        let two = image(&["a:1", "a:2"], &["a"]);
        let one = image(&["a:1"], &["a"]);
        let other = image(&["a:1", "b:1"], &[]);
        let bare = image(&[], &[]);
        let digest = image(&[], &["a"]);
        let by_digest = format!("a@sha256:{}", "0".repeat(64));
        let rows = [
            (&two, "", "a:1", false, "a:1"),
            (&one, "", "a:1", false, "a:1 a@sha256:0 !"),
            (&one, "", "abab", false, "a:1 a@sha256:0 !"),
            (&other, "", "a:1", false, "a:1"),
            (&other, "", "abab", true, "a:1 b:1 !"),
            (&bare, "", "sha256:ab", false, " !"),
            (&digest, "", &by_digest, false, "a@sha256:0 !"),
            (&two, "", &by_digest, false, "a@sha256:0"),
            // A user is no reason to keep one name of several.
            (&two, "r", "a:1", false, "a:1"),
            (&one, "r", "a:1", true, "a:1 a@sha256:0"),
            (&one, "s", "a:1", true, "a:1 a@sha256:0"),
            (&one, "s", "abab", true, "a:1 a@sha256:0"),
            (&one, "c", "a:1", false, "a:1 a@sha256:0"),
        ];
        for (image, who, text, force, expected) in rows {
            assert_eq!(outcome(&scene(image, who), text, force), expected, "{who} {text} {force}");
        }
    }

    #[test]
    fn whoever_is_against_it_is_named() {
        let one = image(&["a:1"], &["a"]);
        let other = image(&["a:1", "b:1"], &[]);
        let bare = image(&[], &[]);
        let delete = "conflict: unable to delete abababababab";
        let rows = [
            (&one, "s", "a:1", false, "conflict: unable to remove repository reference \"a:1\" (must force) - container stopped is using its referenced image abababababab".to_owned()),
            (&one, "r", "a:1", false, "conflict: unable to remove repository reference \"a:1\" (must force) - container running is using its referenced image abababababab".to_owned()),
            (&one, "s", "abab", false, format!("{delete} (must be forced) - image is being used by stopped container stopped")),
            (&one, "rs", "abab", true, format!("{delete} (cannot be forced) - image is being used by running container running")),
            (&one, "cr", "abab", true, format!("{delete} (cannot be forced) - image has dependent child images")),
            (&other, "", "abab", false, format!("{delete} (must be forced) - image is referenced in multiple repositories")),
            (&bare, "s", "abab", true, format!("{delete} (cannot be forced) - image is being used by stopped container stopped")),
        ];
        for (image, who, text, force, expected) in rows {
            assert_eq!(outcome(&scene(image, who), text, force), expected, "{who} {text} {force}");
        }
    }
}
