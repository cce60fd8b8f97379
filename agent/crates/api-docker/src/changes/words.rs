//! Words of instructions: how a line is taken apart, and how quotes, escapes and variables in a word are resolved.

use std::iter::Peekable;
use std::str::Chars;

/// One instruction with what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// In capitals.
    pub(super) instruction: String,
    /// `--name=value`, before everything else.
    pub(super) flags: Vec<(String, String)>,
    pub(super) rest: String,
}

/// The instructions of a text: comments and blank lines left out, lines that end in a backslash joined.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
        if blank {
            continue;
        }
        let (content, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        match joined.last_mut().filter(|_| open) {
            Some(last) => last.push_str(content),
            None => joined.push(content.to_owned()),
        }
        open = goes_on;
    }
    joined.iter().map(|line| take_apart(line.trim())).collect()
}

fn take_apart(line: &str) -> Line {
    let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let mut rest = rest.trim();
    let mut flags = Vec::new();
    while let Some(flag) = rest.strip_prefix("--").filter(|f| !f.is_empty() && !f.starts_with(' ')) {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
        flags.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Line { instruction: instruction.to_ascii_uppercase(), flags, rest: rest.to_owned() }
}

/// Splits at blanks that are neither quoted nor escaped. Quotes and escapes stay.
pub(super) fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        if c.is_whitespace() && quote.is_none() && !escaped {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(c);
        (quote, escaped) = match (quote, c, escaped) {
            (_, _, true) => (quote, false),
            (None | Some('"'), '\\', _) => (quote, true),
            (None, '\'' | '"', _) => (Some(c), false),
            (Some(open), _, _) if open == c => (None, false),
            _ => (quote, false),
        };
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A list in JSON; `None` if the text is none.
pub(super) fn json_list(text: &str) -> Option<Result<Vec<String>, String>> {
    let list: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    let strings = list.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err("when using JSON array syntax, arrays must be comprised of strings only".to_owned()),
    });
    Some(strings.collect())
}

/// Resolves a word. `env` are the variables it may name, as `KEY=value`.
pub(super) fn resolve(word: &str, env: &[String]) -> Result<String, String> {
    let mut scan = Scan { rest: word.chars().peekable(), env };
    scan.until(None).map_err(|why| format!("failed to process {word:?}: {why}"))
}

struct Scan<'a> {
    rest: Peekable<Chars<'a>>,
    env: &'a [String],
}

impl Scan<'_> {
    /// Reads to the end, or to a closing brace.
    fn until(&mut self, end: Option<char>) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                _ if Some(c) == end => return Ok(out),
                '\'' => self.single_quoted(&mut out)?,
                '"' => self.double_quoted(&mut out)?,
                '$' => out.push_str(&self.variable()?),
                '\\' => out.extend(self.rest.next()),
                other => out.push(other),
            }
        }
        match end {
            Some(_) => Err("syntax error: missing '}'".to_owned()),
            None => Ok(out),
        }
    }

    fn single_quoted(&mut self, out: &mut String) -> Result<(), String> {
        loop {
            match self.rest.next() {
                Some('\'') => return Ok(()),
                Some(c) => out.push(c),
                None => return Err(unmatched("single")),
            }
        }
    }

    fn double_quoted(&mut self, out: &mut String) -> Result<(), String> {
        loop {
            match self.rest.next() {
                Some('"') => return Ok(()),
                Some('$') => out.push_str(&self.variable()?),
                Some('\\') => match self.rest.next() {
                    Some(c @ ('"' | '$' | '\\')) => out.push(c),
                    Some(c) => out.extend(['\\', c]),
                    None => return Err(unmatched("double")),
                },
                Some(c) => out.push(c),
                None => return Err(unmatched("double")),
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }

    fn value(&self, name: &str) -> Option<String> {
        let find = |entry: &&String| entry.split_once('=').is_some_and(|(key, _)| key == name);
        self.env.iter().rfind(find).and_then(|entry| entry.split_once('=')).map(|(_, value)| value.to_owned())
    }

    /// What follows a dollar sign.
    fn variable(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name).unwrap_or_default() });
        }
        let name = self.name();
        if name.is_empty() {
            return Err("syntax error: bad substitution".to_owned());
        }
        let value = self.value(&name);
        let colon = match self.rest.next() {
            Some('}') => return Ok(value.unwrap_or_default()),
            Some(':') => true,
            Some(c @ ('-' | '+' | '?')) => return self.modified(c, &name, value),
            Some(c) => return Err(format!("unsupported modifier ({c}) in substitution")),
            None => return Err("syntax error: missing '}'".to_owned()),
        };
        match self.rest.next().filter(|_| colon) {
            Some(c) => self.modified(c, &name, value.filter(|v| !v.is_empty())),
            None => Err("syntax error: missing modifier in substitution".to_owned()),
        }
    }

    fn modified(&mut self, modifier: char, name: &str, value: Option<String>) -> Result<String, String> {
        let word = self.until(Some('}'))?;
        match (modifier, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', Some(value)) => Ok(value),
            ('?', None) if word.is_empty() => Err(format!("{name}: is not allowed to be unset")),
            ('?', None) => Err(format!("{name}: {word}")),
            (other, _) => Err(format!("unsupported modifier ({other}) in substitution")),
        }
    }
}

fn unmatched(quote: &str) -> String {
    format!("unexpected end of statement while looking for matching {quote}-quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_resolved_as_a_shell_would() {
        let env = ["A=1".to_owned(), "E=".to_owned()];
        let rows = [
            ("a$A", Ok("a1")),
            ("${A}b", Ok("1b")),
            ("'$A'", Ok("$A")),
            ("\"$A b\"", Ok("1 b")),
            ("a\\ b", Ok("a b")),
            ("\\$A", Ok("$A")),
            ("${B:-x$A}", Ok("x1")),
            ("${E:-x}", Ok("x")),
            ("${E-x}", Ok("")),
            ("${A:+y}", Ok("y")),
            ("$", Ok("$")),
            ("${A", Err("failed to process \"${A\": syntax error: missing '}'")),
            (
                "'x",
                Err(
                    "failed to process \"'x\": unexpected end of statement while looking for matching single-quote",
                ),
            ),
        ];
        for (word, expected) in rows {
            let got = resolve(word, &env);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{word}");
        }
    }

    #[test]
    fn lines_are_joined_and_taken_apart() {
        let read = lines("# c\n\nenv A=1 \\\n # c\n  B=2\nHEALTHCHECK --interval=5s --x CMD a");
        assert_eq!(read.len(), 2);
        assert_eq!(
            (read[0].instruction.as_str(), split(&read[0].rest)),
            ("ENV", vec!["A=1".into(), "B=2".into()])
        );
        assert_eq!(read[1].flags, [("interval".into(), "5s".into()), ("x".into(), String::new())]);
        assert_eq!(read[1].rest, "CMD a");
        assert_eq!(split("a=\"x y\" b='c d' e\\ f"), ["a=\"x y\"", "b='c d'", "e\\ f"]);
    }
}
