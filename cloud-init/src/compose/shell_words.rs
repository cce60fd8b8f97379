//! Commands written as one text, split as a POSIX shell splits words, without expanding anything.

/// Splits a command into words. Refuses quotes that are not closed and a backslash at the end.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a ' is not closed")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next().ok_or("a \\ at the end stands before nothing")? {
                '\n' => {}
                c => word.get_or_insert_default().push(c),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Within double quotes a backslash only escapes what would otherwise be special (POSIX shell, 2.2.3).
fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "a \" is not closed";
    loop {
        match chars.next().ok_or(OPEN)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(OPEN)? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let rows: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  a  b\tc ", &["a", "b", "c"]),
            ("sh -c 'echo \"x y\"; sleep 1'", &["sh", "-c", "echo \"x y\"; sleep 1"]),
            (r#"a "b \"c\" \d" e\ f"#, &["a", "b \"c\" \\d", "e f"]),
            ("'' \"\"", &["", ""]),
            ("a'b'\"c\"d", &["abcd"]),
        ];
        for (text, words) in rows {
            assert_eq!(split(text).unwrap(), *words, "{text}");
        }
        for bad in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
