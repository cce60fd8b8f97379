//! Help as Docker lays it out.

use super::{Entry, Family, Flag, Kind, Word};
use std::fmt::Write as _;

/// Width of help where there is no terminal.
const WIDTH: usize = 80;
/// Lines end this far before the margin if that saves a broken word.
const SLOP: usize = 5;
/// Text narrower than this is not broken.
const NARROWEST: usize = 24;

/// Columns of the terminal that help is written to.
pub(crate) fn width() -> usize {
    crate::cli::terminal::size().map_or(WIDTH, |(_, columns)| usize::from(columns).max(1)) - 1
}

/// The first lines: how the word is used.
pub(crate) fn usage(word: &Word, path: &str) -> String {
    let program = crate::cli::PROGRAM;
    let line = |usage: &&str| format!("{program} {path} {usage}").trim_end().to_owned();
    format!("Usage:  {}", word.usage.iter().map(line).collect::<Vec<_>>().join("\n\t"))
}

/// All about a word.
pub(crate) fn word(word: &Word, path: &str) -> String {
    let mut text = format!("{}\n\n{}\n", usage(word, path), word.about);
    if !word.more.is_empty() {
        _ = writeln!(text, "\n{}", word.more);
    }
    if !word.aliases.is_empty() {
        let names = word.aliases.iter().map(|alias| format!("{} {alias}", crate::cli::PROGRAM));
        _ = writeln!(text, "\nAliases:\n  {}", names.collect::<Vec<_>>().join(", "));
    }
    if word.every_flag().any(|f| !f.hidden) {
        _ = write!(text, "\nOptions:\n{}", flags(word.every_flag(), width()));
    }
    text
}

/// The words of a family.
pub(crate) fn family(family: &Family, path: &str) -> String {
    let program = crate::cli::PROGRAM;
    let mut text = format!("Usage:  {program} {path} COMMAND\n\n{}\n\nCommands:\n", family.about);
    for (name, entry) in family.words {
        _ = writeln!(text, "  {name:<11} {}", about(entry));
    }
    text + &format!("\nRun '{program} {path} COMMAND --help' for more information on a command.\n")
}

/// One line about a word or a family.
pub(crate) fn about(entry: &Entry) -> &'static str {
    match entry {
        Entry::Word(word) => word.about,
        Entry::Family(family) => family.about,
    }
}

/// The table of flags, sorted by name.
pub(crate) fn flags(flags: impl Iterator<Item = &'static Flag>, width: usize) -> String {
    let mut shown: Vec<&Flag> = flags.filter(|f| !f.hidden).collect();
    shown.sort_by_key(|f| f.name);
    let heads: Vec<String> = shown.iter().map(|f| head(f)).collect();
    let column = heads.iter().map(String::len).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for (flag, head) in shown.iter().zip(heads) {
        _ = writeln!(text, "{head:<column$}{}", wrap(column, width, &described(flag)));
    }
    text
}

fn head(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let value = flag.value.unwrap_or(match flag.kind {
        Kind::Bool => "",
        Kind::Text | Kind::MaybeText => "string",
        Kind::List => "list",
        Kind::Commas => "strings",
        Kind::Int => "int",
        Kind::Uint => "uint",
        Kind::Uint16 => "uint16",
        Kind::Duration => "duration",
        Kind::Bytes | Kind::BytesOrUnlimited => "bytes",
        Kind::Decimal => "decimal",
    });
    format!("  {short}--{} {value}", flag.name).trim_end().to_owned()
}

fn described(flag: &Flag) -> String {
    let quoted = matches!(flag.kind, Kind::Text) && !flag.default.starts_with('<');
    match flag.default {
        "" | "false" | "0" => flag.help.to_owned(),
        default if quoted => format!("{} (default {default:?})", flag.help),
        default => format!("{} (default {default})", flag.help),
    }
}

/// Breaks a text so that it stands at a column and ends before a margin.
fn wrap(column: usize, margin: usize, text: &str) -> String {
    let (mut column, mut out) = (column, String::new());
    if margin < column + NARROWEST {
        column = 16;
        out = format!("\n{}", " ".repeat(column));
    }
    let indent = format!("\n{}", " ".repeat(column));
    if margin < column + NARROWEST {
        return out + &text.replace('\n', &indent);
    }
    let room = margin - column - SLOP;
    let mut rest = text;
    loop {
        let (line, after) = split(room, rest);
        out.push_str(&line.replace('\n', &indent));
        if after.is_empty() {
            return out;
        }
        out.push_str(&indent);
        rest = after;
    }
}

fn split(room: usize, text: &str) -> (&str, &str) {
    let breaks = text
        .is_char_boundary(room.min(text.len()))
        .then(|| text.get(..room))
        .flatten()
        .filter(|_| room + SLOP <= text.len())
        .and_then(|head| head.rfind([' ', '\t', '\n']).map(|blank| (head.rfind('\n'), blank)));
    match breaks {
        None | Some((_, 0)) => (text, ""),
        Some((Some(line), blank)) if line > 0 && line < blank => (&text[..line], &text[line + 1..]),
        Some((_, blank)) => (&text[..blank], &text[blank + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::{flag, long};

    #[test]
    fn flags_are_laid_out_as_docker_does() {
        const FLAGS: [Flag; 3] = [
            flag('t', "timeout", Kind::Int, "Seconds to wait before it is killed"),
            long(
                "detach-keys",
                Kind::Text,
                "Keys that leave the container running, when typed one after another",
            ),
            long("sig-proxy", Kind::Bool, "Pass signals on").default("true"),
        ];
        let wanted = "      --detach-keys string   Keys that leave the container running, when
                             typed one after another
      --sig-proxy            Pass signals on (default true)
  -t, --timeout int          Seconds to wait before it is killed
";
        assert_eq!(flags(FLAGS.iter(), 79), wanted);
    }
}
