//! Patterns over the names of images: `*`, `?` and `[…]`, none of which matches a slash.

/// A pattern that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPattern;

/// Whether a pattern matches the whole of a name. Each class and escape of the pattern is looked at, whether the name
/// reaches it or not.
pub(crate) fn matches(pattern: &str, name: &str) -> Result<bool, BadPattern> {
    let pattern: Vec<Token> = tokens(pattern)?;
    let name: Vec<char> = name.chars().collect();
    // The places of the pattern that can be reached after each character.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_stars(&pattern, &mut reached);
    for c in name {
        let mut next = vec![false; pattern.len() + 1];
        for (at, token) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match token {
                Token::Any => next[at] |= c != '/',
                token if token.is(c) => next[at + 1] = true,
                _ => {}
            }
        }
        skip_stars(&pattern, &mut next);
        reached = next;
    }
    Ok(reached[pattern.len()])
}

/// A star may match nothing.
fn skip_stars(pattern: &[Token], reached: &mut [bool]) {
    for (at, token) in pattern.iter().enumerate() {
        if reached[at] && matches!(token, Token::Any) {
            reached[at + 1] = true;
        }
    }
}

enum Token {
    Any,
    One,
    Exactly(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => c != '/',
            Self::Exactly(wanted) => c == *wanted,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated && c != '/'
            }
        }
    }
}

fn tokens(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let mut rest = pattern.chars();
    let mut tokens = Vec::new();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Exactly(rest.next().ok_or(BadPattern)?),
            '[' => class(&mut rest)?,
            other => Token::Exactly(other),
        });
    }
    Ok(tokens)
}

fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, BadPattern> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next().ok_or(BadPattern)? {
            ']' if !ranges.is_empty() => return Ok(Token::Class { negated, ranges }),
            '\\' => rest.next().ok_or(BadPattern)?,
            ']' | '-' => return Err(BadPattern),
            c => c,
        };
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = match rest.next().ok_or(BadPattern)? {
                '\\' => rest.next().ok_or(BadPattern)?,
                ']' | '-' => return Err(BadPattern),
                c => c,
            };
        }
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_slashes() {
        let rows = [
            ("busy*", "busybox", Ok(true)),
            ("busy*", "busybox:latest", Ok(true)),
            ("*", "a/b", Ok(false)),
            ("*/x/*", "127.0.0.1:5000/x/y", Ok(true)),
            ("a?c", "abc", Ok(true)),
            ("a[b-d]c", "acc", Ok(true)),
            ("a[^b-d]c", "acc", Ok(false)),
            ("a\\*", "a*", Ok(true)),
            ("a*b*c", "axxbyyc", Ok(true)),
            ("a*b*c", "axxbyy", Ok(false)),
            ("", "", Ok(true)),
            ("[", "x", Err(BadPattern)),
            ("a[", "x", Err(BadPattern)),
            ("[]a]", "a", Err(BadPattern)),
            ("\\", "x", Err(BadPattern)),
        ];
        for (pattern, name, expected) in rows {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
