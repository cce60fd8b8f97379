//! The columns of ps(1).

use super::process::{Field, Host, Process};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// How a cell is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Pid,
    Parent,
    Group,
    Session,
    Foreground,
    User,
    RealUser,
    UserId,
    RealUserId,
    GroupId,
    RealGroupId,
    Comm,
    Args,
    State,
    Stat,
    Cpu,
    CpuShort,
    Memory,
    Virtual,
    Resident,
    Size,
    Tty,
    Time,
    BsdTime,
    Seconds,
    Start,
    StartLong,
    Elapsed,
    ElapsedSeconds,
    Priority,
    Nice,
    Threads,
    Processor,
    Flags,
    Address,
    Wchan,
    Policy,
    MinorFaults,
    MajorFaults,
    Label,
    Cgroup,
}

/// A column by its name in a format or by its usual title, with the title.
pub(super) fn by_name(name: &str) -> Option<(&'static str, Column)> {
    Some(match name {
        "pid" | "tgid" | "PID" => ("PID", Column::Pid),
        "ppid" | "PPID" => ("PPID", Column::Parent),
        "pgid" | "pgrp" | "PGID" => ("PGID", Column::Group),
        "sid" | "sess" | "session" | "SID" => ("SID", Column::Session),
        "tpgid" => ("TPGID", Column::Foreground),
        "user" | "euser" | "uname" | "USER" => ("USER", Column::User),
        "ruser" => ("RUSER", Column::RealUser),
        "UID" => ("UID", Column::User),
        "uid" | "euid" | "UID=n" => ("UID", Column::UserId),
        "ruid" => ("RUID", Column::RealUserId),
        "gid" | "egid" => ("GID", Column::GroupId),
        "rgid" => ("RGID", Column::RealGroupId),
        "comm" | "ucomm" | "ucmd" => ("COMMAND", Column::Comm),
        "COMM" => ("CMD", Column::Comm),
        "args" | "command" | "COMMAND" => ("COMMAND", Column::Args),
        "cmd" | "CMD" => ("CMD", Column::Args),
        "s" | "state" | "S" => ("S", Column::State),
        "stat" | "STAT" => ("STAT", Column::Stat),
        "pcpu" | "%cpu" | "%CPU" => ("%CPU", Column::Cpu),
        "c" | "C" => ("C", Column::CpuShort),
        "pmem" | "%mem" | "%MEM" => ("%MEM", Column::Memory),
        "vsz" | "vsize" | "VSZ" => ("VSZ", Column::Virtual),
        "rss" | "rssize" | "rsz" | "RSS" => ("RSS", Column::Resident),
        "sz" | "SZ" => ("SZ", Column::Size),
        "tty" | "tt" | "tname" | "TTY" => ("TTY", Column::Tty),
        "time" | "cputime" | "TIME" => ("TIME", Column::Time),
        "bsdtime" | "BSDTIME" => ("TIME", Column::BsdTime),
        "times" | "cputimes" => ("TIME", Column::Seconds),
        "stime" | "STIME" => ("STIME", Column::Start),
        "start" | "bsdstart" | "start_time" | "START" => ("START", Column::Start),
        "lstart" => ("STARTED", Column::StartLong),
        "etime" => ("ELAPSED", Column::Elapsed),
        "etimes" => ("ELAPSED", Column::ElapsedSeconds),
        "pri" | "priority" | "PRI" => ("PRI", Column::Priority),
        "ni" | "nice" | "NI" => ("NI", Column::Nice),
        "nlwp" | "thcount" => ("NLWP", Column::Threads),
        "psr" | "PSR" => ("PSR", Column::Processor),
        "f" | "flag" | "flags" | "F" => ("F", Column::Flags),
        "addr" | "ADDR" => ("ADDR", Column::Address),
        "wchan" | "WCHAN" => ("WCHAN", Column::Wchan),
        "cls" | "class" | "policy" => ("CLS", Column::Policy),
        "min_flt" => ("MINFL", Column::MinorFaults),
        "maj_flt" => ("MAJFL", Column::MajorFaults),
        "label" => ("LABEL", Column::Label),
        "cgroup" => ("CGROUP", Column::Cgroup),
        _ => return None,
    })
}

impl Column {
    /// The cell of a process.
    pub(super) fn show(self, p: &Process, host: &Host) -> String {
        let number = |field| p.number(field).to_string();
        match self {
            Self::Pid => p.pid.to_string(),
            Self::Parent => number(Field::Parent),
            Self::Group => number(Field::Group),
            Self::Session => number(Field::Session),
            Self::Foreground => number(Field::Foreground),
            Self::User => host.user(p.id("Uid", 1)),
            Self::RealUser => host.user(p.id("Uid", 0)),
            Self::UserId => p.id("Uid", 1).to_owned(),
            Self::RealUserId => p.id("Uid", 0).to_owned(),
            Self::GroupId => p.id("Gid", 1).to_owned(),
            Self::RealGroupId => p.id("Gid", 0).to_owned(),
            Self::Comm => p.comm.clone(),
            Self::Args => p.args.clone(),
            Self::State => p.text(Field::State).to_owned(),
            Self::Stat => stat(p),
            Self::Cpu => format!("{:.1}", cpu(p, host)),
            Self::CpuShort => format!("{:.0}", cpu(p, host).floor().min(99.0)),
            Self::Memory => memory(p, host),
            Self::Virtual => (p.number(Field::Virtual) / 1024).to_string(),
            Self::Resident => (p.number(Field::Resident) * host.page / 1024).to_string(),
            Self::Size => (p.number(Field::Virtual) / host.page).to_string(),
            Self::Tty => tty(p.number(Field::Tty)),
            Self::Time | Self::BsdTime | Self::Seconds => self.time(busy(p, host)),
            Self::Start | Self::StartLong => self.start(p, host),
            Self::Elapsed => elapsed(age(p, host)),
            Self::ElapsedSeconds => age(p, host).to_string(),
            Self::Priority => (60 + p.number(Field::Priority)).to_string(),
            Self::Nice => number(Field::Nice),
            Self::Threads => number(Field::Threads),
            Self::Processor => number(Field::Processor),
            // The bits that ps(1) shows: forked without exec, used superuser rights.
            Self::Flags => format!("{:x}", (p.number(Field::Flags) >> 6) & 7),
            Self::Wchan => match p.wchan.as_str() {
                "0" | "" => "-".to_owned(),
                name => name.to_owned(),
            },
            Self::Policy => match p.number(Field::Policy) {
                0 => "TS".to_owned(),
                1 => "FF".to_owned(),
                2 => "RR".to_owned(),
                3 => "B".to_owned(),
                5 => "IDL".to_owned(),
                6 => "DLN".to_owned(),
                _ => "?".to_owned(),
            },
            Self::MinorFaults => number(Field::MinorFaults),
            Self::MajorFaults => number(Field::MajorFaults),
            Self::Address | Self::Label | Self::Cgroup => "-".to_owned(),
        }
    }

    fn time(self, seconds: i64) -> String {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        match self {
            Self::BsdTime => format!("{}:{:02}", seconds / 60, seconds % 60),
            Self::Seconds => seconds.to_string(),
            _ if hours >= 24 => format!("{}-{:02}:{minutes:02}:{:02}", hours / 24, hours % 24, seconds % 60),
            _ => format!("{hours:02}:{minutes:02}:{:02}", seconds % 60),
        }
    }

    fn start(self, p: &Process, host: &Host) -> String {
        let Ok(at) = host.now.checked_sub(SignedDuration::from_secs(age(p, host))) else {
            return "-".to_owned();
        };
        let zone = |t: Timestamp| t.to_zoned(TimeZone::system());
        let (at, now) = (zone(at), zone(host.now));
        if self == Self::StartLong {
            return at.strftime("%a %b %e %H:%M:%S %Y").to_string();
        }
        let format = match (at.date() == now.date(), at.year() == now.year()) {
            (true, _) => "%H:%M",
            (_, true) => "%b%d",
            _ => "%Y",
        };
        at.strftime(format).to_string()
    }
}

/// Seconds of CPU time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "seconds of a process's life"
)]
fn busy(p: &Process, host: &Host) -> i64 {
    ((p.number(Field::User) + p.number(Field::System)) as f64 / host.ticks) as i64
}

/// Seconds since it was started.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "seconds of a host's life")]
fn age(p: &Process, host: &Host) -> i64 {
    (host.uptime - p.number(Field::Start) as f64 / host.ticks).max(0.0) as i64
}

/// CPU time by life time, in percent.
#[allow(clippy::cast_precision_loss, reason = "a rounded percentage")]
fn cpu(p: &Process, host: &Host) -> f64 {
    let life = host.uptime - p.number(Field::Start) as f64 / host.ticks;
    if life <= 0.0 {
        return 0.0;
    }
    (p.number(Field::User) + p.number(Field::System)) as f64 / host.ticks / life * 100.0
}

#[allow(clippy::cast_precision_loss, reason = "a rounded percentage")]
fn memory(p: &Process, host: &Host) -> String {
    let resident = (p.number(Field::Resident) * host.page / 1024) as f64;
    format!("{:.1}", resident / (host.memory.max(1) as f64) * 100.0)
}

/// The state with what ps(1) adds to it.
fn stat(p: &Process) -> String {
    let mut text = p.text(Field::State).to_owned();
    match p.number(Field::Nice) {
        ..0 => text.push('<'),
        1.. => text.push('N'),
        0 => {}
    }
    if p.status("VmLck").split_whitespace().next().is_some_and(|k| k != "0" && k != "-") {
        text.push('L');
    }
    if p.number(Field::Session) == i64::from(p.pid) {
        text.push('s');
    }
    if p.number(Field::Threads) > 1 {
        text.push('l');
    }
    if p.number(Field::Foreground) == p.number(Field::Group) && p.number(Field::Tty) != 0 {
        text.push('+');
    }
    text
}

/// The terminal by its device number (devices.txt of the kernel).
fn tty(number: i64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        0 => "?".to_owned(),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => "?".to_owned(),
    }
}

/// `[[days-]hours:]minutes:seconds`
fn elapsed(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{:02}", seconds % 60),
        (0, _) => format!("{hours:02}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days}-{hours:02}:{minutes:02}:{:02}", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_written_as_ps_does() {
        assert_eq!([tty(0), tty(34_816), tty(34_817), tty(1_025)], ["?", "pts/0", "pts/1", "tty1"]);
        assert_eq!([elapsed(5), elapsed(3_605), elapsed(90_061)], ["00:05", "01:00:05", "1-01:01:01"]);
        assert_eq!([Column::Time.time(3_661), Column::BsdTime.time(61)], ["01:01:01", "1:01"]);
    }
}
