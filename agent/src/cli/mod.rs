//! The command line: arguments in, requests over the socket, text out. Decides nothing about the host.

mod archives;
mod attach;
mod client;
mod commit;
mod completion;
mod config;
mod connection;
mod copy;
mod create;
mod credentials;
mod df;
mod events;
mod exec;
mod failure;
mod flags;
mod history;
mod human;
mod images;
mod info;
mod inspect;
mod json;
mod lifecycle;
mod login;
mod logs;
mod look;
mod networks;
mod progress;
mod prune;
mod ps;
mod query;
mod reference;
mod rows;
mod run;
mod search;
mod start;
mod stats;
mod status;
mod stream;
mod system;
mod table;
mod template;
mod terminal;
mod tls;
mod transfer;
mod update;
mod version;
mod volumes;
mod words;

use client::Client;
use config::Config;
use failure::{Failure, Outcome};
use flags::{Entry, Given, Refusal, Word, help};
use std::io::Write as _;
use std::process::ExitCode;
use words::root;

/// What this program calls itself: what it was called by, if that is one of its names. A script that calls a link to it
/// `docker` reads what it expects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program;

/// The one program there is.
pub(crate) const PROGRAM: Program = Program;

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let called = std::env::args_os().next().map(std::path::PathBuf::from);
        let is_docker = called.is_some_and(|path| path.file_name().is_some_and(|name| name == "docker"));
        f.write_str(if is_docker { "docker" } else { "hull" })
    }
}

/// Exit code for flags that make no sense, as Docker's.
const USAGE: i32 = 125;

/// What every word has to do its work with.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) config: Config,
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let code = dispatch(&arguments).unwrap_or_else(|failure| {
        failure.tell();
        failure.code
    });
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}

/// Text on standard output, and success.
pub(crate) fn say(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(0)
}

fn dispatch(arguments: &[String]) -> Outcome {
    let mut global = Given::of(root::GLOBAL);
    match flags::before_words(&mut global, arguments) {
        Ok(()) => {}
        Err(Refusal::Help) => return say(&root::overview(help::width())),
        Err(Refusal::Flag(why)) => return Err(misused(&why, "[OPTIONS] COMMAND [ARG...]", "")),
    }
    if global.on("version") {
        return say(&format!("Hull version {}\n", env!("CARGO_PKG_VERSION")));
    }
    let words = std::mem::take(&mut global.args);
    let Some(first) = words.first() else { return say(&root::overview(help::width())) };
    match first.as_str() {
        "help" => return topic(&words[1..]),
        "__complete" => return act(&global, async |context| completion::answer(context, &words[1..]).await),
        _ => {}
    }
    let Some((entry, used)) = words::walk(&words) else { return Err(unknown(first)) };
    let path = words[..used].join(" ");
    match entry {
        Entry::Family(family) => match words.get(used).map(String::as_str) {
            None | Some("--help" | "-h") => say(&help::family(family, &path)),
            Some(flag) if flag.starts_with('-') => {
                Err(misused(&format!("unknown flag: {flag}"), &format!("{path} COMMAND"), &path))
            }
            Some(word) => Err(Failure::new(format!(
                "{PROGRAM}: unknown command: {PROGRAM} {path} {word}\n\n\
                 Usage:  {PROGRAM} {path}{}\n\nRun '{PROGRAM} {path} --help' for more information",
                family.usage
            ))),
        },
        Entry::Word(word) => say_word(word, &path, &words[used..], &global),
    }
}

fn say_word(word: &Word, path: &str, arguments: &[String], global: &Given) -> Outcome {
    let given = match flags::parse(word, path, arguments) {
        Ok(given) if given.on("help") => return say(&help::word(word, path)),
        Ok(given) => given,
        Err(Refusal::Help) => return say(&help::word(word, path)),
        Err(Refusal::Flag(why)) => {
            let usage = help::usage(word, path);
            let more = format!("{why}\n\n{usage}\n\nRun '{PROGRAM} {path} --help' for more information");
            return Err(Failure { code: USAGE, ..Failure::new(more) });
        }
    };
    if let Some((why, verb)) = word.count.refuse(given.args.len()) {
        let usage = help::usage(word, path);
        return Err(Failure::new(format!(
            "{PROGRAM}: '{PROGRAM} {path}' {why}\n\n{usage}\n\n{verb} '{PROGRAM} {path} --help' for more information"
        )));
    }
    act(global, async |context| (word.act)(context, &given).await)
}

/// Does something with a connection at hand.
fn act(global: &Given, what: impl AsyncFnOnce(&Context) -> Outcome) -> Outcome {
    let config = Config::load(global.some("config"))?;
    let client = Client::new(connection::Endpoint::choose(global, &config.folder)?);
    let context = Context { client, config };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(format!("{PROGRAM}: the kernel refuses an event queue: {e}")))?;
    let outcome = runtime.block_on(what(&context));
    // A thread may still be reading the terminal, and must not keep us.
    runtime.shutdown_background();
    outcome
}

fn misused(why: &str, usage: &str, path: &str) -> Failure {
    let name = format!("{PROGRAM} {path}");
    let name = name.trim_end();
    let message = format!("{why}\n\nUsage:  {PROGRAM} {usage}\n\nRun '{name} --help' for more information");
    Failure { code: USAGE, ..Failure::new(message) }
}

fn unknown(word: &str) -> Failure {
    if let Some(sentence) = root::elsewhere(word) {
        return Failure::new(sentence);
    }
    Failure::new(format!(
        "{PROGRAM}: unknown command: {PROGRAM} {word}\n\nRun '{PROGRAM} --help' for more information"
    ))
}

fn topic(words: &[String]) -> Outcome {
    if words.is_empty() {
        return say(&root::overview(help::width()));
    }
    match words::walk(words) {
        Some((Entry::Word(word), used)) if used == words.len() => say(&help::word(word, &words.join(" "))),
        Some((Entry::Family(family), used)) if used == words.len() => {
            say(&help::family(family, &words.join(" ")))
        }
        _ => Err(Failure::new(format!("unknown help topic: {}", words.join(" ")))),
    }
}

/// The error of a request for one of several objects; the others are still tried.
fn report(failed: &mut Option<Failure>, failure: Failure) {
    if let Some(earlier) = failed.replace(failure) {
        eprintln!("{}", earlier.message);
    }
}
