//! Clients at the streams of a container's main process, for real.

mod common;

use common::{Host, alive, text, until, within};
use hull_model::{ContainerId, LogConfig};
use hull_ports::{AttachIo, AttachSpec, Bundle, ErrorClass, LogOptions, Runtime as _};
use serde_json::json;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const OUT: AttachSpec = AttachSpec { stdin: false, stdout: true, stderr: false };
const ALL: AttachSpec = AttachSpec { stdin: true, stdout: true, stderr: true };

/// Reads to the end, on a thread of its own.
fn reading(fd: Option<OwnedFd>) -> JoinHandle<Vec<u8>> {
    tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        File::from(fd.unwrap()).read_to_end(&mut all).unwrap();
        all
    })
}

/// Lines of all lengths and bytes, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn unlimited() -> LogConfig {
    LogConfig { max_size: 0, ..LogConfig::default() }
}

fn interactive(host: &Host, args: &[&str], once: bool) -> Bundle {
    Bundle { stdin_open: true, stdin_once: once, ..host.bundle(args) }
}

async fn attach(host: &Host, id: &ContainerId, spec: AttachSpec) -> AttachIo {
    host.driver.attach(id, &spec).await.unwrap_or_else(|error| panic!("{}", error.chain()))
}

#[tokio::test]
async fn nothing_is_missed_by_who_attached_before_the_start() {
    let host = Host::new().await;
    for _ in 0..20 {
        let bundle = host.bundle(&["sh", "-c", "echo out; echo err >&2; exit 3"]);
        let io = attach(&host, &bundle.id, AttachSpec { stderr: true, ..OUT }).await;
        let (out, err) = (reading(io.stdout), reading(io.stderr));
        host.driver.start(&bundle).await.unwrap();
        assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 3);
        assert_eq!(within(out).await.unwrap(), b"out\n");
        assert_eq!(within(err).await.unwrap(), b"err\n");
    }
    // A start that fails is the end of the stream, too.
    let bundle = host.bundle(&["nothing"]);
    let io = attach(&host, &bundle.id, OUT).await;
    host.driver.start(&bundle).await.unwrap_err();
    assert_eq!(within(reading(io.stdout)).await.unwrap(), b"");
    host.finish().await;
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_as_they_were_written_and_are_logged() {
    let data = noise(100 << 20);
    let host = Host::with_image(|image| std::fs::write(image.join("data"), &data).unwrap()).await;
    let bundle = Bundle { log: unlimited(), ..host.bundle(&["cat", "/data"]) };
    let io = attach(&host, &bundle.id, OUT).await;
    let out = reading(io.stdout);
    let begin = Instant::now();
    host.driver.start(&bundle).await.unwrap();
    let seen = within(out).await.unwrap();
    println!("100 MiB through attach and log: {:?}", begin.elapsed());
    assert!(seen == data, "{} bytes of {}", seen.len(), data.len());
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.supervisor_pid())).unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
    within(host.driver.wait(&bundle.id)).await.unwrap();
    let logged: Vec<u8> = host
        .lines(&bundle.id, &LogOptions::default())
        .await
        .into_iter()
        .flat_map(|line| line.bytes)
        .collect();
    assert!(logged == data, "{} bytes of {} in the log", logged.len(), data.len());
    host.finish().await;
}

#[tokio::test]
async fn five_clients_see_the_same_though_one_is_slow_and_one_leaves() {
    let data = noise(8 << 20);
    let host = Host::with_image(|image| std::fs::write(image.join("data"), &data).unwrap()).await;
    let bundle = Bundle { log: unlimited(), ..host.bundle(&["cat", "/data"]) };
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(reading(attach(&host, &bundle.id, OUT).await.stdout));
    }
    let slow = attach(&host, &bundle.id, OUT).await;
    let leaves = attach(&host, &bundle.id, ALL).await;
    readers.push(tokio::task::spawn_blocking(move || {
        let (mut file, mut all, mut buffer) = (File::from(slow.stdout.unwrap()), Vec::new(), [0u8; 1000]);
        while let length @ 1.. = file.read(&mut buffer).unwrap() {
            all.extend_from_slice(&buffer[..length]);
        }
        all
    }));
    host.driver.start(&bundle).await.unwrap();
    let mut some = vec![0; 100_000];
    File::from(leaves.stdout.unwrap()).read_exact(&mut some).unwrap();
    assert!(some == data[..some.len()]);
    drop((leaves.stdin, leaves.stderr));
    for reader in readers {
        assert!(within(reader).await.unwrap() == data);
    }
    host.finish().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_its_container_and_nobody_else() {
    let host = Host::new().await;
    let bundle = Bundle { log: unlimited(), ..host.bundle(&["yes"]) };
    let io = attach(&host, &bundle.id, OUT).await;
    host.driver.start(&bundle).await.unwrap();
    let log = host.path("state/containers").join(bundle.id.as_str()).join("log/output");
    let size = || std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let stopped = async || {
        let (mut last, mut since) = (size(), Instant::now());
        until("it stops", || {
            if size() != last {
                (last, since) = (size(), Instant::now());
            }
            last > 0 && since.elapsed() > Duration::from_millis(300)
        })
        .await;
        last
    };
    let first = stopped().await;
    assert!(first < 4 << 20, "{first}");
    assert_eq!(host.shell("echo quick").await.1, "quick\n");
    // It goes on as far as it is read, and freely when nobody reads.
    let mut file = File::from(io.stdout.unwrap());
    let mut some = vec![0; 1 << 20];
    file.read_exact(&mut some).unwrap();
    assert!(stopped().await > first);
    drop(file);
    let stopped_at = size();
    until("it goes on", || size() != stopped_at).await;
    host.driver.kill(&bundle.id).await.unwrap();
    within(host.driver.wait(&bundle.id)).await.unwrap();
    host.finish().await;
}

#[tokio::test]
async fn what_a_slow_reader_has_not_read_waits_for_it_after_the_end() {
    let host = Host::new().await;
    let data = "0123456789abcde\n".repeat(8_000);
    let bundle = host.bundle(&["sh", "-c", "yes 0123456789abcde | head -n 8000"]);
    let io = attach(&host, &bundle.id, OUT).await;
    host.driver.start(&bundle).await.unwrap();
    // The container has written everything into pipes and ended; the reader begins only now.
    within(host.driver.wait(&bundle.id)).await.unwrap();
    host.driver.remove(&bundle.id).await.unwrap();
    assert!(within(reading(io.stdout)).await.unwrap() == data.as_bytes());
    host.finish().await;
}

#[tokio::test]
async fn the_stream_ends_with_the_main_process() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sh", "-c", "sleep 1000 & echo done"]);
    let io = attach(&host, &bundle.id, OUT).await;
    host.driver.start(&bundle).await.unwrap();
    assert_eq!(within(reading(io.stdout)).await.unwrap(), b"done\n");
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 0);
    host.finish().await;
}

#[tokio::test]
async fn ten_megabytes_are_piped_in() {
    let host = Host::new().await;
    let data = noise(10 << 20);
    std::fs::write(host.path("data"), &data).unwrap();
    let sum = std::process::Command::new(host.path("image/bin/busybox"))
        .arg("sha256sum")
        .stdin(File::open(host.path("data")).unwrap())
        .output()
        .unwrap();
    let bundle = interactive(&host, &["busybox", "sha256sum"], true);
    let io = attach(&host, &bundle.id, ALL).await;
    // As much as fits is written, and all of it if it fits, before there is a container.
    let writing = tokio::task::spawn_blocking(move || {
        File::from(io.stdin.unwrap()).write_all(&data).unwrap();
    });
    host.driver.start(&bundle).await.unwrap();
    within(writing).await.unwrap();
    assert_eq!(within(reading(io.stdout)).await.unwrap(), sum.stdout);
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 0);
    host.finish().await;
}

#[tokio::test]
async fn input_that_was_finished_before_the_start_arrives() {
    let host = Host::new().await;
    for words in [&b"early\n"[..], b""] {
        let bundle = interactive(&host, &["cat"], true);
        let io = attach(&host, &bundle.id, ALL).await;
        File::from(io.stdin.unwrap()).write_all(words).unwrap();
        host.driver.start(&bundle).await.unwrap();
        assert_eq!(within(reading(io.stdout)).await.unwrap(), words);
    }
    // A container whose input is not open reads its end at once.
    let deaf = host.bundle(&["cat"]);
    let io = attach(&host, &deaf.id, ALL).await;
    host.driver.start(&deaf).await.unwrap();
    assert_eq!(within(reading(io.stdout)).await.unwrap(), b"");
    until("nobody reads", || nix::unistd::write(io.stdin.as_ref().unwrap(), b"x") == Err(nix::Error::EPIPE))
        .await;
    host.finish().await;
}

#[tokio::test]
async fn several_clients_write_and_the_input_stays_open() {
    let host = Host::new().await;
    let bundle = interactive(&host, &["cat"], false);
    host.driver.start(&bundle).await.unwrap();
    for words in ["one\n", "two\n", "three\n"] {
        let io = attach(&host, &bundle.id, AttachSpec { stdin: true, ..AttachSpec::default() }).await;
        File::from(io.stdin.unwrap()).write_all(words.as_bytes()).unwrap();
        host.until_said(&bundle.id, words).await;
    }
    assert_eq!(host.output(&bundle.id).await, "one\ntwo\nthree\n");
    host.driver.kill(&bundle.id).await.unwrap();
    within(host.driver.wait(&bundle.id)).await.unwrap();
    // Closed for good by the first one who finishes, if so asked.
    let once = interactive(&host, &["sh", "-c", "cat; while :; do sleep 0.05; done"], true);
    host.driver.start(&once).await.unwrap();
    let (first, second) = (attach(&host, &once.id, ALL).await, attach(&host, &once.id, ALL).await);
    drop(first.stdin);
    until("it is closed", || {
        nix::unistd::write(second.stdin.as_ref().unwrap(), b"x") == Err(nix::Error::EPIPE)
    })
    .await;
    assert_eq!(host.driver.attach(&once.id, &ALL).await.unwrap_err().class, ErrorClass::Conflict);
    attach(&host, &once.id, OUT).await;
    host.finish().await;
}

#[tokio::test]
async fn a_full_input_makes_its_writers_wait() {
    let host = Host::new().await;
    let script = "while [ ! -e /tmp/go ]; do sleep 0.02; done; exec busybox wc -c";
    let bundle = interactive(&host, &["sh", "-c", script], true);
    host.driver.start(&bundle).await.unwrap();
    let io = attach(&host, &bundle.id, ALL).await;
    let writing = tokio::task::spawn_blocking(move || {
        File::from(io.stdin.unwrap()).write_all(&vec![b'x'; 3 << 20]).unwrap();
    });
    let ticks = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<u64> =
            stat.split(") ").nth(1).unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
        fields[10] + fields[11]
    };
    // The supervisor sleeps meanwhile.
    let before = ticks(host.supervisor_pid());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!writing.is_finished());
    assert!(ticks(host.supervisor_pid()) - before < 10, "it is busy waiting");
    assert_eq!(host.exec(&bundle.id, &["touch", "/tmp/go"]).await.0.code, 0);
    within(writing).await.unwrap();
    assert_eq!(within(reading(io.stdout)).await.unwrap(), b"3145728\n");
    host.finish().await;
}

#[tokio::test]
async fn a_terminal_is_read_written_resized_and_left() {
    let host = Host::new().await;
    let script = "stty -echo; stty size; while read word; do echo \"got $word\"; stty size; done";
    let mut spec = common::specification(&["sh", "-c", script]);
    spec["process"]["terminal"] = json!(true);
    spec["process"]["consoleSize"] = json!({"height": 30, "width": 100});
    let bundle = Bundle { stdin_open: true, stdin_once: true, ..host.bundle_of(spec) };
    let io = attach(&host, &bundle.id, ALL).await;
    host.driver.start(&bundle).await.unwrap();
    assert_eq!(within(reading(io.stderr)).await.unwrap(), b"", "everything is standard output");
    host.until_said(&bundle.id, "30 100").await;
    host.driver.resize(&bundle.id, 41, 97).await.unwrap();
    let mut stdin = File::from(io.stdin.unwrap());
    stdin.write_all(b"first\n").unwrap();
    host.until_said(&bundle.id, "got first\r\n41 97").await;
    // Leaving leaves it running, even though its input is for one client only: a terminal has no end.
    drop((stdin, io.stdout));
    let again = attach(&host, &bundle.id, ALL).await;
    let reader = reading(again.stdout);
    let mut stdin = File::from(again.stdin.unwrap());
    stdin.write_all(b"second\n").unwrap();
    host.until_said(&bundle.id, "got second").await;
    stdin.write_all(b"\x04").unwrap();
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 0);
    assert_eq!(String::from_utf8(within(reader).await.unwrap()).unwrap(), "got second\r\n41 97\r\n");
    let error = host.driver.resize(&bundle.id, 1, 1).await.unwrap_err();
    assert_eq!(
        (error.class, error.chain()),
        (ErrorClass::Conflict, format!("container {} is not running", bundle.id))
    );
    let plain = host.bundle(&["sleep", "1000"]);
    host.driver.start(&plain).await.unwrap();
    assert_eq!(host.driver.resize(&plain.id, 1, 1).await.unwrap_err().class, ErrorClass::Conflict);
    host.finish().await;
}

#[tokio::test]
async fn much_is_typed_into_a_terminal() {
    let host = Host::new().await;
    let mut spec =
        common::specification(&["sh", "-c", "stty raw -echo; echo ready; head -c 1000000 | busybox wc -c"]);
    spec["process"]["terminal"] = json!(true);
    let bundle = Bundle { stdin_open: true, ..host.bundle_of(spec) };
    let io = attach(&host, &bundle.id, ALL).await;
    let out = reading(io.stdout);
    host.driver.start(&bundle).await.unwrap();
    host.until_said(&bundle.id, "ready").await;
    let typing = tokio::task::spawn_blocking(move || {
        File::from(io.stdin.unwrap()).write_all(&vec![b'x'; 1_000_000]).unwrap();
    });
    within(typing).await.unwrap();
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 0);
    assert!(within(out).await.unwrap().ends_with(b"1000000\n"));
    host.finish().await;
}

/// Not a test: the client that `a_client_that_is_killed_costs_nothing` kills.
#[tokio::test]
#[ignore = "started by another test"]
async fn client_to_be_killed() {
    let Some(directory) = std::env::var_os("HULL_TEST_CLIENT_OF") else { return };
    let driver = common::connect(std::path::Path::new(&directory)).await;
    let record = driver.list().await.unwrap().remove(0);
    let io = driver.attach(&record.id, &ALL).await.unwrap();
    std::fs::write(std::path::Path::new(&directory).join("attached"), "").unwrap();
    let _held = io;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_client_that_is_killed_costs_nothing() {
    let host = Host::new().await;
    let bundle =
        Bundle { log: unlimited(), ..interactive(&host, &["sh", "-c", "yes | head -n 2000000; cat"], false) };
    let fds = || std::fs::read_dir(format!("/proc/{}/fd", host.supervisor_pid())).unwrap().count();
    host.driver.start(&bundle).await.unwrap();
    let before = fds();
    for _ in 0..2 {
        let mut client = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "client_to_be_killed", "--ignored"])
            .env("HULL_TEST_CLIENT_OF", host.directory.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("it is attached", || host.path("attached").exists()).await;
        client.kill().unwrap();
        client.wait().unwrap();
        std::fs::remove_file(host.path("attached")).unwrap();
    }
    // Whatever it held up goes on, its input is still open, and nothing of the client is left.
    let io = attach(&host, &bundle.id, AttachSpec { stdin: true, ..AttachSpec::default() }).await;
    let mut stdin = File::from(io.stdin.unwrap());
    stdin.write_all(b"still there\n").unwrap();
    host.until_said(&bundle.id, "still there").await;
    drop(stdin);
    until("everything is closed", || fds() <= before).await;
    let lines = host.lines(&bundle.id, &LogOptions { tail: Some(3), ..LogOptions::default() }).await;
    assert_eq!(text(&lines), "y\ny\nstill there\n");
    host.finish().await;
}

#[tokio::test]
async fn clients_come_and_go_without_leaving_anything() {
    let host = Host::new().await;
    let supervisor = host.supervisor_pid();
    let fds = || std::fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().count();
    let running = interactive(&host, &["sleep", "1000"], false);
    host.driver.start(&running).await.unwrap();
    let never = interactive(&host, &["sleep", "1000"], false);
    let before = fds();
    for _ in 0..300 {
        drop(attach(&host, &running.id, ALL).await);
        drop(attach(&host, &never.id, ALL).await);
    }
    attach(&host, &never.id, OUT).await;
    until("everything is closed", || fds() <= before + 2).await;
    // Clients of a container that is removed see the end.
    let io = attach(&host, &never.id, OUT).await;
    host.driver.remove(&never.id).await.unwrap();
    assert_eq!(within(reading(io.stdout)).await.unwrap(), b"");
    assert!(alive(supervisor));
    host.finish().await;
}
