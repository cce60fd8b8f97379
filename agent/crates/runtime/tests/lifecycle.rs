//! Containers from start to removal, over the socket, for real.

mod common;

use common::{Host, text, within};
use hull_model::LogConfig;
use hull_ports::{ErrorClass, ExecSpec, LogOptions, Runtime as _, RuntimeEvent, Stream};
use serde_json::json;
use std::io::{Read as _, Write as _};

#[tokio::test]
async fn output_and_exit_codes() {
    let host = Host::new().await;
    let mut events = host.driver.events();
    let bundle = host.bundle(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let (status, output) = host.run(&bundle).await;
    assert_eq!((status.code, status.oom_killed, status.error.as_str()), (7, false, ""));
    assert!(output == "out\nerr\n" || output == "err\nout\n", "{output:?}");
    let RuntimeEvent::Exited { id, exit, .. } = within(events.recv()).await.unwrap() else {
        panic!("another event")
    };
    assert_eq!((id, exit.code), (bundle.id.clone(), 7));
    let lines = host.lines(&bundle.id, &LogOptions::default()).await;
    assert!(lines.iter().any(|l| l.stream == Stream::Stderr && l.bytes == b"err\n"));
    assert!(host.driver.list().await.unwrap()[0].exit.is_some());
    host.driver.remove(&bundle.id).await.unwrap();
    host.driver.remove(&bundle.id).await.unwrap();
    assert_eq!(host.driver.list().await.unwrap(), vec![]);
    host.finish().await;
}

#[tokio::test]
async fn signals_kill_and_conflicts() {
    let host = Host::new().await;
    let bundle =
        host.bundle(&["sh", "-c", "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]);
    let started = host.driver.start(&bundle).await.unwrap();
    assert_eq!(host.driver.start(&bundle).await.unwrap(), started, "a running container is left alone");
    host.until_said(&bundle.id, "ready").await;
    assert_eq!(host.driver.remove(&bundle.id).await.unwrap_err().class, ErrorClass::Conflict);
    host.driver.signal(&bundle.id, libc::SIGTERM).await.unwrap();
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 3);
    assert_eq!(host.driver.signal(&bundle.id, libc::SIGTERM).await.unwrap_err().class, ErrorClass::NotFound);
    // Started once more, with the log going on, and killed.
    host.driver.start(&bundle).await.unwrap();
    host.driver.kill(&bundle.id).await.unwrap();
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 137);
    host.finish().await;
}

#[tokio::test]
async fn what_cannot_be_executed_is_said() {
    let host = Host::with_image(|root| {
        std::fs::write(root.join("bin/plain"), "x").unwrap();
        std::fs::write(root.join("bin/garbage"), "\0\0\0").unwrap();
        std::fs::write(root.join("bin/script"), "#!/no/such\n").unwrap();
        use std::os::unix::fs::PermissionsExt;
        for name in ["garbage", "script"] {
            std::fs::set_permissions(root.join("bin").join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
    })
    .await;
    let cases = [
        ("nothing", ErrorClass::NotFound, "executable file not found"),
        ("/bin/nothing", ErrorClass::NotFound, "no such file or directory"),
        ("script", ErrorClass::NotFound, "no such file or directory"),
        ("plain", ErrorClass::NotFound, "executable file not found in $PATH"),
        ("/etc/passwd", ErrorClass::Permanent, "permission denied"),
        ("garbage", ErrorClass::Permanent, "exec format error"),
    ];
    for (program, class, words) in cases {
        let bundle = host.bundle(&[program]);
        let error = host.driver.start(&bundle).await.unwrap_err();
        assert_eq!(error.class, class, "{program}: {}", error.chain());
        assert!(error.chain().contains(words), "{program}: {}", error.chain());
        assert!(host.driver.list().await.unwrap().is_empty());
        host.driver.remove(&bundle.id).await.unwrap();
    }
    host.finish().await;
}

#[tokio::test]
async fn init_reaps_forwards_and_reports() {
    let host = Host::new().await;
    let mut bundle = host.bundle(&[
        "sh", "-c",
        "sh -c 'sleep 0.1 & exit 0'; trap 'exit 5' TERM; echo pid $$; ls /proc/1/exe 2>&1; echo ready; while :; do sleep 0.05; done",
    ]);
    bundle.init = true;
    host.driver.start(&bundle).await.unwrap();
    host.until_said(&bundle.id, "ready").await;
    assert!(!host.output(&bundle.id).await.contains("pid 1\n"));
    host.driver.signal(&bundle.id, libc::SIGTERM).await.unwrap();
    assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, 5);
    let mut missing = host.bundle(&["nothing"]);
    missing.init = true;
    assert_eq!(host.driver.start(&missing).await.unwrap_err().class, ErrorClass::NotFound);
    host.finish().await;
}

#[tokio::test]
async fn further_processes() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sleep", "1000"]);
    host.driver.start(&bundle).await.unwrap();
    let id = &bundle.id;
    let (status, output) =
        host.exec(id, &["sh", "-c", "echo $A; hostname; cat /proc/self/status; exit 9"]).await;
    assert_eq!(status.code, 9);
    assert!(output.starts_with("b\nbox\n"), "{output}");
    for line in
        ["CapInh:\t0000000000000000", "CapAmb:\t0000000000000000", "CapEff:\t00000000a80425fb", "Seccomp:\t2"]
    {
        assert!(output.contains(line), "{line} in {output}");
    }
    let args = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let other = ExecSpec {
        args: args(&["sh", "-c", "id -u; id -g; id -G; pwd; echo $X $HOME"]),
        env: args(&["X=y"]),
        user: "web".to_owned(),
        cwd: Some("/tmp".into()),
        ..ExecSpec::default()
    };
    assert_eq!(host.exec_spec(id, &other).await.1, "33\n34\n34 50\n/tmp\ny /var/www\n");
    let missing = ExecSpec { args: args(&["nothing"]), ..ExecSpec::default() };
    assert_eq!(host.driver.exec(id, &missing).await.unwrap_err().class, ErrorClass::NotFound);
    let escape =
        ExecSpec { args: args(&["pwd"]), cwd: Some("/proc/self/fd/3".into()), ..ExecSpec::default() };
    assert!(host.driver.exec(id, &escape).await.is_err());
    // Standard input: what is written arrives, and closing it ends it.
    let cat = ExecSpec { args: args(&["cat"]), stdin: true, ..ExecSpec::default() };
    let io = host.driver.exec(id, &cat).await.unwrap();
    let (stdin, stdout) = (io.stdin.unwrap(), io.stdout.unwrap());
    std::fs::File::from(stdin).write_all(b"hello").unwrap();
    let mut answer = String::new();
    std::fs::File::from(stdout).read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
    assert_eq!(within(host.driver.exec_wait(&io.exec)).await.unwrap().code, 0);
    assert_eq!(host.driver.exec_wait(&io.exec).await.unwrap_err().class, ErrorClass::NotFound);
    host.finish().await;
}

#[tokio::test]
async fn terminals() {
    let host = Host::new().await;
    let mut spec = common::specification(&["sh", "-c", "tty; stty size; ls -l /dev/console"]);
    spec["process"]["terminal"] = json!(true);
    spec["process"]["consoleSize"] = json!({"height": 41, "width": 97});
    let (status, output) = host.run(&host.bundle_of(spec)).await;
    assert_eq!(status.code, 0, "{output}");
    assert!(output.starts_with("/dev/pts/0\r\n41 97\r\n"), "{output:?}");
    let bundle = host.bundle(&["sleep", "1000"]);
    host.driver.start(&bundle).await.unwrap();
    let spec = ExecSpec {
        args: vec!["sh".into(), "-c".into(), "tty; stty size; exit 4".into()],
        tty: true,
        size: Some((10, 20)),
        ..ExecSpec::default()
    };
    let io = host.driver.exec(&bundle.id, &spec).await.unwrap();
    assert_eq!(within(host.driver.exec_wait(&io.exec)).await.unwrap().code, 4);
    let (mut terminal, mut buffer) = (std::fs::File::from(io.terminal.unwrap()), [0u8; 256]);
    let length = terminal.read(&mut buffer).unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer[..length]), "/dev/pts/0\r\n10 20\r\n");
    host.finish().await;
}

#[tokio::test]
async fn logs_follow_tail_and_rotate() {
    let host = Host::new().await;
    let mut bundle = host.bundle(&["sh", "-c", "for i in $(seq 2000); do echo line $i; done; printf end"]);
    bundle.log = LogConfig { max_size: 20_000, max_files: 20, ..LogConfig::default() };
    host.driver.start(&bundle).await.unwrap();
    // Followed from the beginning, over rotations, to the end.
    let all = host.lines(&bundle.id, &LogOptions { follow: true, ..LogOptions::default() }).await;
    let expected: String = (1..=2000).map(|n| format!("line {n}\n")).chain(["end".to_owned()]).collect();
    assert_eq!(text(&all), expected);
    for tail in [0usize, 1, 2, 300, 2001, 5000] {
        let lines = host.lines(&bundle.id, &LogOptions { tail: Some(tail), ..LogOptions::default() }).await;
        assert_eq!(lines, all[all.len() - tail.min(all.len())..], "tail {tail}");
    }
    let middle = all[1000].at;
    let since = host.lines(&bundle.id, &LogOptions { since: Some(middle), ..LogOptions::default() }).await;
    assert!(since.iter().all(|l| l.at >= middle) && since.contains(&all[1000]));
    let until = host.lines(&bundle.id, &LogOptions { until: Some(middle), ..LogOptions::default() }).await;
    assert_eq!(until.len() + since.len(), all.len());
    let files = std::fs::read_dir(host.path("state/containers").join(bundle.id.as_str()).join("log"))
        .unwrap()
        .count();
    assert!((2..=20).contains(&files), "{files}");
    host.finish().await;
}

#[tokio::test]
async fn a_flood_starves_nobody() {
    let host = Host::new().await;
    let mut flood = host.bundle(&["yes"]);
    flood.log = LogConfig { max_size: 1 << 20, max_files: 2, ..LogConfig::default() };
    host.driver.start(&flood).await.unwrap();
    host.until_said(&flood.id, "y\n").await;
    for _ in 0..5 {
        let (status, output) = within(host.shell("echo quiet")).await;
        assert_eq!((status.code, output.as_str()), (0, "quiet\n"));
    }
    let log = host.path("state/containers").join(flood.id.as_str()).join("log");
    let size: u64 =
        std::fs::read_dir(log).unwrap().filter_map(|e| e.unwrap().metadata().ok()).map(|m| m.len()).sum();
    assert!(size <= 2 << 20, "{size}");
    host.finish().await;
}

/// A measurement, not a check: `cargo test --release -p hull-runtime --test lifecycle -- --ignored --nocapture`, with
/// `HULL_TEST_RUNTIME` naming the supervisor to measure.
#[tokio::test]
#[ignore = "prints how long starts take"]
async fn how_long_starts_take() {
    let host = Host::new().await;
    let (mut starts, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let bundle = host.bundle(&["true"]);
        let begin = std::time::Instant::now();
        host.driver.start(&bundle).await.unwrap();
        starts.push(begin.elapsed().as_secs_f64() * 1e3);
        host.driver.wait(&bundle.id).await.unwrap();
        wholes.push(begin.elapsed().as_secs_f64() * 1e3);
        host.driver.remove(&bundle.id).await.unwrap();
    }
    for (name, mut times) in [("start", starts), ("start to exit", wholes)] {
        times.sort_by(f64::total_cmp);
        println!("{name}: p50 {:.2} ms, p95 {:.2} ms, least {:.2} ms", times[100], times[190], times[0]);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.supervisor_pid())).unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmRSS")).unwrap());
    host.finish().await;
}
