//! `hull images`: images as Docker lists them.

use crate::cli::args::ImagesOptions;
use crate::cli::client::{Client, filters};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::human;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::io::Write as _;

const TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const HEADS: [(&str, &str); 7] = [
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
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
}

/// Lists images.
pub(crate) async fn run(client: &Client, options: &ImagesOptions) -> Outcome {
    let table = if options.digests { TABLE_WITH_DIGESTS } else { TABLE };
    let format = Format::parse(options.format.as_deref(), table)?;
    let mut wanted = options.filter.clone();
    wanted.extend(options.reference.iter().map(|r| format!("reference={r}")));
    let all = if options.all { "&all=1" } else { "" };
    let images: Vec<Image> = client.get(&format!("/images/json?{}{all}", filters(&wanted)?)).await?;
    let text = write(&images, options, &format, Timestamp::now(), &TimeZone::system())?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

fn write(
    images: &[Image],
    options: &ImagesOptions,
    format: &Format,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, Failure> {
    let id = |image: &Image| match options.no_trunc {
        true => image.id.clone(),
        false => image.id.trim_start_matches("sha256:").chars().take(SHORT).collect(),
    };
    if options.quiet && options.format.is_none() {
        return Ok(images.iter().map(|i| id(i) + "\n").collect());
    }
    let mut rows = Vec::new();
    for image in images {
        let created = Timestamp::from_second(image.created).ok().filter(|_| image.created != 0);
        for (repository, tag, digest) in names(image) {
            rows.push(Json::texts([
                ("CreatedAt", created.map_or_else(|| "N/A".to_owned(), |t| human::date(t, zone))),
                ("CreatedSince", created.map_or_else(|| "N/A".to_owned(), |t| human::ago(t, now))),
                ("Digest", digest),
                ("ID", id(image)),
                ("Repository", repository),
                ("Size", human::size(image.size)),
                ("Tag", tag),
            ]));
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
    let tags = image.repo_tags.iter().flatten().filter_map(|t| t.rsplit_once(':'));
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
        let options = ImagesOptions {
            reference: None,
            all: false,
            quiet,
            no_trunc: false,
            digests,
            format: None,
            filter: vec![],
        };
        let format = Format::parse(None, if digests { TABLE_WITH_DIGESTS } else { TABLE }).unwrap();
        write(&images, &options, &format, Timestamp::from_second(1_000).unwrap(), &TimeZone::UTC).unwrap()
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
        assert_eq!(show(false, true), "0123456789ab\nfedcba987654\n");
    }
}
