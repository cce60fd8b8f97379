//! A cursor into a YAML document that knows its path, so that every complaint names the place and an example.

use crate::suggest::did_you_mean;
use serde_yaml::Value;

/// Something wrong at one place of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Path of the key: `services.web.ports[0]`.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) reason: String,
    /// What the author can do.
    pub(crate) remedy: String,
}

/// The result of reading one value.
pub(crate) type Read<T> = Result<T, Issue>;

/// A value and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// A value with its path; the path of a whole document is empty.
    pub(crate) fn new(path: impl Into<String>, value: &'a Value) -> Self {
        Self { path: path.into(), value }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The value itself, for questions about its kind.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// Whether it is null: written without a value.
    pub(crate) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// A complaint about this value.
    pub(crate) fn issue(&self, reason: impl Into<String>, remedy: impl Into<String>) -> Issue {
        Issue { path: self.path.clone(), reason: reason.into(), remedy: remedy.into() }
    }

    /// The complaint that this value has the wrong type.
    pub(crate) fn expected(&self, what: &str, example: &str) -> Issue {
        self.issue(
            format!("expected {what}, found {}", describe(self.value)),
            format!("write it like {example}"),
        )
    }

    /// The complaint about a key that nobody knows, with the nearest of the known ones.
    pub(crate) fn unknown<'k>(&self, key: &str, known: impl IntoIterator<Item = &'k str>) -> Issue {
        let remedy = match did_you_mean(key, known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "remove it, or begin its name with x- to keep it as a note".to_owned(),
        };
        self.issue(format!("unknown key {key:?}"), remedy)
    }

    /// The entries of a mapping in the order they were written.
    pub(crate) fn entries(&self, example: &str) -> Read<Vec<(&'a str, Node<'a>)>> {
        let Value::Mapping(map) = self.value else {
            return Err(self.expected("a mapping", example));
        };
        let entry = |(key, value): (&'a Value, &'a Value)| {
            let Value::String(key) = key else {
                let reason = format!("a key is {}, but keys are text", describe(key));
                return Err(self.issue(reason, "put the key in quotes"));
            };
            Ok((key.as_str(), self.child(key, value)))
        };
        map.iter().map(entry).collect()
    }

    fn child(&self, key: &str, value: &'a Value) -> Node<'a> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Node { path, value }
    }

    /// The items of a sequence.
    pub(crate) fn items(&self, example: &str) -> Read<Vec<Node<'a>>> {
        let Value::Sequence(items) = self.value else {
            return Err(self.expected("a list", example));
        };
        let item = |(i, value)| Node { path: format!("{}[{i}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The items of a sequence, or the value itself where one may be written without a list.
    pub(crate) fn one_or_many(&self, example: &str) -> Read<Vec<Node<'a>>> {
        match self.value {
            Value::Sequence(_) => self.items(example),
            Value::Mapping(_) => Err(self.expected("a text or a list", example)),
            _ => Ok(vec![self.clone()]),
        }
    }

    /// A text. Numbers and booleans are not taken for text: `on` and `1e3` would change on the way.
    pub(crate) fn text(&self, example: &str) -> Read<&'a str> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.expected("a text", example)),
        }
    }

    /// A text, number or boolean as it would be printed.
    pub(crate) fn scalar(&self, example: &str) -> Read<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            _ => Err(self.expected("a text or a number", example)),
        }
    }

    /// A boolean, with YAML 1.1's words for it (`yes`, `off`), which cloud-init takes.
    pub(crate) fn boolean(&self) -> Read<bool> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok(true),
                "false" | "no" | "off" => Ok(false),
                _ => Err(self.expected("true or false", "true")),
            },
            _ => Err(self.expected("true or false", "true")),
        }
    }

    /// A whole number within a range, also written as text: interpolation makes texts.
    pub(crate) fn integer(&self, range: std::ops::RangeInclusive<u64>) -> Read<u64> {
        let found = match self.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let limits = || match *range.end() {
            u64::MAX => format!("a whole number of at least {}", range.start()),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        found
            .filter(|n| range.contains(n))
            .ok_or_else(|| self.expected(&limits(), &range.start().to_string()))
    }
}

/// What a value is, for people.
fn describe(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > SHOWN => {
            format!("the text {:?}…", text.chars().take(SHOWN).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(tagged) => format!("a value tagged {}", tagged.tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_path_finding_expectation_and_example() {
        let value = crate::yaml::parse(b"users: [{name: 7}]").unwrap();
        let root = Node::new("", &value);
        let (_, users) = root.entries("").unwrap().remove(0);
        let (_, name) = users.items("").unwrap()[0].entries("").unwrap().remove(0);
        let issue = name.text("name: anna").unwrap_err();
        assert_eq!(issue.path, "users[0].name");
        assert_eq!(issue.reason, "expected a text, found the number 7");
        assert_eq!(issue.remedy, "write it like name: anna");
    }

    #[test]
    fn keys_that_are_not_text_are_refused() {
        let value = crate::yaml::parse(b"1: a").unwrap();
        assert!(Node::new("", &value).entries("x").unwrap_err().reason.contains("the number 1"));
    }
}
