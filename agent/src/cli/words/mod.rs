//! Every word of the command line, with its flags and what it does.

mod containers;
mod images;
mod objects;
pub(crate) mod root;
mod run;
mod system;

use crate::cli::flags::{Entry, Flag, Kind, Word, flag, long};

/// A word that does something with a function of ours.
macro_rules! act {
    ($function:path) => {
        |context, given| Box::pin($function(context, given))
    };
}
pub(crate) use act;

/// What most words have in common.
pub(crate) const WORD: Word = Word {
    usage: &["[OPTIONS]"],
    about: "",
    more: "",
    aliases: &[],
    flags: &[],
    count: crate::cli::flags::Count::Any,
    names: crate::cli::flags::Names::Nothing,
    interspersed: true,
    act: |_, _| Box::pin(async { Ok(0) }),
};

const TEMPLATE: &str = "Shape of the output:\n\
    'json':             JSON\n\
    'TEMPLATE':         a Go template";
const LIST_TEMPLATE: &str = "Shape of the output:\n\
    'table':            columns with heads (default)\n\
    'table TEMPLATE':   columns of a Go template\n\
    'json':             a JSON object on each line\n\
    'TEMPLATE':         a Go template for each line";

/// `--format` of a list.
const LIST_FORMAT: Flag = long("format", Kind::Text, LIST_TEMPLATE);
/// `-f, --format` of one thing.
const ONE_FORMAT: Flag = flag('f', "format", Kind::Text, TEMPLATE);
/// `-f, --filter`
const FILTER: Flag = flag('f', "filter", Kind::List, "Only what matches, like KEY=VALUE")
    .called("filter")
    .checked(crate::cli::flags::check::filter);
/// `--filter` where `-f` means force.
const PRUNE_FILTER: Flag = long("filter", Kind::List, "Only what matches, like until=24h or label=KEY")
    .called("filter")
    .checked(crate::cli::flags::check::filter);
/// `-f, --force` that answers a question.
const YES: Flag = flag('f', "force", Kind::Bool, "Do not ask first");
/// `--detach-keys`
const DETACH_KEYS: Flag =
    long("detach-keys", Kind::Text, "Keys that leave the container running, when typed in a row");
/// Signatures of Docker's own are not looked at; the flag is taken because scripts give it.
const NO_TRUST: Flag =
    long("disable-content-trust", Kind::Bool, "Do not verify the image").default("true").hidden();
/// `--platform`
const PLATFORM: Flag =
    long("platform", Kind::Text, "Platform of the image, like linux/arm64, where there are several");

/// The entry that a path of words leads to, and how many words of it were used.
pub(crate) fn walk(words: &[String]) -> Option<(Entry, usize)> {
    let (_, mut entry) = root::find(words.first()?)?;
    let mut used = 1;
    while let Entry::Family(family) = entry {
        match words.get(used).and_then(|word| family.find(word)) {
            Some((_, next)) => {
                entry = next;
                used += 1;
            }
            None => break,
        }
    }
    Some((entry, used))
}

/// A word that is said first.
#[cfg(test)]
pub(crate) fn find(name: &str) -> Option<&'static Word> {
    match root::find(name)?.1 {
        Entry::Word(word) => Some(word),
        Entry::Family(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Family;

    fn each(prefix: &str, family: &'static Family, look: &mut impl FnMut(String, &'static Word)) {
        for (name, entry) in family.words {
            match entry {
                Entry::Word(word) => look(format!("{prefix}{name}"), word),
                Entry::Family(inner) => each(&format!("{prefix}{name} "), inner, look),
            }
        }
    }

    #[test]
    fn every_word_has_a_sentence_and_no_flag_twice() {
        let mut look = |path: String, word: &'static Word| {
            assert!(!word.about.is_empty(), "{path}");
            let flags: Vec<&Flag> = word.every_flag().collect();
            for (index, flag) in flags.iter().enumerate() {
                assert!(flag.hidden || !flag.help.is_empty(), "{path} --{}", flag.name);
                let twin = |other: &&&Flag| {
                    other.name == flag.name || (other.short.is_some() && other.short == flag.short)
                };
                assert!(flags[index + 1..].iter().find(twin).is_none(), "{path} --{}", flag.name);
            }
        };
        for section in root::SECTIONS {
            each("", section.1, &mut look);
        }
    }

    #[test]
    fn words_are_found_by_every_spelling() {
        for path in
            ["run", "container run", "container ps", "image rm", "image remove", "volume list", "system df"]
        {
            let words: Vec<String> = path.split(' ').map(str::to_owned).collect();
            assert!(matches!(walk(&words), Some((Entry::Word(_), used)) if used == words.len()), "{path}");
        }
        assert!(walk(&["nope".to_owned()]).is_none());
    }
}
