//! Words about volumes and networks.

use super::{FILTER, LIST_FORMAT, ONE_FORMAT, PRUNE_FILTER, WORD, YES, act};
use crate::cli::flags::Count::{AtLeast, AtMost, Exactly};
use crate::cli::flags::{Entry, Family, Kind, Names, Word, check, flag, long};
use crate::cli::{inspect, networks, prune, volumes};

/// `volume …`
pub(crate) const VOLUME: Family = Family {
    about: "Look after volumes",
    usage: " COMMAND",
    aliases: &[("list", "ls"), ("remove", "rm")],
    words: &[
        ("create", Entry::Word(&VOLUME_CREATE)),
        ("inspect", Entry::Word(&VOLUME_INSPECT)),
        ("ls", Entry::Word(&VOLUME_LS)),
        ("prune", Entry::Word(&VOLUME_PRUNE)),
        ("rm", Entry::Word(&VOLUME_RM)),
    ],
};

const VOLUME_CREATE: Word = Word {
    usage: &["[OPTIONS] [VOLUME]"],
    about: "Make a volume",
    flags: &[&[
        flag('d', "driver", Kind::Text, "The driver").default("local"),
        long("label", Kind::List, "Set a label: KEY=VALUE").checked(check::label),
        flag('o', "opt", Kind::List, "An option of the driver: KEY=VALUE").called("map"),
        long("name", Kind::Text, "").hidden(),
    ]],
    count: AtMost(1),
    act: act!(volumes::create),
    ..WORD
};

const VOLUME_INSPECT: Word = Word {
    usage: &["[OPTIONS] VOLUME [VOLUME...]"],
    about: "Show everything about volumes",
    flags: &[&[ONE_FORMAT]],
    count: AtLeast(1),
    names: Names::Volumes,
    act: act!(inspect::volume),
    ..WORD
};

const VOLUME_LS: Word = Word {
    about: "List volumes",
    aliases: &["volume ls", "volume list"],
    flags: &[&[FILTER, LIST_FORMAT, flag('q', "quiet", Kind::Bool, "Only names")]],
    count: Exactly(0),
    act: act!(volumes::list),
    ..WORD
};

const VOLUME_PRUNE: Word = Word {
    about: "Remove volumes that nothing uses",
    flags: &[&[flag('a', "all", Kind::Bool, "Also those that have a name"), PRUNE_FILTER, YES]],
    count: Exactly(0),
    act: act!(prune::volumes),
    ..WORD
};

const VOLUME_RM: Word = Word {
    usage: &["[OPTIONS] VOLUME [VOLUME...]"],
    about: "Remove volumes that no container uses",
    aliases: &["volume rm", "volume remove"],
    flags: &[&[flag('f', "force", Kind::Bool, "One that is not there is no error")]],
    count: AtLeast(1),
    names: Names::Volumes,
    act: act!(volumes::remove),
    ..WORD
};

/// `network …`
pub(crate) const NETWORK: Family = Family {
    about: "Look after networks",
    usage: "",
    aliases: &[("list", "ls"), ("remove", "rm")],
    words: &[
        ("connect", Entry::Word(&NETWORK_CONNECT)),
        ("create", Entry::Word(&NETWORK_CREATE)),
        ("disconnect", Entry::Word(&NETWORK_DISCONNECT)),
        ("inspect", Entry::Word(&NETWORK_INSPECT)),
        ("ls", Entry::Word(&NETWORK_LS)),
        ("prune", Entry::Word(&NETWORK_PRUNE)),
        ("rm", Entry::Word(&NETWORK_RM)),
    ],
};

const NETWORK_CONNECT: Word = Word {
    usage: &["[OPTIONS] NETWORK CONTAINER"],
    about: "Connect a container to a network",
    flags: &[&[
        long("alias", Kind::Commas, "A further name on the network"),
        long("driver-opt", Kind::Commas, "An option of the network's driver: KEY=VALUE"),
        long("gw-priority", Kind::Int, "The highest one of its networks is its way out"),
        long("ip", Kind::Text, "IPv4 address"),
        long("ip6", Kind::Text, "IPv6 address"),
        long("link", Kind::List, "Link to another container").checked(check::link),
        long("link-local-ip", Kind::Commas, "A link-local address"),
    ]],
    count: Exactly(2),
    names: Names::Networks,
    act: act!(networks::connect),
    ..WORD
};

const NETWORK_CREATE: Word = Word {
    usage: &["[OPTIONS] NETWORK"],
    about: "Make a network",
    flags: &[&[
        long("attachable", Kind::Bool, "Containers can be connected by hand"),
        long("aux-address", Kind::List, "An address that is taken: NAME=ADDRESS").called("map"),
        long("config-from", Kind::Text, "Take the configuration of that network"),
        long("config-only", Kind::Bool, "Only a configuration for others"),
        flag('d', "driver", Kind::Text, "The driver").default("bridge"),
        long("gateway", Kind::Commas, "Address of the gateway"),
        long("ingress", Kind::Bool, "The network of a swarm's published ports"),
        long("internal", Kind::Bool, "No way out"),
        long("ip-range", Kind::Commas, "Give addresses from this part of the subnet"),
        long("ipam-driver", Kind::Text, "Who gives addresses").default("default"),
        long("ipam-opt", Kind::List, "An option for who gives addresses: KEY=VALUE").called("map"),
        long("ipv4", Kind::Bool, "Give IPv4 addresses").default("true"),
        long("ipv6", Kind::Bool, "Give IPv6 addresses"),
        long("label", Kind::List, "Set a label: KEY=VALUE").checked(check::label),
        flag('o', "opt", Kind::List, "An option of the driver: KEY=VALUE").called("map"),
        long("scope", Kind::Text, "How far it reaches"),
        long("subnet", Kind::Commas, "The subnet, like 10.1.0.0/16"),
    ]],
    count: Exactly(1),
    act: act!(networks::create),
    ..WORD
};

const NETWORK_DISCONNECT: Word = Word {
    usage: &["[OPTIONS] NETWORK CONTAINER"],
    about: "Take a container off a network",
    flags: &[&[flag('f', "force", Kind::Bool, "Whatever the container's state")]],
    count: Exactly(2),
    names: Names::Networks,
    act: act!(networks::disconnect),
    ..WORD
};

const NETWORK_INSPECT: Word = Word {
    usage: &["[OPTIONS] NETWORK [NETWORK...]"],
    about: "Show everything about networks",
    flags: &[&[ONE_FORMAT, flag('v', "verbose", Kind::Bool, "Say more, to find out what is wrong")]],
    count: AtLeast(1),
    names: Names::Networks,
    act: act!(inspect::network),
    ..WORD
};

const NETWORK_LS: Word = Word {
    about: "List networks",
    aliases: &["network ls", "network list"],
    flags: &[&[
        FILTER,
        LIST_FORMAT,
        long("no-trunc", Kind::Bool, "Do not shorten"),
        flag('q', "quiet", Kind::Bool, "Only ids"),
    ]],
    count: Exactly(0),
    act: act!(networks::list),
    ..WORD
};

const NETWORK_PRUNE: Word = Word {
    about: "Remove networks that nothing uses",
    flags: &[&[PRUNE_FILTER, YES]],
    count: Exactly(0),
    act: act!(prune::networks),
    ..WORD
};

const NETWORK_RM: Word = Word {
    usage: &["NETWORK [NETWORK...]"],
    about: "Remove networks",
    aliases: &["network rm", "network remove"],
    flags: &[&[flag('f', "force", Kind::Bool, "One that is not there is no error")]],
    count: AtLeast(1),
    names: Names::Networks,
    act: act!(networks::remove),
    ..WORD
};
