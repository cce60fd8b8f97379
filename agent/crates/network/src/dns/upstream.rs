//! Questions to the host's resolvers, from the host's namespace.

use super::Directory;
use super::zone::{Scope, Upstream};
use hull_ports::{Entropy, SystemEntropy};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const DNS_PORT: u16 = 53;
/// For one server to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the list of servers is gone through.
const ROUNDS: usize = 2;
/// systemd-resolved's listener.
const STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));

/// Length of a message's header (RFC 1035, 4.1.1).
const HEADER: usize = 12;
const TRUNCATED: u8 = 0x02;

/// Servers that a resolv.conf(5) names. Link-local ones with a zone are left out. Pure.
fn parse_servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(server).collect()
}

impl Directory {
    fn servers(&self, scope: &Scope) -> Vec<IpAddr> {
        match &scope.upstream {
            Upstream::Nobody => Vec::new(),
            Upstream::Servers(servers) => servers.clone(),
            Upstream::Host => {
                // Read for every question: it is small, in memory, and changes with every lease.
                let files: Vec<Vec<IpAddr>> = (self.resolv_conf.iter())
                    .filter_map(|file| std::fs::read_to_string(file).ok())
                    .map(|text| parse_servers(&text))
                    .collect();
                choose(&files)
            }
        }
    }

    /// Asks on behalf of a container. `stream`: it asked over TCP. `limit`: how long an answer it takes. `None`: nobody
    /// answered.
    pub(super) async fn forward(
        &self,
        scope: &Scope,
        query: &[u8],
        stream: bool,
        limit: usize,
    ) -> Option<Vec<u8>> {
        let question = question(query)?;
        let servers = self.servers(scope);
        let mut last_resort = None;
        for server in std::iter::repeat_n(&servers, ROUNDS).flatten() {
            let server = SocketAddr::new(*server, DNS_PORT);
            let Ok(Ok(answer)) = timeout(PATIENCE, ask(server, query, question, stream, limit)).await else {
                continue;
            };
            // SERVFAIL and REFUSED: the next one may know better.
            if matches!(answer[3] & 0xf, 2 | 5) {
                last_resort.get_or_insert(answer);
            } else {
                return Some(answer);
            }
        }
        last_resort
    }
}

/// The first list that does not only name systemd-resolved's own listener; that one if there is nothing else. Pure.
fn choose(files: &[Vec<IpAddr>]) -> Vec<IpAddr> {
    let beyond = |servers: &&Vec<IpAddr>| servers.iter().any(|s| *s != STUB);
    files.iter().find(beyond).or_else(|| files.first()).cloned().unwrap_or_default()
}

async fn ask(
    server: SocketAddr,
    query: &[u8],
    question: &[u8],
    stream: bool,
    limit: usize,
) -> io::Result<Vec<u8>> {
    let [high, low, ..] = SystemEntropy.bytes();
    let mut request = query.to_vec();
    request[..2].copy_from_slice(&[high, low]);
    let mut answer = if stream {
        ask_stream(server, &request, question).await?
    } else {
        let short = ask_datagram(server, &request, question).await?;
        if short[2] & TRUNCATED == 0 {
            short
        } else {
            // Not every program asks again over TCP: if the whole answer fits, it need not.
            match ask_stream(server, &request, question).await {
                Ok(whole) if whole.len() <= limit => whole,
                _ => short,
            }
        }
    };
    answer[..2].copy_from_slice(&query[..2]);
    Ok(answer)
}

async fn ask_datagram(server: SocketAddr, request: &[u8], question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A port that nobody can guess, for this question alone; connected, so that only the server is heard.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(request).await?;
    let mut buffer = vec![0u8; 8 << 10];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(&buffer[..length], request, question) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_stream(server: SocketAddr, request: &[u8], question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(request.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), request].concat()).await?;
    let mut answer = vec![0u8; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if answers(&answer, request, question) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether it is an answer to this request: same id, same question. Pure.
fn answers(answer: &[u8], request: &[u8], question: &[u8]) -> bool {
    answer.len() >= HEADER
        && answer[..2] == request[..2]
        && answer[2] & 0x80 != 0
        && (answer[4..6] == [0, 0]
            || answer.get(HEADER..HEADER + question.len()).is_some_and(|q| q.eq_ignore_ascii_case(question)))
}

/// The one question of a query, as bytes; `None` if it is not plain. Pure.
fn question(query: &[u8]) -> Option<&[u8]> {
    if query.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = HEADER;
    loop {
        match *query.get(at)? {
            0 => return query.get(HEADER..at + 5),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text = "# nameserver 1.1.1.1\nnameserver 192.0.2.53\nsearch a\nnameserver fe80::1%eth0\nnameserver ::1\nnameserver\n";
        assert_eq!(parse_servers(text), ["192.0.2.53".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
    }

    #[test]
    fn the_stub_resolver_is_passed_over() {
        let real: IpAddr = "192.0.2.53".parse().unwrap();
        let rows: [(&[Vec<IpAddr>], Vec<IpAddr>); 4] = [
            (&[vec![STUB], vec![real]], vec![real]),
            (&[vec![real], vec![STUB]], vec![real]),
            (&[vec![STUB]], vec![STUB]),
            (&[], vec![]),
        ];
        for (files, expected) in rows {
            assert_eq!(choose(files), expected, "{files:?}");
        }
    }

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
        let asked = question(query).unwrap();
        assert_eq!(asked, b"\x01a\x00\x00\x01\x00\x01");
        let mut good = query.to_vec();
        good[2] |= 0x80;
        good[13] = b'A';
        assert!(answers(&good, query, asked));
        for (at, byte) in [(0, 0), (2, 1), (13, b'b'), (15, 9)] {
            let mut other = good.clone();
            other[at] = byte;
            assert!(!answers(&other, query, asked), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(a in proptest::collection::vec(any::<u8>(), 0..80), b in proptest::collection::vec(any::<u8>(), 12..80)) {
            if let Some(asked) = question(&b) {
                let _ = answers(&a, &b, asked);
            }
        }
    }
}
