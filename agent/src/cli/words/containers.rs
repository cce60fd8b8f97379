//! Words about containers.

use super::{DETACH_KEYS, FILTER, LIST_FORMAT, ONE_FORMAT, PRUNE_FILTER, WORD, YES, act, run};
use crate::cli::flags::Count::{AtLeast, Between, Exactly};
use crate::cli::flags::{Count, Entry, Family, Flag, Kind, Names, Word, check, flag, long};
use crate::cli::{
    archives, attach, commit, copy, exec, inspect, lifecycle, logs, look, prune, ps, start, stats,
};

/// `container …`
pub(crate) const FAMILY: Family = Family {
    about: "Look after containers",
    usage: "",
    aliases: &[("list", "ls"), ("ps", "ls"), ("remove", "rm")],
    words: &[
        ("attach", Entry::Word(&ATTACH)),
        ("commit", Entry::Word(&COMMIT)),
        ("cp", Entry::Word(&CP)),
        ("create", Entry::Word(&run::CREATE)),
        ("diff", Entry::Word(&DIFF)),
        ("exec", Entry::Word(&EXEC)),
        ("export", Entry::Word(&EXPORT)),
        ("inspect", Entry::Word(&INSPECT)),
        ("kill", Entry::Word(&KILL)),
        ("logs", Entry::Word(&LOGS)),
        ("ls", Entry::Word(&PS)),
        ("pause", Entry::Word(&PAUSE)),
        ("port", Entry::Word(&PORT)),
        ("prune", Entry::Word(&PRUNE)),
        ("rename", Entry::Word(&RENAME)),
        ("restart", Entry::Word(&RESTART)),
        ("rm", Entry::Word(&RM)),
        ("run", Entry::Word(&run::RUN)),
        ("start", Entry::Word(&START)),
        ("stats", Entry::Word(&STATS)),
        ("stop", Entry::Word(&STOP)),
        ("top", Entry::Word(&TOP)),
        ("unpause", Entry::Word(&UNPAUSE)),
        ("update", Entry::Word(&run::UPDATE)),
        ("wait", Entry::Word(&WAIT)),
    ],
};

const ONE: Word =
    Word { count: Exactly(1), names: Names::Containers, usage: &["[OPTIONS] CONTAINER"], ..WORD };
const SEVERAL: Word = Word { count: AtLeast(1), usage: &["[OPTIONS] CONTAINER [CONTAINER...]"], ..ONE };
const PLAIN: Word = Word { usage: &["CONTAINER [CONTAINER...]"], ..SEVERAL };

pub(crate) const ATTACH: Word = Word {
    about: "Connect this terminal with a running container",
    aliases: &["container attach", "attach"],
    flags: &[&[
        DETACH_KEYS,
        long("no-stdin", Kind::Bool, "Leave standard input alone"),
        long("sig-proxy", Kind::Bool, "Pass signals on to the process").default("true"),
    ]],
    names: Names::RunningContainers,
    act: act!(attach::run),
    ..ONE
};

pub(crate) const COMMIT: Word = Word {
    usage: &["[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"],
    about: "Make an image of a container's files",
    aliases: &["container commit", "commit"],
    flags: &[&[
        flag('a', "author", Kind::Text, "Who made it, like \"Name <name@example.com>\""),
        flag('c', "change", Kind::List, "Apply a Dockerfile instruction to the image"),
        flag('m', "message", Kind::Text, "What was changed"),
        flag('p', "pause", Kind::Bool, "Pause the container meanwhile").default("true"),
    ]],
    count: Between(1, 2),
    act: act!(commit::run),
    ..ONE
};

pub(crate) const CP: Word = Word {
    usage: &["[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-", "[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"],
    about: "Copy files between a container and this machine",
    more: "'-' as the source reads a tar archive from standard input and unpacks it in a folder of the container.\n\
           '-' as the destination writes a tar archive to standard output.",
    aliases: &["container cp", "cp"],
    flags: &[&[
        flag('a', "archive", Kind::Bool, "Keep the user and group of every file"),
        flag('L', "follow-link", Kind::Bool, "Copy what a link at SRC_PATH points to"),
        flag('q', "quiet", Kind::Bool, "Do not say how far it got; so without a terminal, too"),
    ]],
    count: Exactly(2),
    act: act!(copy::run),
    ..ONE
};

pub(crate) const DIFF: Word = Word {
    usage: &["CONTAINER"],
    about: "Show which files of a container were changed",
    aliases: &["container diff", "diff"],
    act: act!(look::diff),
    ..ONE
};

/// Flags that an extra process has in common with a new container.
const PROCESS: &[Flag] = &[
    flag('e', "env", Kind::List, "Set a variable: NAME=VALUE, or NAME as it is here")
        .checked(check::environment),
    long("env-file", Kind::List, "Read variables from a file"),
    flag('i', "interactive", Kind::Bool, "Keep standard input open even if it is not attached"),
    flag('t', "tty", Kind::Bool, "Give it a terminal"),
    flag('u', "user", Kind::Text, "User name or id, with a group if wanted: USER[:GROUP]"),
    flag('w', "workdir", Kind::Text, "Working directory inside"),
];

pub(crate) const EXEC: Word = Word {
    usage: &["[OPTIONS] CONTAINER COMMAND [ARG...]"],
    about: "Run a command in a running container",
    aliases: &["container exec", "exec"],
    flags: &[
        PROCESS,
        &[
            flag('d', "detach", Kind::Bool, "Do not wait for it"),
            DETACH_KEYS,
            long("privileged", Kind::Bool, "Give it every capability"),
        ],
    ],
    count: AtLeast(2),
    names: Names::RunningContainers,
    interspersed: false,
    act: act!(exec::run),
    ..ONE
};

pub(crate) const EXPORT: Word = Word {
    about: "Write a container's files as a tar archive",
    aliases: &["container export", "export"],
    flags: &[&[flag('o', "output", Kind::Text, "Write to a file instead of standard output")]],
    act: act!(archives::export),
    ..ONE
};

const INSPECT: Word = Word {
    about: "Show everything about containers",
    flags: &[&[ONE_FORMAT, flag('s', "size", Kind::Bool, "Also how much disk they take")]],
    act: act!(inspect::container),
    ..SEVERAL
};

pub(crate) const KILL: Word = Word {
    about: "Send a signal to running containers",
    aliases: &["container kill", "kill"],
    flags: &[&[flag('s', "signal", Kind::Text, "The signal, by name or number; KILL if none is named")]],
    names: Names::RunningContainers,
    act: act!(lifecycle::kill),
    ..SEVERAL
};

pub(crate) const LOGS: Word = Word {
    about: "Show the output of a container",
    aliases: &["container logs", "logs"],
    flags: &[&[
        long("details", Kind::Bool, "Also show what the log driver was told to keep"),
        flag('f', "follow", Kind::Bool, "Go on with what comes"),
        long("since", Kind::Text, "Only what came after a time, like 2026-01-31T12:00:00Z or 42m"),
        flag('n', "tail", Kind::Text, "Only the last lines: a number").default("all"),
        flag('t', "timestamps", Kind::Bool, "Show when each line came"),
        long("until", Kind::Text, "Only what came before a time, like 2026-01-31T12:00:00Z or 42m"),
    ]],
    act: act!(logs::run),
    ..ONE
};

pub(crate) const PAUSE: Word = Word {
    about: "Freeze all processes of containers",
    aliases: &["container pause", "pause"],
    names: Names::RunningContainers,
    act: act!(lifecycle::pause),
    ..PLAIN
};

pub(crate) const UNPAUSE: Word = Word {
    about: "Let paused containers go on",
    aliases: &["container unpause", "unpause"],
    names: Names::RunningContainers,
    act: act!(lifecycle::unpause),
    ..PLAIN
};

pub(crate) const PORT: Word = Word {
    usage: &["CONTAINER [PRIVATE_PORT[/PROTO]]"],
    about: "Show where the ports of a container are published",
    aliases: &["container port", "port"],
    count: Between(1, 2),
    names: Names::RunningContainers,
    act: act!(look::port),
    ..ONE
};

const PRUNE: Word = Word {
    about: "Remove containers that do not run",
    flags: &[&[PRUNE_FILTER, YES]],
    count: Exactly(0),
    act: act!(prune::containers),
    ..WORD
};

pub(crate) const PS: Word = Word {
    about: "List containers",
    aliases: &["container ls", "container list", "container ps", "ps"],
    flags: &[&[
        flag('a', "all", Kind::Bool, "Also those that do not run"),
        FILTER,
        LIST_FORMAT,
        flag('n', "last", Kind::Int, "The last ones created, whatever their state").default("-1"),
        flag('l', "latest", Kind::Bool, "The latest one created, whatever its state"),
        long("no-trunc", Kind::Bool, "Do not shorten"),
        flag('q', "quiet", Kind::Bool, "Only ids"),
        flag('s', "size", Kind::Bool, "Also how much disk they take"),
    ]],
    count: Exactly(0),
    act: act!(ps::run),
    ..WORD
};

pub(crate) const RENAME: Word = Word {
    usage: &["CONTAINER NEW_NAME"],
    about: "Give a container another name",
    aliases: &["container rename", "rename"],
    count: Exactly(2),
    act: act!(lifecycle::rename),
    ..ONE
};

const STOPPING: &[Flag] = &[
    flag('s', "signal", Kind::Text, "The signal that asks it to stop"),
    flag('t', "timeout", Kind::Int, "Seconds to wait before it is killed"),
    long("time", Kind::Int, "").hidden(),
];

pub(crate) const RESTART: Word = Word {
    about: "Stop containers and start them again",
    aliases: &["container restart", "restart"],
    flags: &[STOPPING],
    act: act!(lifecycle::restart),
    ..SEVERAL
};

pub(crate) const STOP: Word = Word {
    about: "Stop running containers",
    aliases: &["container stop", "stop"],
    flags: &[STOPPING],
    names: Names::RunningContainers,
    act: act!(lifecycle::stop),
    ..SEVERAL
};

pub(crate) const RM: Word = Word {
    about: "Remove containers",
    aliases: &["container rm", "container remove", "rm"],
    flags: &[&[
        flag('f', "force", Kind::Bool, "Kill it first if it runs"),
        flag('l', "link", Kind::Bool, "Remove the link of that name, not the container"),
        flag('v', "volumes", Kind::Bool, "Also remove its anonymous volumes"),
    ]],
    act: act!(lifecycle::remove),
    ..SEVERAL
};

pub(crate) const START: Word = Word {
    about: "Start containers that do not run",
    aliases: &["container start", "start"],
    flags: &[&[
        flag('a', "attach", Kind::Bool, "Show its output and pass signals on"),
        DETACH_KEYS,
        flag('i', "interactive", Kind::Bool, "Connect standard input"),
        long("checkpoint", Kind::Text, "").hidden(),
        long("checkpoint-dir", Kind::Text, "").hidden(),
    ]],
    act: act!(start::run),
    ..SEVERAL
};

pub(crate) const STATS: Word = Word {
    usage: &["[OPTIONS] [CONTAINER...]"],
    about: "Show what containers use, as it changes",
    aliases: &["container stats", "stats"],
    flags: &[&[
        flag('a', "all", Kind::Bool, "Also those that do not run"),
        LIST_FORMAT,
        long("no-stream", Kind::Bool, "Show it once"),
        long("no-trunc", Kind::Bool, "Do not shorten"),
    ]],
    count: Count::Any,
    names: Names::RunningContainers,
    act: act!(stats::run),
    ..ONE
};

pub(crate) const TOP: Word = Word {
    usage: &["CONTAINER [ps OPTIONS]"],
    about: "Show the processes of a container",
    aliases: &["container top", "top"],
    count: AtLeast(1),
    names: Names::RunningContainers,
    interspersed: false,
    act: act!(look::top),
    ..ONE
};

pub(crate) const WAIT: Word = Word {
    about: "Wait until containers have ended, and print their exit codes",
    aliases: &["container wait", "wait"],
    act: act!(lifecycle::wait),
    ..PLAIN
};
