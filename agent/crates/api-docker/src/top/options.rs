//! The options of `ps` that choose columns. Those that choose processes mean nothing here: they are the container's.

use super::column::{Column, by_name};

const FULL: &[&str] = &["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
const EXTRA_FULL: &[&str] = &["UID", "PID", "PPID", "C", "SZ", "RSS", "PSR", "STIME", "TTY", "TIME", "CMD"];
const LONG: &[&str] =
    &["F", "S", "UID=n", "PID", "PPID", "C", "PRI", "NI", "ADDR", "SZ", "WCHAN", "TTY", "TIME", "COMM"];
const PLAIN: &[&str] = &["PID", "TTY", "TIME", "COMM"];
const USER: &[&str] =
    &["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "BSDTIME", "COMMAND"];
const BSD: &[&str] = &["PID", "TTY", "STAT", "BSDTIME", "COMMAND"];
const JOBS: &[&str] = &["PID", "PGID", "SID", "TTY", "TIME", "COMM"];

/// Titles and columns in order.
pub(super) type Columns = Vec<(String, Column)>;

fn of(names: &[&str]) -> Columns {
    names.iter().filter_map(|name| by_name(name)).map(|(title, column)| (title.to_owned(), column)).collect()
}

/// Which format was chosen last.
#[derive(Debug, Default)]
struct Chosen {
    format: Option<&'static [&'static str]>,
    own: Columns,
    threads: bool,
}

/// Reads options like `-ef`, `aux`, `-o pid,cmd`, `-eo pid=ID,comm`. Errors have the words of ps.
pub(super) fn columns(text: &str) -> Result<Columns, String> {
    let mut chosen = Chosen::default();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            Some(long) => match long.split_once('=') {
                Some(("format", list)) => own(list, &mut chosen.own)?,
                Some(("sort" | "cols" | "columns" | "width" | "rows" | "lines" | "pid" | "ppid", _)) => {}
                None if long == "format" => own(words.next().unwrap_or_default(), &mut chosen.own)?,
                None if matches!(long, "forest" | "headers" | "no-headers" | "deselect") => {}
                _ => return Err("ps: error: unknown gnu long option".to_owned()),
            },
            None => match word.strip_prefix('-') {
                Some(letters) => unix(letters, &mut words, &mut chosen)?,
                None => bsd(word, &mut words, &mut chosen)?,
            },
        }
    }
    if chosen.threads {
        return Err("ps: error: threads are not shown".to_owned());
    }
    if !chosen.own.is_empty() {
        return Ok(chosen.own);
    }
    Ok(of(chosen.format.unwrap_or(PLAIN)))
}

/// The rest of the word, or the next one.
fn argument<'a>(rest: &'a str, words: &mut impl Iterator<Item = &'a str>) -> &'a str {
    if rest.is_empty() { words.next().unwrap_or_default() } else { rest }
}

fn unix<'a>(
    letters: &'a str,
    words: &mut impl Iterator<Item = &'a str>,
    chosen: &mut Chosen,
) -> Result<(), String> {
    for (at, letter) in letters.char_indices() {
        let rest = &letters[at + letter.len_utf8()..];
        match letter {
            'f' => chosen.format = Some(if chosen.format == Some(LONG) { LONG } else { FULL }),
            'F' => chosen.format = Some(EXTRA_FULL),
            'l' => chosen.format = Some(LONG),
            'j' => chosen.format = Some(JOBS),
            'e' | 'A' | 'a' | 'd' | 'x' | 'w' | 'H' | 'y' | 'c' | 'N' => {}
            'L' | 'T' | 'm' => chosen.threads = true,
            'o' | 'O' => {
                if letter == 'O' {
                    chosen.own.extend(of(&["PID"]));
                }
                own(argument(rest, words), &mut chosen.own)?;
                return Ok(());
            }
            'p' | 'q' | 'u' | 'U' | 'g' | 'G' | 't' | 's' | 'C' | 'n' => {
                argument(rest, words);
                return Ok(());
            }
            _ => return Err("ps: error: unsupported SysV option".to_owned()),
        }
    }
    Ok(())
}

fn bsd<'a>(
    letters: &'a str,
    words: &mut impl Iterator<Item = &'a str>,
    chosen: &mut Chosen,
) -> Result<(), String> {
    chosen.format.get_or_insert(BSD);
    for (at, letter) in letters.char_indices() {
        let rest = &letters[at + letter.len_utf8()..];
        match letter {
            'u' => chosen.format = Some(USER),
            'l' => chosen.format = Some(LONG),
            'j' => chosen.format = Some(JOBS),
            'a' | 'x' | 'r' | 'w' | 'e' | 'f' | 'c' | 'g' | 'h' | 'n' | 'S' | 'T' => {}
            'm' | 'H' => chosen.threads = true,
            'o' => {
                own(argument(rest, words), &mut chosen.own)?;
                return Ok(());
            }
            '0'..='9' => return Ok(()),
            _ => return Err("ps: error: unsupported option (BSD syntax)".to_owned()),
        }
    }
    Ok(())
}

/// `pid,cmd`; `pid=ID` is the last of its list and has that title.
fn own(list: &str, columns: &mut Columns) -> Result<(), String> {
    let unknown = |name: &str| format!("ps: error: unknown user-defined format specifier \"{name}\"");
    let (plain, title) = match list.split_once('=') {
        Some((plain, title)) => (plain, Some(title)),
        None => (list, None),
    };
    let names: Vec<&str> = plain.split([',', ' ']).filter(|n| !n.is_empty()).collect();
    if names.is_empty() {
        return Err("ps: error: empty format list".to_owned());
    }
    for (index, name) in names.iter().enumerate() {
        // Widths are a terminal's matter.
        let bare = name.split_once(':').map_or(*name, |(bare, _)| bare);
        let (usual, column) = by_name(bare)
            .filter(|_| bare.bytes().all(|b| !b.is_ascii_uppercase()))
            .ok_or_else(|| unknown(name))?;
        let shown = match title {
            Some(title) if index + 1 == names.len() => title.to_owned(),
            _ => usual.to_owned(),
        };
        columns.push((shown, column));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(text: &str) -> Result<String, String> {
        columns(text).map(|c| c.into_iter().map(|(title, _)| title).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn formats_are_those_of_ps() {
        for (text, expected) in [
            ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
            ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            ("u", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            ("-F", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD"),
            ("-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"),
            ("-o pid,cmd", "PID CMD"),
            ("axo pid,user,args", "PID USER COMMAND"),
            ("-eo pid,comm=NAME", "PID NAME"),
            ("-e -o pid -o comm", "PID COMMAND"),
            ("-e", "PID TTY TIME CMD"),
            ("ax", "PID TTY STAT TIME COMMAND"),
        ] {
            assert_eq!(titles(text), Ok(expected.to_owned()), "{text}");
        }
        for (text, words) in [
            ("-o pid,bogus", "ps: error: unknown user-defined format specifier \"bogus\""),
            ("-bogus", "ps: error: unsupported SysV option"),
            ("--bogus", "ps: error: unknown gnu long option"),
            ("-o", "ps: error: empty format list"),
        ] {
            assert_eq!(titles(text), Err(words.to_owned()), "{text}");
        }
    }
}
