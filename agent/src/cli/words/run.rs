//! Making containers, and changing what they may use.

use super::{DETACH_KEYS, NO_TRUST, PLATFORM, WORD, act};
use crate::cli::flags::Count::AtLeast;
use crate::cli::flags::Kind::{
    Bool, Bytes, BytesOrUnlimited, Decimal, Duration, Int, List, Text, Uint, Uint16,
};
use crate::cli::flags::{Flag, Names, Word, check, flag, long};
use crate::cli::{create, run, update};

const PROCESS: &[Flag] = &[
    long("entrypoint", Text, "Run this instead of the image's entrypoint"),
    flag('e', "env", List, "Set a variable: NAME=VALUE, or NAME as it is here").checked(check::environment),
    long("env-file", List, "Read variables from a file"),
    flag('a', "attach", List, "Connect STDIN, STDOUT or STDERR").checked(check::stream),
    flag('i', "interactive", Bool, "Keep standard input open even if it is not attached"),
    flag('t', "tty", Bool, "Give it a terminal"),
    flag('u', "user", Text, "User name or id, with a group if wanted: USER[:GROUP]"),
    flag('w', "workdir", Text, "Working directory inside"),
    long("group-add", List, "A further group of the process"),
    long("init", Bool, "Run an init inside that passes signals on and reaps processes"),
    long("stop-signal", Text, "The signal that asks it to stop"),
    long("stop-timeout", Int, "Seconds to wait before it is killed"),
    long("restart", Text, "When to start it again: no, on-failure[:TIMES], always, unless-stopped")
        .default("no"),
];

const IDENTITY: &[Flag] = &[
    long("name", Text, "Name of the container"),
    long("cidfile", Text, "Write the id of the container to a file"),
    flag('h', "hostname", Text, "Host name inside"),
    long("domainname", Text, "NIS domain name inside"),
    flag('l', "label", List, "Set a label: KEY=VALUE").checked(check::label),
    long("label-file", List, "Read labels from a file"),
    long("annotation", List, "Hand an annotation to the runtime: KEY=VALUE").called("map"),
    long("help", Bool, "Print this help"),
    long("pull", Text, "When to pull the image: always, missing, never").default("missing"),
    PLATFORM,
    flag('q', "quiet", Bool, "Do not say how far a pull got"),
    NO_TRUST,
];

const NETWORK: &[Flag] = &[
    long("add-host", List, "Name an address in /etc/hosts: HOST:ADDRESS").checked(check::extra_host),
    long("dns", List, "A name server").checked(check::address),
    long("dns-option", List, "An option of resolv.conf"),
    long("dns-opt", List, "").hidden(),
    long("dns-search", List, "A domain that names are looked up in").checked(check::search_domain),
    long("expose", List, "Name a port, or a range of ports, that it listens on"),
    long("ip", Text, "IPv4 address"),
    long("ip6", Text, "IPv6 address"),
    long("link", List, "Link to another container").checked(check::link),
    long("link-local-ip", List, "A link-local address").checked(check::address),
    long("mac-address", Text, "MAC address, like 92:d0:c6:0a:29:33"),
    long("network", List, "Connect it to a network").called("network"),
    long("net", List, "").called("network").hidden(),
    long("network-alias", List, "A further name on its network"),
    long("net-alias", List, "").hidden(),
    flag('p', "publish", List, "Publish a port: [[ADDRESS:]HOST_PORT:]PORT[/PROTOCOL]"),
    flag('P', "publish-all", Bool, "Publish every exposed port at a port of the host that is free"),
];

const STORAGE: &[Flag] = &[
    long("mount", List, "Mount a file system: type=volume,source=…,target=…")
        .called("mount")
        .checked(create::check_mount),
    long("read-only", Bool, "Nothing can be written but volumes and tmpfs"),
    long("shm-size", Bytes, "Size of /dev/shm"),
    long("storage-opt", List, "An option of the storage driver: KEY=VALUE"),
    long("tmpfs", List, "Mount memory: PATH[:OPTIONS]"),
    flag('v', "volume", List, "Mount a volume or a path of the host: SOURCE:TARGET[:OPTIONS]"),
    long("volume-driver", Text, "Driver of volumes that are named by -v"),
    long("volumes-from", List, "Mount the volumes of a container"),
];

const ISOLATION: &[Flag] = &[
    long("cap-add", List, "Add a capability"),
    long("cap-drop", List, "Take a capability away"),
    long("cgroup-parent", Text, "Control group above the container's"),
    long("cgroupns", Text, "Control group namespace: host or private"),
    long("device", List, "Hand it a device: PATH[:PATH_INSIDE[:rwm]]"),
    long("device-cgroup-rule", List, "Allow devices, like 'c 1:3 rwm'").checked(check::cgroup_rule),
    long("gpus", List, "Hand it graphics processors: all, or a number, or device=…")
        .called("gpu-request")
        .checked(create::check_gpus),
    long("ipc", Text, "IPC namespace: private, shareable, host, none, container:NAME"),
    long("isolation", Text, "Kind of isolation; only default"),
    long("pid", Text, "Process namespace: host or container:NAME"),
    long("privileged", Bool, "Give it nearly everything the host may do"),
    long("runtime", Text, "The runtime that runs it"),
    long("security-opt", List, "seccomp=…, no-new-privileges, apparmor=…, label=…, systempaths=unconfined"),
    long("sysctl", List, "Set a kernel parameter of its namespaces: NAME=VALUE")
        .called("map")
        .checked(check::sysctl),
    long("ulimit", List, "Limit a resource of its processes: NAME=SOFT[:HARD]")
        .called("ulimit")
        .checked(check::ulimit),
    long("userns", Text, "User namespace: host"),
    long("uts", Text, "Host name namespace: host"),
    long("use-api-socket", Bool, "").hidden(),
];

/// What `update` can change, too.
const LIMITS: &[Flag] = &[
    long("blkio-weight", Uint16, "Share of disk time, 10 to 1000; 0 is the default"),
    flag('c', "cpu-shares", Int, "Share of processor time"),
    long("cpu-period", Int, "Microseconds over which processor time is counted"),
    long("cpu-quota", Int, "Microseconds of processor time in a period"),
    long("cpu-rt-period", Int, "Microseconds over which real-time is counted"),
    long("cpu-rt-runtime", Int, "Microseconds of real-time in a period"),
    long("cpus", Decimal, "How many processors, like 1.5"),
    long("cpuset-cpus", Text, "On which processors, like 0-3 or 0,1"),
    long("cpuset-mems", Text, "On which memory nodes, like 0-3 or 0,1"),
    flag('m', "memory", Bytes, "Most memory"),
    long("memory-reservation", Bytes, "Memory that is left to it when the host runs short"),
    long("memory-swap", BytesOrUnlimited, "Most memory and swap together; -1 for no limit"),
    long("pids-limit", Int, "Most processes; -1 for no limit"),
    long("kernel-memory", Bytes, "").hidden(),
];

const MORE_LIMITS: &[Flag] = &[
    long("blkio-weight-device", List, "Share of a device's time: PATH:WEIGHT").checked(check::weight_device),
    long("device-read-bps", List, "Bytes read a second from a device: PATH:RATE").checked(check::bps_device),
    long("device-read-iops", List, "Reads a second from a device: PATH:RATE").checked(check::iops_device),
    long("device-write-bps", List, "Bytes written a second to a device: PATH:RATE")
        .checked(check::bps_device),
    long("device-write-iops", List, "Writes a second to a device: PATH:RATE").checked(check::iops_device),
    long("memory-swappiness", Int, "How willingly its memory is swapped, 0 to 100").default("-1"),
    long("oom-kill-disable", Bool, "Do not kill its processes when memory runs out"),
    long("oom-score-adj", Int, "How readily it is killed when memory runs out, -1000 to 1000"),
    long("cpu-count", Int, "").hidden(),
    long("cpu-percent", Int, "").hidden(),
    long("io-maxbandwidth", Bytes, "").hidden(),
    long("io-maxiops", Uint, "").hidden(),
];

const HEALTH: &[Flag] = &[
    long("health-cmd", Text, "A command that tells whether it is well"),
    long("health-interval", Duration, "Time between two checks").default("0s"),
    long("health-retries", Int, "Failures in a row that mean it is not well"),
    long("health-start-interval", Duration, "Time between two checks while it starts").default("0s"),
    long("health-start-period", Duration, "Time it may take to start").default("0s"),
    long("health-timeout", Duration, "Longest time of a check").default("0s"),
    long("no-healthcheck", Bool, "Do not check, whatever the image says"),
];

const LOGGING: &[Flag] = &[
    long("log-driver", Text, "Where its output is kept"),
    long("log-opt", List, "An option of the log driver: KEY=VALUE"),
];

const RUNNING: &[Flag] = &[
    flag('d', "detach", Bool, "Do not wait for it; print its id"),
    DETACH_KEYS,
    long("sig-proxy", Bool, "Pass signals on to the process").default("true"),
];

const REMOVE: &[Flag] = &[long("rm", Bool, "Remove it and its anonymous volumes when it ends")];

const NEW: Word = Word {
    usage: &["[OPTIONS] IMAGE [COMMAND] [ARG...]"],
    count: AtLeast(1),
    names: Names::Images,
    interspersed: false,
    ..WORD
};

pub(crate) const RUN: Word = Word {
    about: "Make a container of an image and start it",
    aliases: &["container run", "run"],
    flags: &[
        PROCESS,
        IDENTITY,
        NETWORK,
        STORAGE,
        ISOLATION,
        LIMITS,
        MORE_LIMITS,
        HEALTH,
        LOGGING,
        REMOVE,
        RUNNING,
    ],
    act: act!(run::run),
    ..NEW
};

pub(crate) const CREATE: Word = Word {
    about: "Make a container of an image",
    aliases: &["container create", "create"],
    flags: &[PROCESS, IDENTITY, NETWORK, STORAGE, ISOLATION, LIMITS, MORE_LIMITS, HEALTH, LOGGING, REMOVE],
    act: act!(run::create),
    ..NEW
};

pub(crate) const UPDATE: Word = Word {
    usage: &["[OPTIONS] CONTAINER [CONTAINER...]"],
    about: "Change what containers may use",
    aliases: &["container update", "update"],
    flags: &[LIMITS, &[long("restart", Text, "When to start it again")]],
    count: AtLeast(1),
    names: Names::Containers,
    act: act!(update::run),
    ..WORD
};
