//! What was given on the command line.

use super::{Flag, Kind};

/// The values of flags, in the order in which they came, and the arguments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// The words that were said, without the program: `container run`.
    pub(crate) path: String,
    pub(crate) args: Vec<String>,
    known: Vec<&'static Flag>,
    values: Vec<(&'static str, String)>,
}

impl Given {
    pub(super) fn new(path: &str, known: Vec<&'static Flag>) -> Self {
        Self { path: path.to_owned(), known, ..Self::default() }
    }

    /// Nothing yet, of flags that stand before words.
    pub(crate) fn of(flags: &'static [Flag]) -> Self {
        Self::new("", flags.iter().collect())
    }

    pub(super) fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.known.iter().find(|f| f.name == name).copied()
    }

    pub(super) fn shorthand(&self, letter: char) -> Option<&'static Flag> {
        self.known.iter().find(|f| f.short == Some(letter)).copied()
    }

    pub(super) fn push(&mut self, flag: &'static Flag, value: &str) {
        if flag.kind == Kind::Commas {
            self.values.extend(value.split(',').map(|part| (flag.name, part.to_owned())));
        } else {
            self.values.push((flag.name, value.to_owned()));
        }
    }

    /// Whether a flag was given at all.
    pub(crate) fn changed(&self, name: &str) -> bool {
        self.values.iter().any(|(n, _)| *n == name)
    }

    /// How many different flags were given.
    pub(crate) fn is_bare(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a flag, or its default.
    pub(crate) fn text(&self, name: &str) -> &str {
        let given = self.values.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        given.unwrap_or_else(|| self.flag(name).map_or("", |f| f.default))
    }

    /// The value of a flag; `None` if it was not given, or is empty.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// All values of a flag.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.values.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// Whether a flag is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        super::check::boolean(self.text(name)).unwrap_or(false)
    }

    /// A number; zero if there is none. Parsing has refused what is none.
    pub(crate) fn number(&self, name: &str) -> i64 {
        super::check::integer(self.text(name)).unwrap_or(0)
    }

    /// A size in bytes; zero if there is none.
    pub(crate) fn bytes(&self, name: &str) -> i64 {
        match self.text(name) {
            "" => 0,
            "-1" => -1,
            text => super::units::size(text).unwrap_or(0),
        }
    }

    /// A duration in nanoseconds; zero if there is none.
    pub(crate) fn nanoseconds(&self, name: &str) -> i64 {
        super::units::duration(self.text(name)).unwrap_or(0)
    }

    /// The first argument; empty if there is none.
    pub(crate) fn first(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// The second argument, if there is one.
    pub(crate) fn second(&self) -> Option<&str> {
        self.args.get(1).map(String::as_str)
    }
}
