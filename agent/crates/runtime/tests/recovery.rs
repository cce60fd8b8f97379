//! The agent and the supervisor die at any moment; containers, their output and their exit codes do not.

mod common;

use common::{Host, alive, connect, until, within};
use hull_ports::{LogOptions, Runtime as _, RuntimeEvent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn kill_now(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn containers_outlive_the_supervisor() {
    let host = Host::new().await;
    let script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; exit 42";
    let bundle = host.bundle(&["sh", "-c", script]);
    let ended = host.bundle(&["sh", "-c", "exit 3"]);
    assert_eq!(host.run(&ended).await.0.code, 3);
    let mut events = host.driver.events();
    let started = host.driver.start(&bundle).await.unwrap();
    let waiting = tokio::spawn({
        let (driver, id) = (host.driver.clone(), bundle.id.clone());
        async move { driver.wait(&id).await }
    });
    let following = tokio::spawn({
        let stream = host
            .driver
            .logs(&bundle.id, &LogOptions { follow: true, ..LogOptions::default() })
            .await
            .unwrap();
        async move { futures_util::StreamExt::collect::<Vec<_>>(stream).await }
    });
    host.until_said(&bundle.id, "line 20\n").await;
    for number in [60, 100] {
        let supervisor = host.supervisor_pid();
        kill_now(supervisor);
        until("it is gone", || !alive(supervisor)).await;
        assert!(alive(started.pid));
        assert_eq!(host.driver.list().await.unwrap().len(), 2);
        assert_ne!(host.supervisor_pid(), supervisor);
        host.until_said(&bundle.id, &format!("line {number}\n")).await;
    }
    assert_eq!(host.exec(&bundle.id, &["sh", "-c", "exit 6"]).await.0.code, 6);
    let (status, _) = within(waiting).await.unwrap().unwrap();
    assert_eq!((status.code, status.error.as_str()), (42, ""));
    let expected: String = (1..=200).map(|n| format!("line {n}\n")).collect();
    assert_eq!(host.output(&bundle.id).await, expected);
    let followed: Vec<_> = within(following).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(common::text(&followed), expected);
    // Each end is told once; that of the first container may still have been on its way.
    let mut told = Vec::new();
    while !told.contains(&(bundle.id.clone(), 42)) {
        let RuntimeEvent::Exited { id, exit, .. } = within(events.recv()).await.unwrap() else {
            panic!("another event")
        };
        told.push((id, exit.code));
    }
    assert!(told.len() == 1 || told[0] == (ended.id.clone(), 3), "{told:?}");
    assert!(events.is_empty());
    host.finish().await;
}

#[tokio::test]
async fn an_end_while_nobody_watches_is_recorded() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sleep", "1000"]);
    let started = host.driver.start(&bundle).await.unwrap();
    let other = host.bundle(&["sleep", "1000"]);
    let survivor = host.driver.start(&other).await.unwrap();
    // Stopped, so that it cannot notice, and then killed.
    let supervisor = host.supervisor_pid();
    kill(Pid::from_raw(supervisor), Signal::SIGSTOP).unwrap();
    kill_now(started.pid);
    kill_now(supervisor);
    until("both are gone", || !alive(supervisor) && !alive(started.pid)).await;
    let (status, _) = within(host.driver.wait(&bundle.id)).await.unwrap();
    assert!(
        status.code == 137 || (status.code == 255 && status.error.contains("while the supervisor was away")),
        "{status:?}"
    );
    assert!(alive(survivor.pid));
    let records = host.driver.list().await.unwrap();
    assert_eq!(records.iter().filter(|r| r.exit.is_none()).count(), 1);
    host.finish().await;
}

#[tokio::test]
async fn another_client_sees_the_same() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sleep", "1000"]);
    let started = host.driver.start(&bundle).await.unwrap();
    let second = connect(host.directory.path()).await;
    assert_eq!(second.list().await.unwrap()[0].started, started);
    // Only one supervisor can be there.
    let output = std::process::Command::new(common::BINARY)
        .args(["serve", "--run-dir"])
        .arg(host.path("run"))
        .arg("--state-dir")
        .arg(host.path("state"))
        .output()
        .unwrap();
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("another supervisor")
    );
    let mut events = second.events();
    host.driver.kill(&bundle.id).await.unwrap();
    let RuntimeEvent::Exited { exit, .. } = within(events.recv()).await.unwrap() else {
        panic!("another event")
    };
    assert_eq!(exit.code, 137);
    // It would begin anew what the reset ends.
    drop(second);
    host.finish().await;
}

#[tokio::test]
async fn rubbish_on_the_socket_harms_nobody_else() {
    use std::io::{Read as _, Write as _};
    let host = Host::new().await;
    let socket = host.path("run").join("runtime.sock");
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0{}", b"\x05\0\0\0hello"] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(host.path("state/containers")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(host.shell("exit 2").await.0.code, 2);
    host.finish().await;
}

#[tokio::test]
async fn many_at_once() {
    let host = Host::new().await;
    let bundles: Vec<_> =
        (0..30).map(|n| host.bundle(&["sh", "-c", &format!("echo {n}; exit {n}")])).collect();
    let starts = bundles.iter().map(|b| host.driver.start(b));
    for result in within(futures_util::future::join_all(starts)).await {
        result.unwrap_or_else(|error| panic!("{}", error.chain()));
    }
    for (number, bundle) in bundles.iter().enumerate() {
        assert_eq!(within(host.driver.wait(&bundle.id)).await.unwrap().0.code, number as i32);
        assert_eq!(host.output(&bundle.id).await, format!("{number}\n"));
    }
    host.finish().await;
}
