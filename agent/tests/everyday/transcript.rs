//! Transcripts: commands as a person types them, and what they print.
//!
//! ```text
//! # a comment
//! $ docker run --rm busybox echo hi
//! hi
//! $ docker inspect nothing
//! []
//! Error: No such object: nothing
//! ? 1
//! tty$ docker run -it --rm busybox sh
//! < exit 3
//! *
//! ? 3
//! ```
//! A command runs in `sh -e`. What it prints, on both streams, must be the lines that follow it: `*` stands for any text within
//! a line, a line of `...` for any number of lines. `? N` is its exit code, 0 otherwise. `tty$` gives it a terminal, on which
//! the lines that begin with `<` are typed. `until$` is tried again until it prints what it should.

use anyhow::{Context as _, Result, bail};

/// How a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Once, without input.
    Plain,
    /// Once, with a terminal.
    Terminal,
    /// Until it prints what it should.
    Until,
}

/// One command and what it should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    pub(crate) command: String,
    pub(crate) typed: Vec<String>,
    pub(crate) expected: Vec<String>,
    pub(crate) code: i32,
}

/// Reads a transcript.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let begin = [("$ ", Kind::Plain), ("tty$ ", Kind::Terminal), ("until$ ", Kind::Until)];
        let begun = begin.iter().find_map(|(mark, kind)| Some((line.strip_prefix(mark)?, *kind)));
        if let Some((command, kind)) = begun {
            let (command, line) = (command.to_owned(), number + 1);
            steps.push(Step { line, kind, command, typed: Vec::new(), expected: Vec::new(), code: 0 });
            continue;
        }
        if line.starts_with("# ") || (line.is_empty() && steps.is_empty()) {
            continue;
        }
        let Some(step) = steps.last_mut() else { bail!("line {}: no command before {line:?}", number + 1) };
        if let Some(code) = line.strip_prefix("? ") {
            step.code = code.parse().with_context(|| format!("line {}: exit code", number + 1))?;
        } else if let Some(typed) = line.strip_prefix("< ") {
            step.typed.push(typed.to_owned());
        } else {
            step.expected.push(line.to_owned());
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    Ok(steps)
}

/// Whether lines are as expected.
pub(crate) fn matches(expected: &[String], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        (Some((pattern, expected)), Some((line, lines))) => {
            line_matches(pattern, line.trim_end()) && matches(expected, lines)
        }
        _ => false,
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.trim_end().split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Whether reading and comparing work: this program has no test harness of its own.
pub(crate) fn check_itself() -> Result<()> {
    let steps = parse("# about\n$ a\nx*z\n...\nend\n? 3\n\ntty$ b\n< typed\n")?;
    let expected = &steps[0].expected;
    let fits = |lines: &[&str]| matches(expected, lines);
    let right = steps.len() == 2
        && (steps[0].code, steps[1].kind, steps[1].typed[0].as_str()) == (3, Kind::Terminal, "typed")
        && fits(&["xyz", "end"])
        && fits(&["xz", "1", "2", "end"])
        && !fits(&["xy", "end"])
        && !fits(&["xyz", "end", "more"])
        && !line_matches("a", "ab")
        && line_matches("a*b*c", "a--b--c");
    if right { Ok(()) } else { bail!("transcripts are not read as they should be: {steps:?}") }
}
