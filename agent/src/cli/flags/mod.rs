//! Words and flags: tables that are read to parse arguments, to write help and to complete what is typed.

pub(crate) mod check;
mod given;
pub(crate) mod help;
mod parse;
pub(crate) mod units;

pub(crate) use given::Given;
pub(crate) use parse::{Refusal, before_words, parse};

use crate::cli::Context;
use crate::cli::failure::Outcome;
use std::future::Future;
use std::pin::Pin;

/// What kind of value a flag takes; decides what is refused, and what help calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value, or `=true` and `=false`.
    Bool,
    /// One text; the last one wins.
    Text,
    /// A text that may be left out: `--wait`, `--wait 5m`.
    MaybeText,
    /// Many texts.
    List,
    /// Many texts, also several in one separated by commas.
    Commas,
    /// A signed number of 64 bits.
    Int,
    /// A number of 16 bits.
    Uint16,
    /// A number of 64 bits.
    Uint,
    /// `1.5s`, `2h45m`.
    Duration,
    /// `512m`.
    Bytes,
    /// As `Bytes`, and -1.
    BytesOrUnlimited,
    /// `1.5`.
    Decimal,
}

/// Looks at one value before it is taken.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// A flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    /// What help calls the value; the kind's own word otherwise.
    pub(crate) value: Option<&'static str>,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) check: Option<Check>,
    pub(crate) hidden: bool,
}

/// A flag without a letter.
pub(crate) const fn long(name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { name, short: None, kind, value: None, default: "", help, check: None, hidden: false }
}

/// A flag with a letter.
pub(crate) const fn flag(short: char, name: &'static str, kind: Kind, help: &'static str) -> Flag {
    Flag { short: Some(short), ..long(name, kind, help) }
}

impl Flag {
    /// The value when it is not given.
    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// What help calls the value.
    pub(crate) const fn called(self, value: &'static str) -> Self {
        Self { value: Some(value), ..self }
    }

    /// Values are looked at while they are parsed.
    pub(crate) const fn checked(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }

    /// Taken, but not taught.
    pub(crate) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// As errors name it: `-m, --memory`.
    pub(crate) fn spelled(&self) -> String {
        self.short.map_or_else(|| format!("--{}", self.name), |c| format!("-{c}, --{}", self.name))
    }
}

/// How many arguments a word takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Any,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

impl Count {
    /// What is wrong with a number of arguments, in Docker's words, and the word before the hint to read the help.
    pub(crate) fn refuse(self, given: usize) -> Option<(String, &'static str)> {
        let noun = |n: usize| if n == 1 { "argument" } else { "arguments" };
        match self {
            Self::Exactly(0) if given > 0 => Some(("accepts no arguments".to_owned(), "Run")),
            Self::Exactly(n) if given != n => Some((format!("requires {n} {}", noun(n)), "Run")),
            Self::AtLeast(n) if given < n => Some((format!("requires at least {n} {}", noun(n)), "See")),
            Self::AtMost(n) if given > n => Some((format!("requires at most {n} {}", noun(n)), "Run")),
            Self::Between(least, most) if !(least..=most).contains(&given) => {
                Some((format!("requires at least {least} and at most {most} {}", noun(most)), "Run"))
            }
            _ => None,
        }
    }
}

/// What the arguments of a word name; shells complete them by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Nothing,
    Files,
    Containers,
    RunningContainers,
    Images,
    Volumes,
    Networks,
    Anything,
}

/// Does what a word says.
pub(crate) type Act = for<'a> fn(&'a Context, &'a Given) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A word that does something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// What follows the word itself, one line each way to use it.
    pub(crate) usage: &'static [&'static str],
    pub(crate) about: &'static str,
    /// More help, after the first line.
    pub(crate) more: &'static str,
    /// All its spellings, if there are several.
    pub(crate) aliases: &'static [&'static str],
    pub(crate) flags: &'static [&'static [Flag]],
    pub(crate) count: Count,
    pub(crate) names: Names,
    /// Whether flags may follow arguments.
    pub(crate) interspersed: bool,
    pub(crate) act: Act,
}

impl Word {
    /// Every flag.
    pub(crate) fn every_flag(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().flat_map(|part| part.iter())
    }
}

/// A family of words, or a word.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    Word(&'static Word),
    Family(&'static Family),
}

/// Words that are said after another.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) about: &'static str,
    /// What stands after its name where a word of it is not known; Docker is not the same for all.
    pub(crate) usage: &'static str,
    pub(crate) words: &'static [(&'static str, Entry)],
    /// Other spellings of its words, which help does not list.
    pub(crate) aliases: &'static [(&'static str, &'static str)],
}

impl Family {
    /// The entry of that name or spelling.
    pub(crate) fn find(&self, name: &str) -> Option<(&'static str, Entry)> {
        let name = self.aliases.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, word)| word);
        self.words.iter().find(|(word, _)| *word == name).copied()
    }
}
