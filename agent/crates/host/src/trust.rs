//! Certificate authorities: one bundle, the image's and those of the settings.

use crate::files::{Access, Root};
use crate::problem;
use hull_model::{CaCerts, Problem};
use std::io;
use std::path::Path;

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where an OSTree deployment keeps its /etc as the image had it.
const PRISTINE: &str = "/usr/etc/ssl/certs/ca-certificates.crt";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Makes the bundle. `base` is a directory, emptied by each boot, for the image's bundle where the image keeps no other.
pub(crate) fn apply(root: &Root, base: &Path, certs: &CaCerts) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut good = Vec::new();
    for (i, pem) in certs.trusted.iter().enumerate() {
        if is_pem(pem) {
            good.push(pem.as_str());
        } else {
            let remedy = "paste it whole, from BEGIN to END CERTIFICATE";
            problems.push(problem(
                format!("ca_certs.trusted[{i}]"),
                "it is not a certificate in PEM",
                remedy,
            ));
        }
    }
    let written = image_bundle(root, base, certs).and_then(|image| {
        let Some(image) = image else { return Ok(false) };
        let defaults = if certs.remove_defaults { "" } else { &image };
        root.write(BUNDLE, bundle(defaults, &good).as_bytes(), Access::root(0o644))
    });
    if let Err(e) = written {
        problems.push(problem(
            "ca_certs",
            format!("writing {BUNDLE}: {e}"),
            "see the reason; the old bundle stays",
        ));
    }
    problems
}

/// The image's bundle. `None` if there is nothing to do: nothing is asked for and nothing was ever changed.
fn image_bundle(root: &Root, base: &Path, certs: &CaCerts) -> io::Result<Option<String>> {
    let kept = base.join("ca-certificates.crt");
    if *certs == CaCerts::default() && !kept.exists() && !root.at(PRISTINE).exists() {
        return Ok(None);
    }
    if let Some(text) = Some(root.text(PRISTINE)?).filter(|text| !text.is_empty()) {
        return Ok(Some(text));
    }
    match std::fs::read_to_string(&kept) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let text = root.text(BUNDLE)?;
            Root::new(base.into()).write("ca-certificates.crt", text.as_bytes(), Access::root(0o600))?;
            Ok(Some(text))
        }
        other => other.map(Some),
    }
}

/// Pure: the bundle's text.
fn bundle(defaults: &str, trusted: &[&str]) -> String {
    let mut text = defaults.to_owned();
    for pem in trusted {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(pem.trim());
        text.push('\n');
    }
    text
}

/// Whether a text is certificates between their marks (RFC 7468) and nothing else that a reader could take for one.
fn is_pem(text: &str) -> bool {
    let mut rest = text.trim();
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let parts = rest.strip_prefix(BEGIN).and_then(|body| body.split_once(END));
        let Some((body, after)) = parts else { return false };
        let compact: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
        // "M" begins the base64 of an ASN.1 SEQUENCE (0x30).
        if !compact.len().is_multiple_of(4) || !compact.starts_with(b"M") || !compact.iter().all(base64) {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    #[test]
    fn the_bundle_is_the_images_and_ours_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let base = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().into());
        root.write(BUNDLE, b"IMAGE", Access::root(0o644)).unwrap();
        assert_eq!(apply(&root, base.path(), &CaCerts::default()), []);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0, "nothing asked, nothing done");
        let ours = CaCerts { remove_defaults: false, trusted: vec![PEM.into(), "junk".into()] };
        for _ in 0..2 {
            assert_eq!(apply(&root, base.path(), &ours).len(), 1);
            assert_eq!(root.text(BUNDLE).unwrap(), format!("IMAGE\n{PEM}"));
        }
        let only = CaCerts { remove_defaults: true, trusted: vec![PEM.into()] };
        assert_eq!(apply(&root, base.path(), &only), []);
        assert_eq!(root.text(BUNDLE).unwrap(), PEM);
        assert_eq!(apply(&root, base.path(), &CaCerts::default()), []);
        assert_eq!(root.text(BUNDLE).unwrap(), "IMAGE");
        root.write(PRISTINE, b"NEWER IMAGE\n", Access::root(0o644)).unwrap();
        assert_eq!(apply(&root, base.path(), &ours).len(), 1);
        assert!(root.text(BUNDLE).unwrap().starts_with("NEWER IMAGE\n-----BEGIN"));
    }

    #[test]
    fn certificates_are_told_from_junk() {
        assert!(is_pem(PEM) && is_pem(&PEM.repeat(2)));
        for bad in [
            "",
            "x",
            &PEM.replace("MIIB", "MII"),
            &PEM.replace("MIIB", "AAAA"),
            &format!("{PEM}x"),
            &PEM[..30],
        ] {
            assert!(!is_pem(bad), "{bad:?}");
        }
    }
}
