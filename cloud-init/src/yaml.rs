//! YAML: the one place that knows which parser is used.
//!
//! Owns the limits on what a document may be. Refuses documents over [`MAX_BYTES`], text that is not UTF-8, more than one
//! document, duplicate keys, nesting deeper than the parser's limit, and aliases that multiply beyond [`MAX_NODES`].

use serde_yaml::Value;

/// Largest document that is read.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Most scalars, sequences and mappings in one document, aliases expanded.
const MAX_NODES: usize = 200_000;

/// Most brackets open at a time. The parser allows far fewer, but says so only after time that grows with the square of them.
/// Brackets within texts count too, so there is room for some that are never closed.
const MAX_OPEN: usize = 1_000;

/// Why a document cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", place(.line, .column))]
pub(crate) struct YamlError {
    /// What is wrong, without the place.
    pub(crate) reason: String,
    /// Line, from 1; `None` if it concerns the whole.
    pub(crate) line: Option<usize>,
    /// Column, from 1.
    pub(crate) column: Option<usize>,
    /// What its author can do.
    pub(crate) remedy: &'static str,
}

fn place(line: &Option<usize>, column: &Option<usize>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        _ => String::new(),
    }
}

impl YamlError {
    fn whole(reason: impl Into<String>, remedy: &'static str) -> Self {
        Self { reason: reason.into(), line: None, column: None, remedy }
    }
}

/// Parses one YAML document; merge keys (`<<`) are applied. An empty document is null.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, YamlError> {
    if bytes.len() > MAX_BYTES {
        let reason =
            format!("the document has {} bytes, more than the {MAX_BYTES} that are read", bytes.len());
        return Err(YamlError::whole(
            reason,
            "make it smaller; large files belong into an image or a volume",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| not_utf8(bytes, e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_depth(text)?;
    let mut value: Value = serde_yaml::from_str(text).map_err(|e| explain(&e))?;
    check_size(&value, &mut 0)?;
    value.apply_merge().map_err(|e| explain(&e))?;
    check_size(&value, &mut 0)?;
    Ok(value)
}

fn check_depth(text: &str) -> Result<(), YamlError> {
    let mut open = 0usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN {
            let reason = format!("recursion limit exceeded: more than {MAX_OPEN} brackets are open");
            return Err(YamlError::whole(reason, "nest it less deeply"));
        }
    }
    Ok(())
}

fn not_utf8(bytes: &[u8], at: usize) -> YamlError {
    let before = &bytes[..at];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    YamlError {
        reason: "the text is not UTF-8".to_owned(),
        line: Some(line),
        column: Some(column),
        remedy: "save it as UTF-8; binary content goes into write_files with encoding: b64",
    }
}

fn explain(error: &serde_yaml::Error) -> YamlError {
    let location = error.location();
    let full = error.to_string();
    // The parser appends the place to most messages; it is said once, by Display.
    let said = location.as_ref().map(|l| format!(" at line {} column {}", l.line(), l.column()));
    let reason = match said {
        Some(said) => full.replacen(&said, "", 1),
        None => full,
    };
    let remedy = if reason.contains("duplicate entry") {
        "write each key once"
    } else if reason.contains("recursion limit") {
        "nest it less deeply"
    } else if reason.contains("repetition limit") {
        "use fewer aliases (*name)"
    } else if reason.contains("more than one document") {
        "write one document, without a second line of ---"
    } else {
        "check indentation, colons and quotes there"
    };
    YamlError {
        reason,
        line: location.as_ref().map(|l| l.line()),
        column: location.as_ref().map(|l| l.column()),
        remedy,
    }
}

fn check_size(value: &Value, seen: &mut usize) -> Result<(), YamlError> {
    *seen += 1;
    if *seen > MAX_NODES {
        let reason = format!("the document has more than {MAX_NODES} values, aliases expanded");
        return Err(YamlError::whole(reason, "use fewer aliases (*name)"));
    }
    match value {
        Value::Sequence(items) => items.iter().try_for_each(|item| check_size(item, seen)),
        Value::Mapping(map) => map.iter().try_for_each(|(k, v)| {
            check_size(k, seen)?;
            check_size(v, seen)
        }),
        Value::Tagged(tagged) => check_size(&tagged.value, seen),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_documents_are_refused_at_once() {
        let begun = std::time::Instant::now();
        for (open, close) in [("[", "]"), ("{a: ", "}")] {
            let text = format!("a: {}{}", open.repeat(200_000), close.repeat(200_000));
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.remedy, "nest it less deeply", "{error}");
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(parse(format!("a: '{}'", "[".repeat(900)).as_bytes()).is_ok());
    }

    #[test]
    fn the_place_of_a_mistake_is_named() {
        let error = parse(b"hostname: a\nusers:\n  - name: x\n bad: y\n").unwrap_err();
        assert_eq!(error.line, Some(4), "{error}");
        assert!(error.to_string().starts_with("line 4, column "), "{error}");
        assert_eq!(error.to_string().matches("line").count(), 1, "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let deep = "[".repeat(100_000);
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(",");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        let rows: &[(&str, &str)] = &[
            ("a: 1\na: 2\n", "duplicate"),
            ("a: {b: 1, b: 2}\n", "duplicate"),
            ("a: 1\n---\nb: 2\n", "more than one document"),
            (&deep, "limit"),
            (&bomb, "limit"),
            ("a: *nowhere\n", "anchor"),
            ("a: \"unfinished\n", "end of stream"),
        ];
        for (text, expected) in rows {
            let error = parse(text.as_bytes()).unwrap_err();
            let head: String = text.chars().take(20).collect();
            assert!(error.reason.contains(expected), "{head}: {error}");
        }
        assert!(parse(b"a: \xff").unwrap_err().to_string().starts_with("line 1, column 4: "));
        assert!(parse(&vec![b' '; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn merge_keys_are_applied() {
        let value = parse(b"base: &b {x: 1}\nuse: {<<: *b, y: 2}\n").unwrap();
        assert_eq!(value["use"]["x"], 1);
    }
}
