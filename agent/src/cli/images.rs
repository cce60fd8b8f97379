//! `hull images`: images as Docker lists them.

use crate::cli::client::{filter_pair, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::human;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, say};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

const TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const HEADS: [(&str, &str); 11] = [
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];
const NONE: &str = "<none>";
const SHORT: usize = 12;

/// An image as the API lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    created: i64,
    size: u64,
    #[serde(default = "unknown")]
    shared_size: i64,
    #[serde(default = "unknown")]
    containers: i64,
}

/// What the API says where it did not count.
fn unknown() -> i64 {
    -1
}

/// A number that may not have been counted.
fn counted(number: i64, text: impl Fn(u64) -> String) -> String {
    u64::try_from(number).map_or_else(|_| "N/A".to_owned(), text)
}

/// How rows are shown.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    quiet: bool,
    whole: bool,
}

/// Lists images.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let text = context.config.format(given.some("format"), "imagesFormat");
    let format = Format::parse(text, if given.on("digests") { TABLE_WITH_DIGESTS } else { TABLE })?;
    let mut wanted: Vec<String> = given.list("filter").iter().map(|f| (*f).to_owned()).collect();
    wanted.extend(given.args.first().map(|name| format!("reference={name}")));
    let mut pairs = Vec::from_iter(filter_pair(&wanted));
    if given.on("all") {
        pairs.push(("all", "1".to_owned()));
    }
    let mut images: Vec<Image> = context.client.get(&format!("/images/json{}", query(pairs))).await?;
    // Containers are counted only by `system df`.
    images.iter_mut().for_each(|image| image.containers = -1);
    if given.on("tree") {
        return say(&tree(&images));
    }
    let shown = Shown {
        quiet: given.on("quiet") && matches!(text, None | Some("table")),
        whole: given.on("no-trunc"),
    };
    say(&write(&images, shown, &format, Timestamp::now(), &TimeZone::system())?)
}

/// The images of `system df -v`.
pub(super) fn usage(images: &serde_json::Value) -> Result<String, Failure> {
    let images: Vec<Image> = serde_json::from_value(images.clone()).unwrap_or_default();
    let columns = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
    let first = images.iter().map(|image| Image {
        // Each image is counted once, whatever its names.
        repo_tags: image.repo_tags.as_ref().map(|tags| tags.iter().take(1).cloned().collect()),
        ..image.clone()
    });
    let images: Vec<Image> = first.collect();
    write(&images, Shown::default(), &Format::parse(None, columns)?, Timestamp::now(), &TimeZone::system())
}

/// One line an image; its further names on lines of their own.
fn tree(images: &[Image]) -> String {
    let mut lines = vec!["IMAGE\tID\tDISK USAGE".to_owned()];
    for image in images {
        let mut tags: Vec<&str> = image.repo_tags.iter().flatten().map(String::as_str).collect();
        let last = tags.pop().unwrap_or("<untagged>");
        lines.extend(tags.iter().map(|tag| format!("{tag}\t\t")));
        let id: String = image.id.trim_start_matches("sha256:").chars().take(SHORT).collect();
        lines.push(format!("{last}\t{id}\t{}", human::size(image.size)));
    }
    crate::cli::table::align(&lines)
}

fn write(
    images: &[Image],
    shown: Shown,
    format: &Format,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, Failure> {
    let id = |image: &Image| match shown.whole {
        true => image.id.clone(),
        false => image.id.trim_start_matches("sha256:").chars().take(SHORT).collect(),
    };
    if shown.quiet {
        // As often as it has names, like the rows of the table.
        let ids = images.iter().flat_map(|i| names(i).into_iter().map(move |_| id(i) + "\n"));
        return Ok(ids.collect());
    }
    let mut rows = Vec::new();
    for image in images {
        let created = Timestamp::from_second(image.created).ok().filter(|_| image.created != 0);
        for (repository, tag, digest) in names(image) {
            let own = if image.shared_size < 0 { -1 } else { image.size as i64 - image.shared_size };
            let fields = [
                ("Containers", counted(image.containers, |n| n.to_string())),
                ("CreatedAt", created.map_or_else(|| "N/A".to_owned(), |t| human::date(t, zone))),
                ("CreatedSince", created.map_or_else(|| "N/A".to_owned(), |t| human::ago(t, now))),
                ("Digest", digest),
                ("ID", id(image)),
                ("Repository", repository),
                ("SharedSize", counted(image.shared_size, |n| human::size_in(4, n))),
                ("Size", human::size(image.size)),
                ("Tag", tag),
                ("UniqueSize", counted(own, |n| human::size_in(4, n))),
                ("VirtualSize", human::size_in(4, image.size)),
            ];
            rows.push(Json::row(fields, Json::Null));
        }
    }
    format.write(HEADS, &rows)
}

/// Repository, tag and digest of each name of an image; one row even for one without a name.
fn names(image: &Image) -> Vec<(String, String, String)> {
    let digests: Vec<(&str, &str)> =
        image.repo_digests.iter().flatten().filter_map(|d| d.split_once('@')).collect();
    let digest_of =
        |repository: &str| digests.iter().find(|(r, _)| *r == repository).map_or(NONE, |(_, d)| d).to_owned();
    let tags =
        image.repo_tags.iter().flatten().filter(|t| *t != "<none>:<none>").filter_map(|t| t.rsplit_once(':'));
    let mut names: Vec<_> = tags
        .map(|(repository, tag)| (repository.to_owned(), tag.to_owned(), digest_of(repository)))
        .collect();
    if names.is_empty() {
        names.extend(digests.iter().map(|(r, d)| ((*r).to_owned(), NONE.to_owned(), (*d).to_owned())));
    }
    if names.is_empty() {
        names.push((NONE.to_owned(), NONE.to_owned(), NONE.to_owned()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[
        {"Id":"sha256:0123456789abcdef","RepoTags":["127.0.0.1:5000/demo/web:1","web:2"],
         "RepoDigests":["127.0.0.1:5000/demo/web@sha256:dd","web@sha256:dd"],"Created":940,"Size":12345678},
        {"Id":"sha256:fedcba9876543210","RepoTags":[],"RepoDigests":null,"Created":0,"Size":0}]"#;

    fn show(digests: bool, quiet: bool) -> String {
        let images: Vec<Image> = serde_json::from_str(LIST).unwrap();
        let shown = Shown { quiet, whole: false };
        let format = Format::parse(None, if digests { TABLE_WITH_DIGESTS } else { TABLE }).unwrap();
        write(&images, shown, &format, Timestamp::from_second(1_000).unwrap(), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn the_table_is_dockers() {
        let golden = "\
REPOSITORY                TAG       IMAGE ID       CREATED              SIZE
127.0.0.1:5000/demo/web   1         0123456789ab   About a minute ago   12.3MB
web                       2         0123456789ab   About a minute ago   12.3MB
<none>                    <none>    fedcba987654   N/A                  0B
";
        assert_eq!(show(false, false), golden);
        assert!(show(true, false).contains("TAG       DIGEST      IMAGE ID"));
        assert_eq!(show(false, true), "0123456789ab\n0123456789ab\nfedcba987654\n");
    }
}
