//! Pushing an OCI layout to a registry over plain HTTP (OCI distribution specification 1.1, "Push").
//!
//! Just what the demo and the tests need: one connection for each request, whole blobs, no authentication, no TLS.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::oci;

/// How long the registry may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pushes the layout's only image under a tag. Returns its digest.
pub fn push(layout: &Path, registry: &str, repository: &str, tag: &str) -> Result<String> {
    let registry = Registry::new(registry)?;
    let top = read_json(&layout.join("index.json"))?;
    let entries = top["manifests"].as_array().context("the layout's index.json has no manifests")?;
    ensure!(entries.len() == 1, "the layout has {} images, expected one", entries.len());
    let digest = text(&entries[0], "digest")?;
    push_manifest(&registry, layout, repository, &entries[0], tag)?;
    Ok(digest)
}

/// A manifest may only be pushed when what it names is there: blobs and children first.
fn push_manifest(
    registry: &Registry,
    layout: &Path,
    repository: &str,
    descriptor: &Value,
    reference: &str,
) -> Result<()> {
    let bytes = read_blob(layout, &text(descriptor, "digest")?)?;
    let body: Value = serde_json::from_slice(&bytes).context("a manifest of the layout is not JSON")?;
    for child in body["manifests"].as_array().into_iter().flatten() {
        push_manifest(registry, layout, repository, child, &text(child, "digest")?)?;
    }
    let blobs = body.get("config").into_iter().chain(body["layers"].as_array().into_iter().flatten());
    for blob in blobs {
        push_blob(registry, layout, repository, &text(blob, "digest")?)?;
    }
    let media_type = descriptor["mediaType"].as_str().unwrap_or(oci::MANIFEST);
    let path = format!("/v2/{repository}/manifests/{reference}");
    registry.request("PUT", &path, &[("Content-Type", media_type)], &bytes)?.expect(&[201], "PUT", &path)?;
    Ok(())
}

fn push_blob(registry: &Registry, layout: &Path, repository: &str, digest: &str) -> Result<()> {
    let path = format!("/v2/{repository}/blobs/{digest}");
    if registry.request("HEAD", &path, &[], &[])?.status == 200 {
        return Ok(());
    }
    let path = format!("/v2/{repository}/blobs/uploads/");
    let begun = registry.request("POST", &path, &[], &[])?.expect(&[202], "POST", &path)?;
    let location = begun.headers.get("location").context("the registry names no upload location")?;
    let target = upload_target(location, digest)?;
    let octets = [("Content-Type", "application/octet-stream")];
    registry.request("PUT", &target, &octets, &read_blob(layout, digest)?)?.expect(&[201], "PUT", &target)?;
    Ok(())
}

/// The path and query of an upload location, absolute or not, with the digest added.
fn upload_target(location: &str, digest: &str) -> Result<String> {
    let path = match location.strip_prefix("http://") {
        Some(rest) => rest.find('/').map(|at| &rest[at..]).context("the upload location has no path")?,
        None => location,
    };
    ensure!(path.starts_with('/'), "cannot use the upload location {location:?}");
    let separator = if path.contains('?') { '&' } else { '?' };
    Ok(format!("{path}{separator}digest={}", digest.replace(':', "%3A")))
}

fn read_blob(layout: &Path, digest: &str) -> Result<Vec<u8>> {
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(oci::digest(&bytes) == digest, "{} does not have the digest it is named after", path.display());
    Ok(bytes)
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
}

fn text(value: &Value, key: &str) -> Result<String> {
    value[key].as_str().map(str::to_owned).with_context(|| format!("a descriptor of the layout has no {key}"))
}

/// `HOST:PORT` of a registry that is spoken to over plain HTTP.
#[derive(Debug)]
struct Registry {
    authority: String,
}

#[derive(Debug)]
struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Response {
    fn expect(self, statuses: &[u16], method: &str, path: &str) -> Result<Self> {
        if !statuses.contains(&self.status) {
            let body = String::from_utf8_lossy(&self.body);
            bail!("the registry answered {method} {path} with {}: {}", self.status, body.trim());
        }
        Ok(self)
    }
}

impl Registry {
    fn new(url: &str) -> Result<Self> {
        let authority = url.trim_end_matches('/').strip_prefix("http://");
        let authority = authority.with_context(|| format!("{url:?} is not a plain http:// address"))?;
        let authority =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority })
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        self.exchange(method, path, headers, body)
            .with_context(|| format!("{method} http://{}{path} failed", self.authority))
    }

    fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
        let address =
            self.authority.to_socket_addrs()?.next().context("the registry's name has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.authority,
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse_response(&answer)
    }
}

fn parse_response(bytes: &[u8]) -> Result<Response> {
    let end =
        bytes.windows(4).position(|w| w == b"\r\n\r\n").context("the answer ends within its headers")?;
    let head = std::str::from_utf8(&bytes[..end]).context("the answer's headers are not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Response {
        status: status.context("the answer has no status")?,
        headers,
        body: bytes[end + 4..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_locations() {
        let target = |location| upload_target(location, "sha256:ab");
        assert_eq!(
            target("/v2/x/blobs/uploads/1?_state=q").unwrap(),
            "/v2/x/blobs/uploads/1?_state=q&digest=sha256%3Aab"
        );
        assert_eq!(target("http://h:1/v2/u").unwrap(), "/v2/u?digest=sha256%3Aab");
        assert!(target("ftp:x").is_err());
    }

    #[test]
    fn responses() {
        let response = parse_response(b"HTTP/1.1 202 Accepted\r\nLocation: /x\r\n\r\nbody").unwrap();
        assert_eq!((response.status, response.headers["location"].as_str()), (202, "/x"));
        assert_eq!(response.body, b"body");
        for bad in [&b"HTTP/1.1 200 OK\r\n"[..], b"", b"rubbish\r\n\r\n"] {
            assert!(parse_response(bad).is_err());
        }
    }

    #[test]
    fn only_plain_http() {
        assert_eq!(Registry::new("http://127.0.0.1:5000/").unwrap().authority, "127.0.0.1:5000");
        assert_eq!(Registry::new("http://reg").unwrap().authority, "reg:80");
        assert!(Registry::new("https://reg").is_err());
    }

    /// Answers like a registry that has no blobs, and records what it was asked.
    fn registry(listener: std::net::TcpListener, requests: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for stream in listener.incoming().take(requests) {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            let words: Vec<&str> = head.split(' ').collect();
            let answer = match words[0] {
                "HEAD" => "404 Not Found\r\n",
                "POST" => "202 Accepted\r\nLocation: /upload/1?state=x\r\n",
                _ => "201 Created\r\n",
            };
            write!(stream, "HTTP/1.1 {answer}Content-Length: 0\r\n\r\n").unwrap();
            seen.push(format!("{} {}", words[0], words[1]));
        }
        seen
    }

    #[test]
    fn blobs_go_before_the_manifest_and_that_before_the_index() {
        let dir = std::env::temp_dir().join(format!("hull-push-{}", std::process::id()));
        let layer = oci::Layer::new(&BTreeMap::new(), oci::Packing::Gzip).unwrap();
        let index = oci::write_layout(&dir, "x:1", &oci::Config::default(), &[layer]).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || registry(listener, 8));
        assert_eq!(push(&dir, &url, "a/b", "1").unwrap(), index);
        let seen = server.join().unwrap();
        fs::remove_dir_all(&dir).unwrap();
        let methods: Vec<&str> = seen.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(methods, ["HEAD", "POST", "PUT", "HEAD", "POST", "PUT", "PUT", "PUT"]);
        assert!(seen[2].starts_with("PUT /upload/1?state=x&digest=sha256%3A"), "{seen:?}");
        assert!(seen[6].starts_with("PUT /v2/a/b/manifests/sha256:"), "{seen:?}");
        assert_eq!(seen[7], "PUT /v2/a/b/manifests/1");
    }

    #[test]
    fn a_damaged_layout_is_not_pushed() {
        let dir = std::env::temp_dir().join(format!("hull-push-bad-{}", std::process::id()));
        let index = oci::write_layout(&dir, "x:1", &oci::Config::default(), &[]).unwrap();
        fs::write(dir.join("blobs").join(index.replace(':', "/")), b"{}").unwrap();
        let error = push(&dir, "http://127.0.0.1:1", "a/b", "1").unwrap_err().to_string();
        fs::remove_dir_all(&dir).unwrap();
        assert!(error.contains("does not have the digest"), "{error}");
    }
}
