//! The words that are said first, and the flags before them.

use super::{containers, images, objects, run, system};
use crate::cli::flags::{Entry, Family, Flag, Kind, flag, help, long};
use std::fmt::Write as _;

/// Flags before the first word.
pub(crate) const GLOBAL: &[Flag] = &[
    long("config", Kind::Text, "Folder of the client's configuration (default \"~/.docker\")"),
    flag('c', "context", Kind::Text, "Only the context named default exists: the host is said with --host"),
    flag('D', "debug", Kind::Bool, "Say more about what goes wrong"),
    flag('H', "host", Kind::List, "Where the agent listens: unix:///PATH or tcp://HOST:PORT"),
    flag('l', "log-level", Kind::Text, "How much is said: debug, info, warn, error, fatal").default("info"),
    long("tls", Kind::Bool, "Use TLS; --tlsverify means it too"),
    long("tlscacert", Kind::Text, "Trust only certificates of this CA (default \"~/.docker/ca.pem\")"),
    long("tlscert", Kind::Text, "Certificate of ours (default \"~/.docker/cert.pem\")"),
    long("tlskey", Kind::Text, "Key of ours (default \"~/.docker/key.pem\")"),
    long("tlsverify", Kind::Bool, "Use TLS and verify who answers"),
    flag('v', "version", Kind::Bool, "Print the version and end"),
];

const COMMON: Family = Family {
    about: "",
    usage: "",
    aliases: &[],
    words: &[
        ("status", Entry::Word(&system::STATUS)),
        ("run", Entry::Word(&run::RUN)),
        ("exec", Entry::Word(&containers::EXEC)),
        ("ps", Entry::Word(&containers::PS)),
        ("build", Entry::Word(&system::BUILD)),
        ("pull", Entry::Word(&images::PULL)),
        ("push", Entry::Word(&images::PUSH)),
        ("images", Entry::Word(&images::IMAGES)),
        ("login", Entry::Word(&system::LOGIN)),
        ("logout", Entry::Word(&system::LOGOUT)),
        ("search", Entry::Word(&images::SEARCH)),
        ("version", Entry::Word(&system::VERSION)),
        ("info", Entry::Word(&system::INFO)),
    ],
};

const MANAGEMENT: Family = Family {
    about: "",
    usage: "",
    aliases: &[],
    words: &[
        ("container", Entry::Family(&containers::FAMILY)),
        ("image", Entry::Family(&images::FAMILY)),
        ("network", Entry::Family(&objects::NETWORK)),
        ("system", Entry::Family(&system::FAMILY)),
        ("volume", Entry::Family(&objects::VOLUME)),
    ],
};

const OTHERS: Family = Family {
    about: "",
    usage: "",
    aliases: &[],
    words: &[
        ("attach", Entry::Word(&containers::ATTACH)),
        ("commit", Entry::Word(&containers::COMMIT)),
        ("completion", Entry::Word(&system::COMPLETION)),
        ("cp", Entry::Word(&containers::CP)),
        ("create", Entry::Word(&run::CREATE)),
        ("diff", Entry::Word(&containers::DIFF)),
        ("events", Entry::Word(&system::EVENTS)),
        ("export", Entry::Word(&containers::EXPORT)),
        ("history", Entry::Word(&images::HISTORY)),
        ("import", Entry::Word(&images::IMPORT)),
        ("inspect", Entry::Word(&system::INSPECT)),
        ("kill", Entry::Word(&containers::KILL)),
        ("load", Entry::Word(&images::LOAD)),
        ("logs", Entry::Word(&containers::LOGS)),
        ("pause", Entry::Word(&containers::PAUSE)),
        ("port", Entry::Word(&containers::PORT)),
        ("rename", Entry::Word(&containers::RENAME)),
        ("restart", Entry::Word(&containers::RESTART)),
        ("rm", Entry::Word(&containers::RM)),
        ("rmi", Entry::Word(&images::RMI)),
        ("save", Entry::Word(&images::SAVE)),
        ("start", Entry::Word(&containers::START)),
        ("stats", Entry::Word(&containers::STATS)),
        ("stop", Entry::Word(&containers::STOP)),
        ("tag", Entry::Word(&images::TAG)),
        ("top", Entry::Word(&containers::TOP)),
        ("unpause", Entry::Word(&containers::UNPAUSE)),
        ("update", Entry::Word(&run::UPDATE)),
        ("wait", Entry::Word(&containers::WAIT)),
    ],
};

/// The parts of the list of words.
pub(crate) const SECTIONS: [(&str, &Family); 3] =
    [("Common Commands", &COMMON), ("Management Commands", &MANAGEMENT), ("Commands", &OTHERS)];

/// Words of Docker for what this host does in another way, and what to do instead.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["swarm", "stack", "node", "service", "secret", "config"],
        "Hull has no swarm: more than one machine is Kubernetes' work, and one machine is described by its host spec.\nSee what it runs with 'hull status'.",
    ),
    (
        &["plugin"],
        "Hull has no plugins: drivers are part of the agent.\nSee which there are with 'hull info'.",
    ),
    (
        &["trust"],
        "Hull does not sign images with Docker's trust service.\nName an image by its digest to be sure of what is pulled: NAME@sha256:…",
    ),
    (
        &["builder", "buildx"],
        "Hull has no builder of its own yet.\nBuild elsewhere, then bring the image with 'hull pull' or 'hull load'.",
    ),
    (
        &["manifest"],
        "Hull does not write manifest lists.\nPush them from where the images are built; 'hull pull --platform' takes one part of a list.",
    ),
    (
        &["context"],
        "Hull has only one context, named default.\nSay where the agent listens with --host or DOCKER_HOST.",
    ),
    (
        &["checkpoint"],
        "Hull cannot freeze containers to disk yet.\n'hull pause' keeps one from running, and 'hull stop' ends it.",
    ),
    (
        &["compose"],
        "Hull takes no Compose file from the command line: it is part of the host spec.\nThe docker compose plugin works on the same socket.",
    ),
];

/// What to say about a word that this host has no use for.
pub(crate) fn elsewhere(word: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(words, _)| words.contains(&word)).map(|(_, sentence)| *sentence)
}

/// A word that is said first.
pub(crate) fn find(name: &str) -> Option<(&'static str, Entry)> {
    SECTIONS.iter().find_map(|(_, family)| family.find(name))
}

/// Everything there is to say.
pub(crate) fn overview(width: usize) -> String {
    let program = crate::cli::PROGRAM;
    let mut text =
        format!("Usage:  {program} [OPTIONS] COMMAND\n\nA host for containers, and what runs on it\n");
    for (title, family) in SECTIONS {
        _ = writeln!(text, "\n{title}:");
        for (name, entry) in family.words {
            _ = writeln!(text, "  {name:<11} {}", help::about(entry));
        }
    }
    _ = write!(text, "\nGlobal Options:\n{}", help::flags(GLOBAL.iter(), width));
    text + &format!("\nRun '{program} COMMAND --help' for more information on a command.\n")
}
