//! Our answers beside those of Docker's own engine, field by field.
//!
//! Both engines run in namespaces of their own on this machine, are asked the same in the same order, and must answer alike. What
//! differs on purpose is listed, with its reason, in the table of `agent/docs/docker-api.md`; every other difference fails.

mod requests;
mod shape;

use crate::engines::{Engine, http};
use crate::session::Session;
use anyhow::{Context as _, Result, bail, ensure};
use http::Answer;
use image_builder::peers::Peers;
use image_builder::progress::Progress;
use image_builder::small_root;
use serde_json::json;
use shape::Difference;
use std::path::Path;

/// Where differences that are meant are listed, from the top of the project.
const KNOWN: &str = "agent/docs/docker-api.md";

/// Compares, and prints every difference that is not listed.
pub(crate) fn run(session: &Session, work: &Path) -> Result<()> {
    let peers = Peers::ensure(&session.work, &mut Progress::new(&session.work.root().join("log")))?;
    let known = Known::read(Path::new(KNOWN))?;
    let dir = session.directory("compare")?;
    let image = small_root::archive(&session.tools.root().join("usr/bin/busybox"), &dir)?;
    let theirs = Engine::docker(&peers, &dir)?;
    let ours = Engine::hull(work, &dir)?;
    let mut unlisted = Vec::new();
    let (mut asked, mut listed) = (0, 0);
    let mut execs = [String::new(), String::new()];
    for line in requests::REQUESTS.lines().filter(|l| !l.trim().is_empty()) {
        let request = Request::parse(line)?;
        let answers = [&ours, &theirs].map(|engine| engine.socket.clone());
        let [a, b] = [0, 1].map(|side| request.ask(&answers[side], &mut execs[side], &image));
        let (a, b) =
            (a.with_context(|| format!("{line}: ours"))?, b.with_context(|| format!("{line}: theirs"))?);
        if request.name.starts_with('-') {
            continue;
        }
        asked += 1;
        for difference in compare(&request.name, &a, &b) {
            match known.reason(&difference.place) {
                Some(_) => listed += 1,
                None => unlisted.push(difference),
            }
        }
    }
    for difference in &unlisted {
        println!("  {difference}");
    }
    println!(
        "compare: {asked} requests, {listed} differences that are listed, {} that are not",
        unlisted.len()
    );
    ensure!(unlisted.is_empty(), "answers differ; mend them, or list them with their reasons in {KNOWN}");
    Ok(())
}

fn compare(name: &str, ours: &Answer, theirs: &Answer) -> Vec<Difference> {
    let heads = [ours, theirs].map(|a| json!({ "status": a.status, "type": a.content_type }));
    let mut found = shape::differences(&format!("{name}:"), &heads[0], &heads[1]);
    found.extend(shape::differences(&format!("{name}: "), &ours.body, &theirs.body));
    found
}

/// One line of the list.
struct Request {
    name: String,
    method: String,
    path: String,
    body: String,
}

impl Request {
    fn parse(line: &str) -> Result<Self> {
        let mut parts = line.splitn(3, '|').map(str::trim);
        let (Some(name), Some(target), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
            bail!("{line:?} is no request");
        };
        let (method, path) = target.split_once(' ').with_context(|| format!("{line:?} has no path"))?;
        let path: String = path.chars().map(escaped).collect();
        Ok(Self { name: name.to_owned(), method: method.to_owned(), path, body: body.to_owned() })
    }

    fn ask(&self, socket: &Path, exec: &mut String, image: &Path) -> Result<Answer> {
        let path = self.path.replace("%7Bexec%7D", exec);
        let archive = self.body == "{busybox}";
        let body = if archive { std::fs::read(image)? } else { self.body.clone().into_bytes() };
        let kind = if archive { "application/x-tar" } else { "application/json" };
        let answer = http::ask(socket, &self.method, &path, &body, kind)?;
        if self.name == "exec create" {
            *exec = answer.body["Id"].as_str().unwrap_or_default().to_owned();
        }
        Ok(answer)
    }
}

fn escaped(c: char) -> String {
    match c {
        '{' | '}' | '"' | '[' | ']' | ' ' => format!("%{:02X}", u32::from(c)),
        other => other.to_string(),
    }
}

/// Differences that are meant: places, with `*` for anything, and reasons.
struct Known(Vec<(String, String)>);

impl Known {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading {}; start this from the top of the project", path.display()))?;
        Ok(Self::parse(&text))
    }

    /// Rows of the form: | `place` | reason |
    fn parse(text: &str) -> Self {
        let row = |line: &str| {
            let (place, reason) = line.strip_prefix("| `")?.split_once("` |")?;
            let reason = reason.trim().trim_end_matches('|').trim();
            (!reason.is_empty()).then(|| (place.to_owned(), reason.to_owned()))
        };
        Self(text.lines().filter_map(row).collect())
    }

    fn reason(&self, place: &str) -> Option<&str> {
        self.0.iter().find(|(pattern, _)| matches(pattern, place)).map(|(_, reason)| reason.as_str())
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            let mut ends = tail.char_indices().map(|(i, _)| i).chain([tail.len()]);
            ends.any(|i| matches(rest, &tail[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_differences_are_found_by_place() {
        let known =
            Known::parse("text\n| place | reason |\n|---|---|\n| `info: .Swarm*` | none here |\n| `x` | |\n");
        assert_eq!(known.reason("info: .Swarm.NodeID"), Some("none here"));
        assert_eq!(known.reason("info: .Name"), None);
        assert_eq!(known.reason("x"), None, "a row without a reason does not count");
    }

    #[test]
    fn every_request_is_one() {
        let lines = requests::REQUESTS.lines().filter(|l| !l.trim().is_empty());
        let parsed: Result<Vec<Request>> = lines.map(Request::parse).collect();
        assert!(parsed.unwrap().len() > 100);
    }
}
