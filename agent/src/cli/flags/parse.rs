//! Arguments to values, by the rules that Docker's own command line follows.

use super::{Flag, Given, Kind, Word, check, units};

/// Why arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Help was asked for.
    Help,
    /// A sentence about a flag.
    Flag(String),
}

/// Reads the arguments of a word. `path` is how it was called.
pub(crate) fn parse(word: &Word, path: &str, arguments: &[String]) -> Result<Given, Refusal> {
    let mut given = Given::new(path, word.every_flag().collect());
    flags(&mut given, arguments, word.interspersed)?;
    Ok(given)
}

/// Reads the flags before the first word; the words become arguments.
pub(crate) fn before_words(given: &mut Given, arguments: &[String]) -> Result<(), Refusal> {
    flags(given, arguments, false)
}

/// Reads flags into what is given; what is no flag becomes an argument. Without `interspersed` the first argument ends the flags.
fn flags(given: &mut Given, arguments: &[String], interspersed: bool) -> Result<(), Refusal> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            given.args.extend(rest.cloned());
            return Ok(());
        }
        if let Some(long) = argument.strip_prefix("--") {
            long_flag(given, long, &mut rest)?;
        } else if argument.len() > 1 && argument.starts_with('-') {
            letters(given, &argument[1..], &mut rest)?;
        } else {
            given.args.push(argument.clone());
            if !interspersed {
                given.args.extend(rest.cloned());
                return Ok(());
            }
        }
    }
    Ok(())
}

fn long_flag(given: &mut Given, text: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), Refusal> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if name.is_empty() || name.starts_with('-') {
        return Err(Refusal::Flag(format!("bad flag syntax: --{text}")));
    }
    let Some(flag) = given.flag(name) else {
        return Err(if name == "help" {
            Refusal::Help
        } else {
            Refusal::Flag(format!("unknown flag: --{name}"))
        });
    };
    match (value, flag.kind) {
        (Some(value), _) => set(given, flag, value),
        (None, Kind::Bool) => set(given, flag, "true"),
        (None, Kind::MaybeText) => match rest.as_slice().first().filter(|next| !next.starts_with('-')) {
            Some(value) => {
                rest.next();
                set(given, flag, value)
            }
            None => set(given, flag, ""),
        },
        (None, _) => match rest.next() {
            Some(value) => set(given, flag, value),
            None => Err(Refusal::Flag(format!("flag needs an argument: --{name}"))),
        },
    }
}

fn letters(given: &mut Given, text: &str, rest: &mut std::slice::Iter<'_, String>) -> Result<(), Refusal> {
    let mut left = text;
    while let Some(letter) = left.chars().next() {
        let after = &left[letter.len_utf8()..];
        let Some(flag) = given.shorthand(letter) else {
            return Err(match letter {
                'h' => Refusal::Help,
                _ => Refusal::Flag(format!("unknown shorthand flag: {letter:?} in -{left}")),
            });
        };
        if let Some(value) = after.strip_prefix('=') {
            return set(given, flag, value);
        }
        if flag.kind == Kind::Bool {
            set(given, flag, "true")?;
            left = after;
            continue;
        }
        if !after.is_empty() {
            return set(given, flag, after);
        }
        return match rest.next() {
            Some(value) => set(given, flag, value),
            None => Err(Refusal::Flag(format!("flag needs an argument: {letter:?} in -{left}"))),
        };
    }
    Ok(())
}

fn set(given: &mut Given, flag: &'static Flag, value: &str) -> Result<(), Refusal> {
    let right = match flag.kind {
        Kind::Bool => check::boolean(value).map(drop),
        Kind::Int => check::integer(value).map(drop),
        Kind::Uint => check::unsigned(value, u64::MAX).map(drop),
        Kind::Uint16 => check::unsigned(value, u16::MAX.into()).map(drop),
        Kind::Duration => units::duration(value).map(drop),
        Kind::Bytes => units::size(value).map(drop),
        Kind::BytesOrUnlimited if value == "-1" => Ok(()),
        Kind::BytesOrUnlimited => units::size(value).map(drop),
        Kind::Decimal => units::nano_cpus(value).map(drop),
        Kind::Text | Kind::MaybeText | Kind::List | Kind::Commas => Ok(()),
    };
    let refuse =
        |why| Refusal::Flag(format!("invalid argument {value:?} for {:?} flag: {why}", flag.spelled()));
    right.map_err(refuse)?;
    if let Some(check) = flag.check {
        check(value).map_err(refuse)?;
    }
    given.push(flag, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::words::find;

    fn read(line: &str) -> Result<Given, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let word = find(&words[0]).unwrap();
        parse(word, &words[0], &words[1..]).map_err(|refusal| match refusal {
            Refusal::Help => "help".to_owned(),
            Refusal::Flag(text) => text,
        })
    }

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        let run = read("run -itd --rm=false --name=a -eA=b -e C -p=80:80 busybox -x --rm").unwrap();
        assert!(run.on("interactive") && run.on("tty") && run.on("detach") && !run.on("rm"));
        assert_eq!((run.text("name"), run.list("env")), ("a", vec!["A=b", "C"]));
        assert_eq!(run.list("publish"), ["80:80"]);
        assert_eq!(run.args, ["busybox", "-x", "--rm"]);
        let rm = read("rm a -f -- -v").unwrap();
        assert!(rm.on("force") && !rm.on("volumes"));
        assert_eq!(rm.args, ["a", "-v"]);
        assert_eq!(read("ps -n 3 -q").unwrap().number("last"), 3);
        assert!(read("run x").unwrap().on("sig-proxy"), "a default may be true");
        assert_eq!(read("images -").unwrap().args, ["-"]);
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        let rows = [
            ("run --nope x", "unknown flag: --nope"),
            ("run -Q x", "unknown shorthand flag: 'Q' in -Q"),
            ("run -itQ x", "unknown shorthand flag: 'Q' in -Q"),
            ("run --name", "flag needs an argument: --name"),
            ("run -e", "flag needs an argument: 'e' in -e"),
            (
                "run --rm=foo x",
                r#"invalid argument "foo" for "--rm" flag: strconv.ParseBool: parsing "foo": invalid syntax"#,
            ),
            (
                "run -c abc x",
                r#"invalid argument "abc" for "-c, --cpu-shares" flag: strconv.ParseInt: parsing "abc": invalid syntax"#,
            ),
            ("run -m abc x", r#"invalid argument "abc" for "-m, --memory" flag: invalid size: 'abc'"#),
            (
                "run --health-interval abc x",
                r#"invalid argument "abc" for "--health-interval" flag: time: invalid duration "abc""#,
            ),
            (
                "ps -f foo",
                r#"invalid argument "foo" for "-f, --filter" flag: bad format of filter (expected name=value)"#,
            ),
            (
                "run --attach foo x",
                r#"invalid argument "foo" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR"#,
            ),
            ("ps --help", "help"),
        ];
        for (line, wanted) in rows {
            assert_eq!(read(line).unwrap_err(), wanted, "{line}");
        }
    }
}
