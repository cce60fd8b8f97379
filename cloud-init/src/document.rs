//! What kind of document user-data is, told by its first line as cloud-init does.

use crate::yaml::MAX_BYTES;
use std::borrow::Cow;
use std::io::Read as _;

/// A kind of user-data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document<'a> {
    /// Nothing in it.
    Empty,
    /// A `#cloud-config` document: YAML.
    CloudConfig(Cow<'a, [u8]>),
    /// Something else, which this host does not take.
    Other {
        /// What it is.
        reason: String,
        /// What to write instead.
        remedy: &'static str,
    },
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Kinds by the beginning of the first line.
const KINDS: &[(&str, &str, &str)] = &[
    (
        "#!",
        "a script, and this host runs none",
        "run it as a service, or write what it would have written with write_files",
    ),
    ("#include", "a list of documents to fetch, which is not supported", "put the document itself here"),
    (
        "#cloud-config-archive",
        "an archive of several parts, which is not supported",
        "merge the parts into one #cloud-config document",
    ),
    ("#cloud-config-jsonp", "a JSON patch, which is not supported", "write the whole #cloud-config document"),
    ("#cloud-boothook", "a boot hook, and this host runs no scripts", "run it as a service"),
    ("#part-handler", "a part handler, and this host runs no scripts", "write a #cloud-config document"),
    ("#upstart-job", "an Upstart job, which this host does not have", "run it as a service"),
    (
        "## template:",
        "a template, which is not rendered here",
        "in services, ${HULL_HOSTNAME} and its like are replaced",
    ),
    (
        "content-type:",
        "a MIME multi-part message, which is not supported",
        "send one #cloud-config document; the platform's part goes into vendor-data",
    ),
    (
        "mime-version:",
        "a MIME multi-part message, which is not supported",
        "send one #cloud-config document; the platform's part goes into vendor-data",
    ),
    (
        "{",
        "JSON, perhaps an Ignition config",
        "write a #cloud-config document; JSON after that first line is accepted",
    ),
];

/// Looks at the first line; unpacks what is compressed with gzip, up to the size that is read.
pub(crate) fn classify(bytes: &[u8]) -> Document<'_> {
    if !bytes.starts_with(&GZIP) {
        return by_first_line(Cow::Borrowed(bytes));
    }
    match gunzip(bytes, MAX_BYTES) {
        Ok(plain) => by_first_line(Cow::Owned(plain)),
        Err(reason) => Document::Other { reason, remedy: "compress it with gzip again, or send it as it is" },
    }
}

/// Unpacks gzip data to at most `limit` bytes.
pub(crate) fn gunzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    decoder.read_to_end(&mut plain).map_err(|e| format!("gzip data that cannot be unpacked: {e}"))?;
    if plain.len() > limit {
        return Err(format!("gzip data that unpacks to more than {limit} bytes"));
    }
    Ok(plain)
}

fn by_first_line(bytes: Cow<'_, [u8]>) -> Document<'_> {
    let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Document::Empty;
    }
    let first = body.split(|b| *b == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).trim_end().to_ascii_lowercase();
    if first == "#cloud-config" {
        return Document::CloudConfig(bytes);
    }
    for (prefix, what, remedy) in KINDS {
        if first.starts_with(prefix) {
            return Document::Other { reason: format!("the document is {what}"), remedy };
        }
    }
    Document::Other {
        reason: "the first line is not #cloud-config".to_owned(),
        remedy: "begin the document with a line that says #cloud-config and nothing else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn kinds_are_told_by_the_first_line() {
        let rows: &[(&[u8], &str)] = &[
            (b"#!/bin/sh\necho", "script"),
            (b"#include\nhttp://x", "fetch"),
            (b"#include-once\nhttp://x", "fetch"),
            (b"## template: jinja\n#cloud-config\n", "template"),
            (b"Content-Type: multipart/mixed; boundary=x\n", "MIME"),
            (b"MIME-Version: 1.0\n", "MIME"),
            (b"#cloud-config-archive\n", "archive"),
            (b"#cloud-configs\n", "first line"),
            (b"hostname: x\n", "first line"),
            (b"{\"ignition\": {}}", "Ignition"),
            (b"\x1f\x8bxxxx", "gzip"),
        ];
        for (bytes, expected) in rows {
            let found = classify(bytes);
            assert!(
                matches!(&found, Document::Other { reason, .. } if reason.contains(expected)),
                "{found:?}"
            );
        }
        for empty in [&b""[..], b"\n \r\n", b"\xef\xbb\xbf\n"] {
            assert_eq!(classify(empty), Document::Empty);
        }
        for good in [&b"#cloud-config"[..], b"#cloud-config  \r\na: b", b"\xef\xbb\xbf#cloud-config\n"] {
            assert!(matches!(classify(good), Document::CloudConfig(_)));
        }
    }

    #[test]
    fn gzip_is_unpacked_up_to_a_limit() {
        assert!(
            matches!(classify(&gzip(b"#cloud-config\n")), Document::CloudConfig(b) if *b == *b"#cloud-config\n")
        );
        let bomb = gzip(&vec![b' '; MAX_BYTES + 1]);
        assert!(bomb.len() < MAX_BYTES / 100);
        assert!(matches!(classify(&bomb), Document::Other { reason, .. } if reason.contains("more than")));
    }
}
