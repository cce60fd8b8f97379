//! Words about the host and the agent.

use super::{FILTER, LIST_FORMAT, ONE_FORMAT, PRUNE_FILTER, WORD, YES, act};
use crate::cli::flags::Count::{Any, AtLeast, AtMost, Exactly};
use crate::cli::flags::{Entry, Family, Flag, Kind, Names, Word, flag, long};
use crate::cli::{completion, df, events, info, inspect, login, prune, status, system, version};

/// `system …`
pub(crate) const FAMILY: Family = Family {
    about: "Look after the agent and its disk",
    usage: "",
    aliases: &[],
    words: &[
        ("check", Entry::Word(&CHECK)),
        ("df", Entry::Word(&DF)),
        ("events", Entry::Word(&EVENTS)),
        ("info", Entry::Word(&INFO)),
        ("prune", Entry::Word(&PRUNE)),
        ("reset", Entry::Word(&RESET)),
    ],
};

pub(crate) const STATUS: Word = Word {
    about: "Show what the host should be, what it is, and what is being done about it",
    more: "Exit code: 0, unless --check or --wait is given and the host is not ready: then 1.",
    flags: &[&[
        long("check", Kind::Bool, "Exit with 1 if the host is not ready"),
        long("format", Kind::Text, "text or json").default("text"),
        flag('w', "watch", Kind::Bool, "Show the status again whenever it changes"),
        long("wait", Kind::MaybeText, "Come back when the host is ready, or after a limit like 90s or 5m"),
    ]],
    count: Exactly(0),
    act: act!(status::run),
    ..WORD
};

const CHECK: Word = Word {
    about: "Look for what nothing owns or what is damaged on disk",
    more: "Exit code: 0 if nothing is wrong, or if all of it was repaired; otherwise 1.",
    flags: &[&[
        long("format", Kind::Text, "text or json").default("text"),
        long("repair", Kind::Bool, "Remove what nothing owns, and put right what can be"),
    ]],
    count: Exactly(0),
    act: act!(system::check),
    ..WORD
};

const RESET: Word = Word {
    about: "End every container, remove every network, interface and rule that the agent made, and end the agent",
    more: "Images and volumes stay on disk.",
    flags: &[&[YES]],
    count: Exactly(0),
    act: act!(system::reset),
    ..WORD
};

const DF: Word = Word {
    about: "Show what takes how much disk",
    flags: &[&[LIST_FORMAT, flag('v', "verbose", Kind::Bool, "Everything one by one")]],
    count: Exactly(0),
    act: act!(df::run),
    ..WORD
};

const PRUNE: Word = Word {
    about: "Remove what nothing uses",
    flags: &[&[
        flag('a', "all", Kind::Bool, "Also images that have a name"),
        PRUNE_FILTER,
        YES,
        long("volumes", Kind::Bool, "Also anonymous volumes"),
    ]],
    count: Exactly(0),
    act: act!(prune::system),
    ..WORD
};

pub(crate) const EVENTS: Word = Word {
    about: "Show what happens, as it happens",
    aliases: &["system events", "events"],
    flags: &[&[
        FILTER,
        long("format", Kind::Text, "json, or a Go template"),
        long("since", Kind::Text, "Begin with what happened after a time"),
        long("until", Kind::Text, "End at a time"),
    ]],
    count: Exactly(0),
    act: act!(events::run),
    ..WORD
};

pub(crate) const INFO: Word = Word {
    about: "Show what the agent knows of the host",
    aliases: &["system info", "info"],
    flags: &[&[ONE_FORMAT]],
    count: Exactly(0),
    act: act!(info::run),
    ..WORD
};

pub(crate) const VERSION: Word = Word {
    about: "Show the versions of this program and of the agent",
    flags: &[&[ONE_FORMAT]],
    count: Exactly(0),
    act: act!(version::run),
    ..WORD
};

pub(crate) const INSPECT: Word = Word {
    usage: &["[OPTIONS] NAME|ID [NAME|ID...]"],
    about: "Show everything about containers, images, networks or volumes",
    flags: &[&[
        ONE_FORMAT,
        flag('s', "size", Kind::Bool, "Also how much disk containers take"),
        long("type", Kind::Text, "Only objects of this type"),
    ]],
    count: AtLeast(1),
    names: Names::Anything,
    act: act!(inspect::run),
    ..WORD
};

const CREDENTIALS: &[Flag] = &[
    flag('p', "password", Kind::Text, "Password or token"),
    long("password-stdin", Kind::Bool, "Read the password from standard input"),
    flag('u', "username", Kind::Text, "User name"),
];

pub(crate) const LOGIN: Word = Word {
    usage: &["[OPTIONS] [SERVER]"],
    about: "Keep credentials for a registry",
    flags: &[CREDENTIALS],
    count: AtMost(1),
    act: act!(login::login),
    ..WORD
};

pub(crate) const LOGOUT: Word = Word {
    usage: &["[SERVER]"],
    about: "Forget credentials for a registry",
    count: AtMost(1),
    act: act!(login::logout),
    ..WORD
};

pub(crate) const BUILD: Word = Word {
    usage: &["[OPTIONS] PATH | URL | -"],
    about: "Build an image; not yet",
    count: Any,
    interspersed: false,
    act: act!(system::build),
    ..WORD
};

pub(crate) const COMPLETION: Word = Word {
    usage: &["bash|zsh|fish"],
    about: "Print a script that completes words, names and flags in a shell",
    more: "Example:\n  source <(hull completion bash)",
    count: Exactly(1),
    act: act!(completion::script),
    ..WORD
};
