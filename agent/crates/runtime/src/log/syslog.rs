//! Syslog: where to, and what a message looks like (RFC 3164, RFC 5424). Pure but for looking up names.

use super::record::Source;
use hull_model::{ContainerId, LogConfig};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A remote end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A datagram socket by path.
    UnixGram(PathBuf),
    /// A stream socket by path.
    Unix(PathBuf),
    /// UDP.
    Udp(SocketAddr),
    /// TCP.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnixGram(path) => write!(f, "unixgram://{}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Udp(to) => write!(f, "udp://{to}"),
            Self::Tcp(to) => write!(f, "tcp://{to}"),
        }
    }
}

/// Sockets of the host's own syslog.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

impl Address {
    /// From the option `syslog-address`, in which names of hosts were replaced by addresses ([`resolve`]). Empty: the host's own.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            let local = LOCAL.iter().find(|path| Path::new(path).exists());
            return local
                .map(|path| Self::UnixGram(path.into()))
                .ok_or_else(|| "Unix syslog delivery error".to_owned());
        }
        let (scheme, rest) = split(text)?;
        let network =
            || rest.parse::<SocketAddr>().map_err(|_| format!("{rest:?} is not an address and a port"));
        match scheme {
            "unix" => Ok(Self::Unix(rest.into())),
            "unixgram" => Ok(Self::UnixGram(rest.into())),
            "udp" => network().map(Self::Udp),
            _ => network().map(Self::Tcp),
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    match scheme {
        "unix" | "unixgram" | "udp" | "tcp" => Ok((scheme, rest)),
        "tcp+tls" => {
            Err("syslog-address: tcp+tls is not supported; use tcp through a TLS proxy of your own"
                .to_owned())
        }
        other => Err(format!("unsupported scheme: '{other}'")),
    }
}

/// The same address with numbers instead of names, and with the port. Asks the host's resolver, and so waits.
#[cfg(feature = "client")]
pub(crate) fn resolve(text: &str) -> Result<String, String> {
    use std::net::ToSocketAddrs as _;
    if text.is_empty() {
        return Ok(String::new());
    }
    let (scheme, rest) = split(text)?;
    if scheme.starts_with("unix") {
        return Ok(text.to_owned());
    }
    let port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = if port { rest.to_owned() } else { format!("{rest}:514") };
    let mut found =
        target.to_socket_addrs().map_err(|error| format!("dial {scheme}: lookup {rest}: {error}"))?;
    let first = found.next().ok_or_else(|| format!("dial {scheme}: lookup {rest}: no such host"))?;
    Ok(format!("{scheme}://{first}"))
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// The shape of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Local,
    Rfc3164,
    Rfc5424 { micro: bool },
}

/// How a container's output becomes messages.
#[derive(Debug)]
pub(crate) struct Syslog {
    shape: Shape,
    facility: u8,
    tag: String,
    host: String,
    pid: u32,
    zone: TimeZone,
}

impl Syslog {
    /// From the options `syslog-format`, `syslog-facility` and `tag`.
    pub(crate) fn new(
        id: &ContainerId,
        config: &LogConfig,
        host: String,
        zone: TimeZone,
    ) -> Result<Self, String> {
        let option = |name: &str| config.options.get(name).map_or("", String::as_str);
        let shape = match option("syslog-format") {
            "" => Shape::Local,
            "rfc3164" => Shape::Rfc3164,
            "rfc5424" => Shape::Rfc5424 { micro: false },
            "rfc5424micro" => Shape::Rfc5424 { micro: true },
            _ => return Err("Invalid syslog format".to_owned()),
        };
        let facility = facility(option("syslog-facility")).ok_or("invalid syslog facility")?;
        let tag = Some(option("tag")).filter(|tag| !tag.is_empty()).unwrap_or(id.short()).to_owned();
        Ok(Self { shape, facility, tag, host, pid: std::process::id(), zone })
    }

    /// A piece of output as a message; always with a newline at its end.
    pub(super) fn message(&self, source: Source, at: Timestamp, bytes: &[u8]) -> Vec<u8> {
        let severity = if source == Source::Stderr { 3 } else { 6 };
        let priority = self.facility * 8 + severity;
        let Self { tag, host, pid, .. } = self;
        let at = at.to_zoned(self.zone.clone());
        let stamp = || at.strftime("%b %e %H:%M:%S");
        let head = match self.shape {
            Shape::Local => format!("<{priority}>{} {tag}[{pid}]: ", stamp()),
            Shape::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", stamp()),
            Shape::Rfc5424 { micro } => {
                let (fraction, zone) = (if micro { "%.6f" } else { "" }, at.offset());
                let time = at.strftime(&format!("%Y-%m-%dT%H:%M:%S{fraction}")).to_string();
                let zone = if zone.is_zero() { "Z".to_owned() } else { at.strftime("%:z").to_string() };
                format!("<{priority}>1 {time}{zone} {host} {tag} {pid} {tag} - ")
            }
        };
        let mut message = head.into_bytes();
        message.extend_from_slice(bytes.strip_suffix(b"\n").unwrap_or(bytes));
        message.push(b'\n');
        message
    }
}

fn facility(text: &str) -> Option<u8> {
    if text.is_empty() {
        return Some(3);
    }
    let named = FACILITIES.iter().position(|name| *name == text).and_then(|at| u8::try_from(at).ok());
    named.or_else(|| text.parse().ok().filter(|number| *number < 24))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::LogDriver;

    fn syslog(options: &[(&str, &str)]) -> Result<Syslog, String> {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = LogConfig { driver: LogDriver::Syslog, options, ..LogConfig::default() };
        let made =
            Syslog::new(&ContainerId::from_random([0xab; 32]), &config, "box".to_owned(), TimeZone::UTC);
        made.map(|syslog| Syslog { pid: 7, ..syslog })
    }

    fn said(options: &[(&str, &str)], source: Source) -> String {
        let at: Timestamp = "2026-11-02T05:08:03.123456789Z".parse().unwrap();
        String::from_utf8(syslog(options).unwrap().message(source, at, b"hello\n")).unwrap()
    }

    #[test]
    fn messages_have_the_shape_that_was_asked_for() {
        assert_eq!(said(&[], Source::Stdout), "<30>Nov  2 05:08:03 abababababab[7]: hello\n");
        let options = [("syslog-format", "rfc3164"), ("syslog-facility", "local7"), ("tag", "web")];
        assert_eq!(said(&options, Source::Stderr), "<187>Nov  2 05:08:03 box web[7]: hello\n");
        let options = [("syslog-format", "rfc5424"), ("syslog-facility", "0"), ("tag", "web")];
        assert_eq!(said(&options, Source::Stdout), "<6>1 2026-11-02T05:08:03Z box web 7 web - hello\n");
        let options = [("syslog-format", "rfc5424micro"), ("tag", "web")];
        assert_eq!(
            said(&options, Source::Stdout),
            "<30>1 2026-11-02T05:08:03.123456Z box web 7 web - hello\n"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(syslog(&[("syslog-format", "x")]).unwrap_err(), "Invalid syslog format");
        assert_eq!(syslog(&[("syslog-facility", "24")]).unwrap_err(), "invalid syslog facility");
        assert_eq!(Address::parse("tcp+foo://x").unwrap_err(), "unsupported scheme: 'tcp+foo'");
        assert!(Address::parse("tcp+tls://127.0.0.1:1").unwrap_err().contains("not supported"));
        assert_eq!(Address::parse("udp://[::1]:5").unwrap(), Address::Udp("[::1]:5".parse().unwrap()));
        assert_eq!(Address::parse("unix:///a/b").unwrap(), Address::Unix("/a/b".into()));
    }

    #[cfg(feature = "client")]
    #[test]
    fn names_become_addresses_and_ports_are_filled_in() {
        assert_eq!(resolve("udp://127.0.0.1").unwrap(), "udp://127.0.0.1:514");
        assert_eq!(resolve("tcp://127.0.0.1:99").unwrap(), "tcp://127.0.0.1:99");
        assert_eq!(resolve("unixgram:///dev/log").unwrap(), "unixgram:///dev/log");
        assert!(resolve("udp://no.such.host.invalid").unwrap_err().contains("no.such.host.invalid"));
    }
}
