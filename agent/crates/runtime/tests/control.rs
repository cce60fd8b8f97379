//! Pausing, looking at, limiting and killing what runs, for real.

mod common;

use common::{Host, alive, connect, until, within};
use hull_model::ContainerId;
use hull_ports::{AttachSpec, Bundle, ErrorClass, ExecSpec, Runtime as _, RuntimeEvent};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};
use std::path::PathBuf;

fn resources(json: Value) -> LinuxResources {
    serde_json::from_value(json).unwrap()
}

fn counting(host: &Host) -> Bundle {
    host.bundle(&["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"])
}

async fn is_paused(host: &Host, id: &ContainerId) -> bool {
    host.driver.list().await.unwrap().into_iter().find(|record| record.id == *id).unwrap().paused
}

/// Whether it says nothing for a while.
async fn is_silent(host: &Host, id: &ContainerId) -> bool {
    let before = host.output(id).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    host.output(id).await == before
}

#[tokio::test]
async fn frozen_and_thawed_again() {
    let host = Host::new().await;
    let bundle = counting(&host);
    let id = &bundle.id;
    let error = host.driver.pause(id).await.unwrap_err();
    assert_eq!(
        (error.class, error.chain()),
        (ErrorClass::Conflict, format!("container {id} is not running"))
    );
    host.driver.start(&bundle).await.unwrap();
    host.until_said(id, "3\n").await;
    let error = host.driver.resume(id).await.unwrap_err();
    assert_eq!((error.class, error.chain()), (ErrorClass::Conflict, format!("Container {id} is not paused")));
    within(host.driver.pause(id)).await.unwrap();
    assert!(is_paused(&host, id).await && is_silent(&host, id).await);
    let error = host.driver.pause(id).await.unwrap_err();
    assert_eq!(
        (error.class, error.chain()),
        (ErrorClass::Conflict, format!("Container {id} is already paused"))
    );
    let spec = ExecSpec { args: vec!["true".into()], ..ExecSpec::default() };
    let error = host.driver.exec(id, &spec).await.unwrap_err();
    let expected = format!("Container {id} is paused, unpause the container before exec");
    assert_eq!((error.class, error.chain()), (ErrorClass::Conflict, expected));
    // The next supervisor, and the next client, know it too.
    let supervisor = host.supervisor_pid();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    until("it is gone", || !alive(supervisor)).await;
    let second = connect(host.directory.path()).await;
    assert!(second.list().await.unwrap()[0].paused && is_silent(&host, id).await);
    second.resume(id).await.unwrap();
    assert!(!is_paused(&host, id).await && !is_silent(&host, id).await);
    drop(second);
    host.finish().await;
}

#[tokio::test]
async fn what_is_frozen_can_be_stopped_and_killed() {
    let host = Host::new().await;
    let patient = host.bundle(&["sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.02; done"]);
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        host.driver.start(&patient).await.unwrap();
        host.until_said(&patient.id, "ready").await;
        within(host.driver.pause(&patient.id)).await.unwrap();
        host.driver.signal(&patient.id, signal).await.unwrap();
        let code = within(host.driver.wait(&patient.id)).await.unwrap().0.code;
        assert_eq!(code, if signal == libc::SIGTERM { 4 } else { 137 });
        assert!(!is_paused(&host, &patient.id).await);
        host.driver.remove(&patient.id).await.unwrap();
    }
    host.driver.start(&patient).await.unwrap();
    within(host.driver.pause(&patient.id)).await.unwrap();
    host.driver.kill(&patient.id).await.unwrap();
    assert_eq!(within(host.driver.wait(&patient.id)).await.unwrap().0.code, 137);
    host.driver.start(&patient).await.unwrap();
    within(host.driver.pause(&patient.id)).await.unwrap();
    // A reset finds it frozen.
    host.finish().await;
}

#[tokio::test]
async fn processes_and_what_they_use() {
    let host = Host::new().await;
    let script =
        "sleep 1000 & sleep 1000 & i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo ready; wait";
    let mut spec = common::specification(&["sh", "-c", script]);
    spec["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 30}, "cpu": {"quota": 50000, "period": 100000}});
    let limited = host.bundle_of(spec);
    let free = host.bundle(&["sh", "-c", script]);
    for bundle in [&limited, &free] {
        let id = &bundle.id;
        assert_eq!(host.driver.stats(id).await.unwrap_err().class, ErrorClass::Conflict);
        let started = host.driver.start(bundle).await.unwrap();
        host.until_said(id, "ready").await;
        let processes = host.driver.processes(id).await.unwrap();
        assert!(processes.len() == 3 && processes.contains(&started.pid), "{processes:?}");
        let stats = host.driver.stats(id).await.unwrap();
        assert!(stats.cpu_total > 1_000_000 && stats.cpu_user <= stats.cpu_total, "{stats:?}");
        assert!(stats.memory_usage > 10_000 && !stats.memory_stat.is_empty(), "{stats:?}");
        assert_eq!((stats.pids, stats.interfaces.len()), (3, 0), "{stats:?}");
        let limits = (stats.memory_limit, stats.pids_limit);
        assert_eq!(limits, if bundle == &limited { (Some(64 << 20), Some(30)) } else { (None, None) });
        let exec = ExecSpec { args: vec!["sleep".into(), "1000".into()], ..ExecSpec::default() };
        let io = host.driver.exec(id, &exec).await.unwrap();
        assert!(host.driver.processes(id).await.unwrap().contains(&io.pid));
        assert_eq!(host.driver.stats(id).await.unwrap().pids, 4);
    }
    host.driver.kill(&free.id).await.unwrap();
    within(host.driver.wait(&free.id)).await.unwrap();
    let error = host.driver.processes(&free.id).await.unwrap_err();
    assert_eq!(
        (error.class, error.chain()),
        (ErrorClass::Conflict, format!("container {} is not running", free.id))
    );
    host.finish().await;
}

#[tokio::test]
async fn limits_change_under_a_running_container() {
    let host = Host::new().await;
    let script = "sleep 1000 & while [ ! -e /tmp/go ]; do sleep 0.02; done; head -c 100000000 /dev/zero | busybox tail > /dev/null; exit 1";
    let bundle = host.bundle(&["sh", "-c", script]);
    let id = &bundle.id;
    let wanted = resources(json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}, "pids": {"limit": 17}}));
    assert_eq!(host.driver.update(id, &wanted).await.unwrap_err().class, ErrorClass::Conflict);
    host.driver.start(&bundle).await.unwrap();
    host.driver.update(id, &wanted).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    let limits = async || {
        let stats = host.driver.stats(id).await.unwrap();
        (stats.memory_limit, stats.pids_limit)
    };
    assert_eq!(limits().await, (Some(32 << 20), Some(17)));
    // Up and down, whatever has to be changed first.
    for megabytes in [128u64, 24, 40] {
        let bytes = megabytes << 20;
        host.driver.update(id, &resources(json!({"memory": {"limit": bytes, "swap": bytes}}))).await.unwrap();
        assert_eq!(limits().await, (Some(bytes), Some(17)));
    }
    // What the kernel refuses changes nothing.
    let wrong = resources(
        json!({"memory": {"limit": 50 << 20, "swap": 50 << 20}, "pids": {"limit": 9}, "cpu": {"cpus": "4000"}}),
    );
    host.driver.update(id, &wrong).await.unwrap_err();
    assert_eq!(limits().await, (Some(40 << 20), Some(17)));
    // They hold, also for those who were there before and over a restart of the supervisor.
    let supervisor = host.supervisor_pid();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    until("it is gone", || !alive(supervisor)).await;
    assert_eq!(limits().await, (Some(40 << 20), Some(17)));
    let mut events = host.driver.events();
    assert_eq!(host.exec(id, &["touch", "/tmp/go"]).await.0.code, 0);
    let (status, _) = within(host.driver.wait(id)).await.unwrap();
    assert!(status.oom_killed, "{status:?}");
    let first = within(events.recv()).await.unwrap();
    assert!(matches!(&first, RuntimeEvent::OutOfMemory { id: whose } if whose == id), "{first:?}");
    host.finish().await;
}

#[tokio::test]
async fn memory_that_runs_out_is_told_once_for_each_kill() {
    let host = Host::new().await;
    // The main process goes on; each time a child of it is killed.
    let eat =
        "(echo 1000 > /proc/self/oom_score_adj; head -c 200000000 /dev/zero | busybox tail > /dev/null)";
    let script = format!(
        "echo -1000 2>/dev/null > /proc/self/oom_score_adj; {eat}; echo one; read go; {eat}; echo two; read go; exit 5"
    );
    let mut spec = common::specification(&["sh", "-c", &script]);
    spec["linux"]["resources"] = json!({"memory": {"limit": 24 << 20, "swap": 24 << 20}});
    let bundle = Bundle { stdin_open: true, ..host.bundle_of(spec) };
    let id = &bundle.id;
    let io = host.driver.attach(id, &AttachSpec { stdin: true, ..AttachSpec::default() }).await.unwrap();
    let mut events = host.driver.events();
    host.driver.start(&bundle).await.unwrap();
    let stdin = io.stdin.unwrap();
    for word in ["one", "two"] {
        host.until_said(id, word).await;
        let event = within(events.recv()).await.unwrap();
        assert!(matches!(&event, RuntimeEvent::OutOfMemory { id: whose } if whose == id), "{event:?}");
        assert!(events.is_empty());
        nix::unistd::write(&stdin, b"\n").unwrap();
    }
    let (status, _) = within(host.driver.wait(id)).await.unwrap();
    assert_eq!((status.code, status.oom_killed), (5, true));
    assert!(matches!(within(events.recv()).await.unwrap(), RuntimeEvent::Exited { .. }));
    // The next start begins to count anew.
    let small = Bundle { spec: host.bundle(&["true"]).spec, ..bundle.clone() };
    host.driver.start(&small).await.unwrap();
    assert!(!within(host.driver.wait(id)).await.unwrap().0.oom_killed);
    host.finish().await;
}

#[tokio::test]
async fn a_further_process_is_killed_with_what_it_started() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sleep", "1000"]);
    let id = &bundle.id;
    let main = host.driver.start(&bundle).await.unwrap();
    let script = "busybox setsid sleep 1001 & sleep 1002 & wait";
    let spec = ExecSpec { args: vec!["sh".into(), "-c".into(), script.into()], ..ExecSpec::default() };
    let io = host.driver.exec(id, &spec).await.unwrap();
    let other = host.driver.exec(id, &spec).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..2000 {
        all = host.driver.processes(id).await.unwrap();
        if all.len() == 7 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(all.len(), 7, "{all:?}");
    host.driver.exec_kill(&io.exec).await.unwrap();
    assert_eq!(within(host.driver.exec_wait(&io.exec)).await.unwrap().code, 137);
    let group = |name: &str| PathBuf::from(format!("/proc/{}/cgroup", name));
    for _ in 0..2000 {
        all = host.driver.processes(id).await.unwrap();
        if all.len() == 4 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(all.len() == 4 && all.contains(&main.pid) && all.contains(&other.pid), "{all:?}");
    assert!(std::fs::read_to_string(group(&other.pid.to_string())).unwrap().contains(id.as_str()));
    assert_eq!(host.driver.exec_kill(&io.exec).await.unwrap_err().class, ErrorClass::NotFound);
    host.finish().await;
}

#[tokio::test]
async fn a_socket_that_was_removed_is_made_again() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sleep", "1000"]);
    let started = host.driver.start(&bundle).await.unwrap();
    let (supervisor, socket) = (host.supervisor_pid(), host.path("run/runtime.sock"));
    let seen = async || connect(host.directory.path()).await.list().await.unwrap()[0].started;
    for _ in 0..3 {
        std::fs::remove_file(&socket).unwrap();
        assert_eq!(seen().await, started);
    }
    // The whole directory goes, and with it the lock.
    std::fs::rename(host.path("run"), host.path("gone")).unwrap();
    until("it is there again", || socket.exists()).await;
    assert_eq!(seen().await, started);
    assert_eq!(host.supervisor_pid(), supervisor);
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(seen().await, started);
    host.finish().await;
}
