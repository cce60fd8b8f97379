//! Containers made, changed and cleared up over a real socket, and clients that are attached to them.

mod fake;

use fake::Host;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(30);

async fn host() -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Host::start(dir.path()).await, dir)
}

async fn call(host: &Host, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let stream = UnixStream::connect(&host.socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "docker");
    let bytes = body.map(|b| b.to_string()).unwrap_or_default();
    if !bytes.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Full::new(bytes::Bytes::from(bytes))).unwrap();
    let response = tokio::time::timeout(DEADLINE, sender.send_request(request)).await.unwrap().unwrap();
    let status = response.status().as_u16();
    let bytes =
        tokio::time::timeout(DEADLINE, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::String(text)))
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or_else(|| panic!("no message in {answer}"))
}

async fn create(host: &Host, name: &str, body: Value) -> (u16, Value) {
    call(host, Method::POST, &format!("/containers/create?name={name}"), Some(body)).await
}

#[tokio::test]
async fn a_container_is_made_inspected_renamed_and_removed() {
    let (host, _dir) = host().await;
    let body = json!({ "Image": "job", "Cmd": ["run"], "Env": ["A=b"], "HostConfig": { "Memory": 67_108_864, "NetworkMode": "none" } });
    let (status, made) = create(&host, "new", body.clone()).await;
    assert_eq!((status, &made["Warnings"]), (201, &json!([])), "{made}");
    let (status, again) = create(&host, "new", body).await;
    let id = made["Id"].as_str().unwrap();
    assert_eq!(status, 409);
    assert_eq!(
        message(&again),
        format!(
            "Conflict. The container name \"/new\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
        )
    );
    let (_, told) = call(&host, Method::GET, "/containers/new/json", None).await;
    assert_eq!((&told["Config"]["Cmd"], &told["Config"]["Env"][0]), (&json!(["run"]), &json!("A=b")));
    assert_eq!((&told["Config"]["Hostname"], &told["Config"]["Image"]), (&json!(id[..12]), &json!("job")));
    assert_eq!(
        (&told["HostConfig"]["Memory"], &told["HostConfig"]["NetworkMode"]),
        (&json!(67_108_864), &json!("none"))
    );
    assert_eq!((&told["State"]["Status"], &told["State"]["Pid"]), (&json!("created"), &json!(0)));
    let (status, same) = call(&host, Method::POST, "/containers/new/rename?name=new", None).await;
    assert_eq!(
        (status, message(&same)),
        (400, "Renaming a container with the same name as its current name")
    );
    let (status, taken) = call(&host, Method::POST, "/containers/new/rename?name=web", None).await;
    assert!(
        status == 409
            && message(&taken)
                .starts_with("Error when allocating new name: Conflict. The container name \"/web\"")
    );
    assert_eq!(call(&host, Method::POST, "/containers/new/rename?name=newer", None).await.0, 204);
    assert_eq!(call(&host, Method::DELETE, "/containers/newer?v=1", None).await.0, 204);
    let (status, gone) = call(&host, Method::GET, "/containers/newer/json", None).await;
    assert_eq!((status, message(&gone)), (404, "No such container: newer"));
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let (host, _dir) = host().await;
    let rows = [
        (json!({ "Image": "nope/x" }), 404, "No such image: nope/x:latest"),
        (
            json!({ "Image": "job", "HostConfig": { "Memory": 1 } }),
            400,
            "Minimum memory limit allowed is 6MB",
        ),
        (json!({ "Image": "" }), 400, "no command specified"),
        (
            json!({ "Image": "job", "Cmd": ["x"], "HostConfig": { "NetworkMode": "nope" } }),
            400,
            "network nope not found",
        ),
    ];
    for (body, expected, words) in rows {
        let (status, answer) = create(&host, "new", body).await;
        assert_eq!((status, message(&answer)), (expected, words));
    }
    let (status, answer) = create(&host, "-x", json!({ "Image": "job", "Cmd": ["x"] })).await;
    assert_eq!(
        (status, message(&answer)),
        (400, "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    );
    let (status, answer) = call(&host, Method::POST, "/containers/create", None).await;
    assert_eq!((status, message(&answer)), (400, "invalid JSON: got EOF while reading request body"));
    let large = json!({ "Image": "x".repeat(2 << 20) });
    let (status, _) = create(&host, "new", large).await;
    assert_eq!(status, 413, "a request has an end");
    assert_eq!(host.engine.containers().await.unwrap().len(), 2, "only those that were there");
}

#[tokio::test]
async fn states_that_forbid_something_are_told_in_dockers_words() {
    let (host, _dir) = host().await;
    let job = host.engine.find("job").await.unwrap().id;
    let web = host.engine.find("web").await.unwrap().id;
    let not_running = format!("container {job} is not running");
    for (method, path, status, words) in [
        (Method::POST, "/containers/job/pause", 409, not_running.clone()),
        (Method::POST, "/containers/job/unpause", 500, format!("Container {job} is not paused")),
        (Method::POST, "/containers/job/kill", 409, format!("cannot kill container: job: {not_running}")),
        (
            Method::POST,
            "/containers/web/kill?signal=bogus",
            400,
            "cannot kill container: web: invalid signal: bogus".into(),
        ),
        (Method::GET, "/containers/job/top", 409, not_running.clone()),
        (Method::POST, "/containers/job/resize?h=1&w=1", 409, not_running.clone()),
        (
            Method::POST,
            "/containers/web/resize?h=x&w=1",
            400,
            "invalid resize height \"x\": invalid syntax".into(),
        ),
        (Method::POST, "/containers/web/stop?t=x", 500, "strconv.Atoi: parsing \"x\": invalid syntax".into()),
        (Method::POST, "/containers/web/wait?condition=bogus", 400, "invalid condition: \"bogus\"".into()),
        (Method::GET, "/containers/web/archive", 400, "bad parameter: pathcannot be empty".into()),
        (
            Method::GET,
            "/containers/web/top?ps_args=-o%20cmd",
            500,
            "Couldn't find PID field in ps output".into(),
        ),
        (Method::POST, "/containers/web/rename", 400, "Neither old nor new names may be empty".into()),
        (
            Method::GET,
            "/containers/web/stats?stream=1&one-shot=1",
            400,
            "cannot have stream=true and one-shot=true".into(),
        ),
    ] {
        let (found, answer) = call(&host, method, path, None).await;
        assert_eq!((found, message(&answer)), (status, words.as_str()), "{path}");
    }
    assert_eq!(call(&host, Method::POST, "/containers/web/pause", None).await.0, 204);
    let (status, twice) = call(&host, Method::POST, "/containers/web/pause", None).await;
    assert_eq!((status, message(&twice)), (409, format!("Container {web} is already paused").as_str()));
    let exec = json!({ "Cmd": ["true"] });
    let (status, answer) = call(&host, Method::POST, "/containers/web/exec", Some(exec)).await;
    assert_eq!(
        (status, message(&answer)),
        (409, "Container web is paused, unpause the container before exec")
    );
    let (_, list) = call(&host, Method::GET, "/containers/json", None).await;
    assert_eq!((&list[0]["State"], &list[0]["Status"]), (&json!("paused"), &json!("Up 2 minutes (Paused)")));
    assert_eq!(call(&host, Method::POST, "/containers/web/unpause", None).await.0, 204);
}

#[tokio::test]
async fn processes_and_usage_are_told() {
    let (host, _dir) = host().await;
    let (_, top) = call(&host, Method::GET, "/containers/web/top", None).await;
    assert_eq!(top["Titles"], json!(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]));
    assert_eq!(top["Processes"][0][1], std::process::id().to_string());
    let (_, stats) = call(&host, Method::GET, "/containers/web/stats?stream=0&one-shot=1", None).await;
    assert_eq!(
        (&stats["name"], &stats["cpu_stats"]["cpu_usage"]["total_usage"]),
        (&json!("/web"), &json!(5))
    );
    let (status, still) = call(&host, Method::GET, "/containers/job/stats?stream=0", None).await;
    assert_eq!((status, &still["read"]), (200, &json!("0001-01-01T00:00:00Z")));
}

#[tokio::test]
async fn what_nobody_uses_is_cleared_up() {
    let (host, _dir) = host().await;
    let (status, bad) =
        call(&host, Method::POST, "/containers/prune?filters=%7B%22x%22%3A%5B%22y%22%5D%7D", None).await;
    assert_eq!((status, message(&bad)), (400, "invalid filter 'x'"));
    let (_, none) =
        call(&host, Method::POST, "/containers/prune?filters=%7B%22label%22%3A%5B%22y%22%5D%7D", None).await;
    assert_eq!(none, json!({ "ContainersDeleted": null, "SpaceReclaimed": 0 }));
    let job = host.engine.find("job").await.unwrap().id;
    let (_, gone) = call(&host, Method::POST, "/containers/prune", None).await;
    assert_eq!(gone["ContainersDeleted"], json!([job]));
    let volume = json!({ "Name": "extra", "Labels": { "a": "b" } });
    assert_eq!(call(&host, Method::POST, "/volumes/create", Some(volume)).await.0, 201);
    let (status, bad) =
        call(&host, Method::POST, "/volumes/create", Some(json!({ "Name": "x", "Driver": "odd" }))).await;
    assert_eq!(
        (status, message(&bad)),
        (404, "create x: error looking up volume plugin odd: plugin \"odd\" not found")
    );
    assert_eq!(call(&host, Method::DELETE, "/volumes/extra", None).await.0, 204);
    let (status, missing) = call(&host, Method::DELETE, "/volumes/extra", None).await;
    assert_eq!((status, message(&missing)), (404, "get extra: no such volume"));
    assert_eq!(call(&host, Method::DELETE, "/volumes/extra?force=1", None).await.0, 204);
    let (status, bad) = call(&host, Method::POST, "/networks/create", Some(json!({ "Name": "host" }))).await;
    assert_eq!((status, message(&bad)), (403, "operation is not permitted on predefined host network "));
    let (status, made) = call(&host, Method::POST, "/networks/create", Some(json!({ "Name": "back" }))).await;
    assert!(status == 201 && made["Id"].as_str().is_some_and(|id| id.len() == 64), "{made}");
    let (status, twice) =
        call(&host, Method::POST, "/networks/create", Some(json!({ "Name": "back" }))).await;
    assert_eq!((status, message(&twice)), (409, "network with name back already exists"));
    let (_, pruned) = call(&host, Method::POST, "/networks/prune", None).await;
    assert_eq!(pruned, json!({ "NetworksDeleted": ["back"] }));
}

/// Sends a request for a raw connection. Returns the answer's head and the connection.
async fn attach(host: &Host, query: &str) -> (String, UnixStream) {
    let mut stream = UnixStream::connect(&host.socket).await.unwrap();
    let head = format!(
        "POST /containers/{query} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    (String::from_utf8(answer).unwrap(), stream)
}

async fn interactive(host: &Host, name: &str, tty: bool) {
    let body = json!({ "Image": "job", "Cmd": ["x"], "OpenStdin": true, "StdinOnce": true, "Tty": tty, "HostConfig": { "NetworkMode": "none" } });
    assert_eq!(create(host, name, body).await.0, 201);
}

#[tokio::test]
async fn a_client_types_ends_its_input_and_still_listens() {
    let (host, _dir) = host().await;
    interactive(&host, "talk", false).await;
    let (head, mut stream) = attach(&host, "talk/attach?stdin=1&stdout=1&stderr=1&stream=1").await;
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
    assert!(head.contains("application/vnd.docker.multiplexed-stream"), "{head}");
    let mut far = host.attached.lock().unwrap().pop().unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut heard = String::new();
        far.stdin.read_to_string(&mut heard).unwrap();
        far.stdout.write_all(b"out").unwrap();
        far.stderr.write_all(b"err").unwrap();
        heard
    });
    assert_eq!(tokio::time::timeout(DEADLINE, heard).await.unwrap().unwrap(), "hello");
    let mut said = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.expect("it ends").unwrap();
    said.sort_unstable();
    let mut expected = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err".to_vec();
    expected.sort_unstable();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_terminal_is_left_by_keys() {
    let (host, _dir) = host().await;
    interactive(&host, "term", true).await;
    let mut events = host.engine.subscribe();
    let query = "term/attach?stdin=1&stdout=1&stream=1&detachKeys=ctrl-a";
    let (head, mut stream) = attach(&host, query).await;
    assert!(head.contains("application/vnd.docker.raw-stream"), "{head}");
    let mut far = host.attached.lock().unwrap().pop().unwrap();
    far.stdout.write_all(b"prompt").unwrap();
    let mut seen = [0; 6];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut seen)).await.unwrap().unwrap();
    assert_eq!(&seen, b"prompt");
    stream.write_all(b"ls\x01").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("it is detached").unwrap();
    let mut typed = [0; 2];
    far.stdin.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"ls");
    let actions = async { while events.recv().await.unwrap().action != "detach" {} };
    tokio::time::timeout(DEADLINE, actions).await.expect("it is told");
}

#[tokio::test]
async fn what_cannot_be_attached_to_is_told_as_text() {
    let (host, _dir) = host().await;
    for (query, status, words) in [
        ("nope/attach?stream=1", "404", "No such container: nope\r\n"),
        ("web/attach?detachKeys=bogus", "400", "Invalid detach keys (bogus) provided\r\n"),
    ] {
        let (head, mut stream) = attach(&host, query).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let mut body = vec![0; words.len()];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut body)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), words);
    }
}

#[tokio::test]
async fn what_was_said_comes_first() {
    let (host, _dir) = host().await;
    let (_, mut stream) = attach(&host, "job/attach?logs=1&stdout=1&stderr=1").await;
    let mut said = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.expect("it ends").unwrap();
    let expected = b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n\x01\0\0\0\0\0\0\x06three\n";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways() {
    let (host, _dir) = host().await;
    interactive(&host, "browser", false).await;
    let mut stream = UnixStream::connect(&host.socket).await.unwrap();
    let head = "GET /containers/browser/attach/ws?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(DEADLINE, stream.read_u8()).await.unwrap().unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.contains(" 101 ") && answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    let mut far = host.attached.lock().unwrap().pop().unwrap();
    far.stdout.write_all(b"hi").unwrap();
    let mut frame = [0; 4];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(&frame, b"\x82\x02hi");
    // A masked frame of two bytes; the mask is zero.
    stream.write_all(b"\x82\x82\0\0\0\0yo").await.unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut typed = [0; 2];
        far.stdin.read_exact(&mut typed).unwrap();
        typed
    });
    assert_eq!(&tokio::time::timeout(DEADLINE, heard).await.unwrap().unwrap(), b"yo");
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Nobody reads any more what is written here.
fn abandoned(far: &fake::Far) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let mut ends = [PollFd::new(far.stdout.as_fd(), PollFlags::empty())];
    poll(&mut ends, PollTimeout::ZERO).unwrap();
    ends[0].revents().is_some_and(|r| r.contains(PollFlags::POLLERR))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_cost_nothing() {
    let (host, _dir) = host().await;
    interactive(&host, "silent", false).await;
    let (mut files, mut tasks) = (0, 0);
    for round in 0..11 {
        for _ in 0..100 {
            let (head, stream) = attach(&host, "silent/attach?stdin=1&stdout=1&stderr=1&stream=1").await;
            assert!(head.contains("101"), "{head}");
            drop(stream);
        }
        let left = async {
            loop {
                let all = host.attached.lock().unwrap().iter().all(abandoned);
                if all {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, left).await.expect("the container's streams are let go");
        host.attached.lock().unwrap().clear();
        match round {
            // The first hundred make what is kept for good.
            0 => (files, tasks) = (open_files(), threads()),
            _ => assert!(
                open_files() <= files + 8 && threads() <= tasks + 8,
                "round {round}: {} files, {} threads; at first {files} and {tasks}",
                open_files(),
                threads()
            ),
        }
    }
    let (status, _) = call(&host, Method::GET, "/containers/silent/json", None).await;
    assert_eq!(status, StatusCode::OK.as_u16());
}
