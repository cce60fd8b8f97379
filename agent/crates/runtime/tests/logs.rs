//! Where output goes and how it is read back, for real.

mod common;

use common::{Host, text, until, within};
use hull_model::{ContainerId, LogConfig, LogDriver};
use hull_ports::{Bundle, ErrorClass, LogOptions, Runtime as _, Stream};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn directory(host: &Host, id: &ContainerId) -> PathBuf {
    host.path("state/containers").join(id.as_str())
}

fn names(path: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn logging(host: &Host, script: &str, log: LogConfig) -> Bundle {
    Bundle { log, ..host.bundle(&["sh", "-c", script]) }
}

#[tokio::test]
async fn json_files_are_dockers() {
    let host = Host::new().await;
    let log = LogConfig {
        driver: LogDriver::JsonFile,
        attributes: map(&[("com.example", "a<b"), ("tag", "web")]),
        ..LogConfig::default()
    };
    let bundle =
        logging(&host, "printf 'a\\tb\\n'; sleep 0.1; echo err >&2; sleep 0.1; printf end", log.clone());
    assert_eq!(host.run(&bundle).await.0.code, 0);
    let file = directory(&host, &bundle.id).join(format!("{}-json.log", bundle.id));
    let written = std::fs::read_to_string(file).unwrap();
    let attributes = r#""attrs":{"com.example":"a\u003cb","tag":"web"}"#;
    let heads = [
        r#"{"log":"a\u0009b\n","stream":"stdout","#,
        r#"{"log":"err\n","stream":"stderr","#,
        r#"{"log":"end","stream":"stdout","#,
    ];
    for (line, head) in written.lines().zip(heads) {
        assert!(
            line.starts_with(&format!("{head}{attributes},\"time\":\"20")) && line.ends_with("Z\"}"),
            "{line}"
        );
        serde_json::from_str::<Value>(line).unwrap();
    }
    assert_eq!(written.lines().count(), 3);
    let lines = host.lines(&bundle.id, &LogOptions::default()).await;
    assert_eq!(text(&lines), "a\tb\nerr\nend");
    assert_eq!(lines[1].stream, Stream::Stderr);
    assert!(lines.iter().all(|line| *line.attributes == log.attributes));
    // The default driver keeps what goes with lines once, not with each.
    let bundle = logging(&host, "echo x", LogConfig { driver: LogDriver::Local, ..log.clone() });
    host.run(&bundle).await;
    assert_eq!(*host.lines(&bundle.id, &LogOptions::default()).await[0].attributes, log.attributes);
    let none = logging(&host, "echo x", LogConfig { driver: LogDriver::None, ..log });
    host.driver.start(&none).await.unwrap();
    within(host.driver.wait(&none.id)).await.unwrap();
    let error = host.driver.logs(&none.id, &LogOptions::default()).await.err().unwrap();
    let expected = "configured logging driver does not support reading";
    assert_eq!((error.class, error.chain().as_str()), (ErrorClass::Permanent, expected));
    host.finish().await;
}

#[tokio::test]
async fn full_files_are_compressed_while_the_container_goes_on() {
    let host = Host::new().await;
    for driver in [LogDriver::Local, LogDriver::JsonFile] {
        let log = LogConfig { driver, max_size: 200_000, max_files: 50, ..LogConfig::default() };
        let bundle = logging(&host, "for i in $(seq 30000); do echo line $i; done", log);
        let expected: String = (1..=30_000).map(|n| format!("line {n}\n")).collect();
        host.driver.start(&bundle).await.unwrap();
        let followed = host.lines(&bundle.id, &LogOptions { follow: true, ..LogOptions::default() }).await;
        assert!(text(&followed) == expected, "{} lines", followed.len());
        let place = match driver {
            LogDriver::JsonFile => directory(&host, &bundle.id),
            _ => directory(&host, &bundle.id).join("log"),
        };
        let packed = |name: &String| name.ends_with(".gz");
        let full = |name: &String| name.rsplit('.').next().is_some_and(|end| end.parse::<u32>().is_ok());
        until("all full files are compressed", || {
            let names = names(place.clone());
            names.iter().any(packed) && !names.iter().any(full) && !names.iter().any(|n| n.ends_with(".tmp"))
        })
        .await;
        assert!(host.output(&bundle.id).await == expected);
        for tail in [1, 10, 9_999, 25_000] {
            let lines =
                host.lines(&bundle.id, &LogOptions { tail: Some(tail), ..LogOptions::default() }).await;
            assert!(lines == followed[followed.len() - tail..], "tail {tail}");
        }
        let gz = names(place.clone()).into_iter().find(packed).unwrap();
        let check = std::process::Command::new("gzip").arg("-t").arg(place.join(gz)).status().unwrap();
        assert!(check.success());
    }
    host.finish().await;
}

#[tokio::test]
async fn long_lines_come_in_parts() {
    let host = Host::new().await;
    let bundle =
        logging(&host, "head -c 40000 /dev/zero | busybox tr '\\0' x; echo; echo next", LogConfig::default());
    host.run(&bundle).await;
    let lines = host.lines(&bundle.id, &LogOptions::default()).await;
    let sizes: Vec<usize> = lines.iter().map(|line| line.bytes.len()).collect();
    assert_eq!(sizes, [16_384, 16_384, 40_001 - 2 * 16_384, 5]);
    host.finish().await;
}

/// A file system of one megabyte for the supervisor's files.
struct Small(PathBuf);

impl Small {
    fn new(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(&path)
            .status();
        assert!(done.unwrap().success());
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_there_and_stops_nobody() {
    let host = Host::new().await;
    let bundle = logging(
        &host,
        "echo before; while [ ! -e /tmp/fill ]; do sleep 0.02; done; yes lost | head -n 20000; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo after; exit 6",
        LogConfig { max_size: 0, ..LogConfig::default() },
    );
    let log = directory(&host, &bundle.id).join("log");
    let small = Small::new(log.clone());
    host.driver.start(&bundle).await.unwrap();
    host.until_said(&bundle.id, "before").await;
    // Somebody else uses what there is.
    let mut ballast = std::fs::File::create(log.join("ballast")).unwrap();
    let _ = std::io::copy(&mut std::io::repeat(0), &mut ballast);
    assert_eq!(host.exec(&bundle.id, &["touch", "/tmp/fill"]).await.0.code, 0);
    // The container says everything, and is waited for by nobody.
    until("it has said everything", || {
        let text = std::fs::read_to_string(host.path("run/runtime.log")).unwrap_or_default();
        text.contains("no space left on device")
    })
    .await;
    drop(ballast);
    std::fs::remove_file(log.join("ballast")).unwrap();
    assert_eq!(host.exec(&bundle.id, &["touch", "/tmp/go"]).await.0.code, 0);
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 6);
    let said = host.output(&bundle.id).await;
    assert!(said.starts_with("before\n") && said.ends_with("after\n"), "{} bytes", said.len());
    let notes: Vec<&str> = said.lines().filter(|line| line.starts_with("hull: ")).collect();
    assert!(
        notes.iter().all(|note| note.contains("were not kept here: no space left on device")),
        "{notes:?}"
    );
    let lost: usize =
        notes.iter().map(|note| note.split(' ').nth(1).unwrap().parse::<usize>().unwrap()).sum();
    let kept = said.lines().filter(|line| *line == "lost").count();
    assert!(lost > 0 && lost + kept == 20_000, "{kept} {notes:?}");
    host.driver.remove(&bundle.id).await.unwrap_err();
    drop(small);
    host.driver.remove(&bundle.id).await.unwrap();
    host.finish().await;
}

#[tokio::test]
async fn the_end_is_recorded_once_there_is_room() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 7"]);
    let small = Small::new(directory(&host, &bundle.id));
    host.driver.start(&bundle).await.unwrap();
    let mut ballast = std::fs::File::create(small.0.join("ballast")).unwrap();
    let _ = std::io::copy(&mut std::io::repeat(0), &mut ballast);
    host.exec(&bundle.id, &["touch", "/tmp/go"]).await;
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 7);
    assert!(std::fs::read(small.0.join("exit.json")).is_err());
    drop(ballast);
    std::fs::remove_file(small.0.join("ballast")).unwrap();
    until("it is recorded", || small.0.join("exit.json").exists()).await;
    drop(small);
    host.finish().await;
}

fn syslog(address: String, more: &[(&str, &str)]) -> LogConfig {
    let mut options = map(more);
    options.insert("syslog-address".to_owned(), address);
    LogConfig { driver: LogDriver::Syslog, options, ..LogConfig::default() }
}

#[tokio::test]
async fn syslog_is_told_and_logs_can_be_read_still() {
    let host = Host::new().await;
    let script = "echo one; sleep 0.1; echo two >&2";
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let local = host.path("dgram");
    let datagrams = UnixDatagram::bind(&local).unwrap();
    datagrams.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut buffer = [0u8; 2000];
    let mut received = |receive: &dyn Fn(&mut [u8]) -> std::io::Result<usize>| {
        let length = receive(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    // By name: the supervisor itself never looks one up.
    let port = server.local_addr().unwrap().port();
    let udp = syslog(format!("udp://localhost:{port}"), &[("syslog-format", "rfc5424micro"), ("tag", "web")]);
    let udp = if std::net::ToSocketAddrs::to_socket_addrs("localhost:1").unwrap().next().unwrap().is_ipv4() {
        udp
    } else {
        syslog(format!("udp://127.0.0.1:{port}"), &[("syslog-format", "rfc5424micro"), ("tag", "web")])
    };
    let bundle = logging(&host, script, udp);
    assert_eq!(host.run(&bundle).await.1, "one\ntwo\n");
    let first = received(&|buffer| server.recv(buffer));
    assert!(
        first.starts_with("<30>1 20") && first.contains(" web ") && first.ends_with(" - one\n"),
        "{first:?}"
    );
    let second = received(&|buffer| server.recv(buffer));
    assert!(second.starts_with("<27>1 20") && second.ends_with(" - two\n"), "{second:?}");
    let options = [("syslog-facility", "local3"), ("cache-disabled", "true")];
    let bundle = logging(&host, script, syslog(format!("unixgram://{}", local.display()), &options));
    host.driver.start(&bundle).await.unwrap();
    let first = received(&|buffer| datagrams.recv(buffer));
    assert!(first.starts_with("<158>") && first.contains(&format!(" {}[", bundle.id.short())), "{first:?}");
    within(host.driver.wait(&bundle.id)).await.unwrap();
    let error = host.driver.logs(&bundle.id, &LogOptions::default()).await.err().unwrap();
    assert!(error.chain().contains("does not support reading"));
    for (address, words) in [
        (
            "tcp://127.0.0.1:1",
            "failed to initialize logging driver: dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        ("tcp+tls://127.0.0.1:1", "tcp+tls is not supported"),
        ("gopher://x", "unsupported scheme: 'gopher'"),
        ("unixgram:///nowhere/at/all", "no such file or directory"),
    ] {
        let error =
            host.driver.start(&logging(&host, script, syslog(address.to_owned(), &[]))).await.unwrap_err();
        assert!(error.chain().contains(words), "{}", error.chain());
    }
    let journal = LogConfig { driver: LogDriver::Journald, ..LogConfig::default() };
    if !std::path::Path::new("/run/systemd/journal/socket").exists() {
        let error = host.driver.start(&logging(&host, script, journal)).await.unwrap_err();
        assert_eq!(
            error.chain(),
            "failed to initialize logging driver: journald is not enabled on this host"
        );
    }
    assert_eq!(host.driver.list().await.unwrap().len(), 2);
    host.finish().await;
}

#[tokio::test]
async fn a_server_that_does_not_read_makes_the_container_wait_or_lose() {
    let host = Host::new().await;
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", server.local_addr().unwrap());
    let script = "yes 0123456789 | head -n 300000; touch /tmp/done; while :; do sleep 0.05; done";
    let mut log = syslog(address, &[("tag", "t"), ("cache-disabled", "true")]);
    let waits = logging(&host, script, log.clone());
    host.driver.start(&waits).await.unwrap();
    let (probe, _) = server.accept().unwrap();
    let (connection, _) = server.accept().unwrap();
    drop(probe);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_ne!(host.exec(&waits.id, &["ls", "/tmp/done"]).await.0.code, 0, "it was not made to wait");
    assert_eq!(host.shell("echo quick").await.1, "quick\n");
    // It goes on as the server reads, and nothing is missing.
    let counting = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(connection).lines().take(300_000);
        lines.filter(|line| line.as_ref().unwrap().ends_with("]: 0123456789")).count()
    });
    assert_eq!(within(counting).await.unwrap(), 300_000);
    // Unless losing is what was asked for: then the loss is counted.
    log.non_blocking = true;
    log.options.insert("max-buffer-size".to_owned(), "64k".to_owned());
    let loses = logging(&host, script, log);
    host.driver.start(&loses).await.unwrap();
    let (probe, _) = server.accept().unwrap();
    let (mut connection, _) = server.accept().unwrap();
    drop(probe);
    let deadline = Instant::now() + Duration::from_secs(30);
    while host.exec(&loses.id, &["ls", "/tmp/done"]).await.0.code != 0 {
        assert!(Instant::now() < deadline, "it was made to wait");
    }
    host.driver.kill(&loses.id).await.unwrap();
    within(host.driver.wait(&loses.id)).await.unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut all = String::new();
        connection.read_to_string(&mut all).unwrap();
        all.lines().count()
    });
    let kept = within(read).await.unwrap();
    assert!(kept > 0 && kept < 300_000, "{kept}");
    host.driver.kill(&waits.id).await.unwrap();
    host.finish().await;
}

#[tokio::test]
async fn the_last_lines_of_a_large_log_come_at_once() {
    let host = Host::new().await;
    let log = LogConfig { max_size: 0, ..LogConfig::default() };
    let bundle = logging(&host, "yes 0123456789abcdefghijklmnopqrstuvwxyz | head -n 3000000; echo last", log);
    host.driver.start(&bundle).await.unwrap();
    within(host.driver.wait(&bundle.id)).await.unwrap();
    let begin = Instant::now();
    let lines = host.lines(&bundle.id, &LogOptions { tail: Some(2), ..LogOptions::default() }).await;
    println!("the last two of three million lines: {:?}", begin.elapsed());
    assert_eq!(text(&lines), "0123456789abcdefghijklmnopqrstuvwxyz\nlast\n");
    host.finish().await;
}
