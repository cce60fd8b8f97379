//! The routes over a real socket: statuses, shapes and streams as Docker's clients expect them.

mod fake;

use bytes::Bytes;
use fake::Host;
use http_body_util::{BodyExt as _, Full};
use hull_api_docker::frame;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const DEADLINE: Duration = Duration::from_secs(20);

async fn host() -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Host::start(dir.path()).await, dir)
}

async fn send(host: &Host, method: Method, path: &str, body: impl Into<Bytes>) -> Response<Incoming> {
    let stream = UnixStream::connect(&host.socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder().method(method).uri(path).header("host", "docker");
    let request = request.header("content-type", "application/json").body(Full::new(body.into())).unwrap();
    tokio::time::timeout(DEADLINE, sender.send_request(request)).await.expect("headers come at once").unwrap()
}

async fn whole(response: Response<Incoming>) -> Bytes {
    tokio::time::timeout(DEADLINE, response.into_body().collect())
        .await
        .expect("the body ends")
        .unwrap()
        .to_bytes()
}

async fn call(host: &Host, method: Method, path: &str) -> (StatusCode, Value) {
    let response = send(host, method, path, "").await;
    let status = response.status();
    let bytes = whole(response).await;
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn get(host: &Host, path: &str) -> Value {
    let (status, value) = call(host, Method::GET, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {value}");
    value
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|c| c["Names"][0].as_str().unwrap()).collect()
}

#[tokio::test]
async fn clients_negotiate_a_version() {
    let (host, _dir) = host().await;
    for method in [Method::HEAD, Method::GET] {
        let ping = send(&host, method, "/_ping", "").await;
        let header = |name: &str| ping.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(ping.status(), StatusCode::OK);
        assert_eq!(
            (header("api-version"), header("ostype"), header("builder-version")),
            ("1.51".into(), "linux".into(), "1".into())
        );
    }
    for prefix in ["", "/v1.24", "/v1.41", "/v1.51"] {
        let version = get(&host, &format!("{prefix}/version")).await;
        assert_eq!(
            (&version["ApiVersion"], &version["MinAPIVersion"]),
            (&json!("1.51"), &json!("1.24")),
            "{prefix}"
        );
    }
    let (status, refused) = call(&host, Method::GET, "/v1.52/version").await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        status == StatusCode::BAD_REQUEST && message.contains("1.52") && message.contains("1.51"),
        "{message}"
    );
}

#[tokio::test]
async fn containers_are_listed_and_filtered() {
    let (host, _dir) = host().await;
    assert_eq!(names(&get(&host, "/containers/json").await), ["/web"]);
    assert_eq!(names(&get(&host, "/containers/json?all=1").await), ["/job", "/web"], "newest first");
    assert_eq!(names(&get(&host, "/containers/json?limit=1").await), ["/job"]);
    let job = host.engine.find("job").await.unwrap();
    let rows = [
        (r#"{"name":["^/we"]}"#.to_owned(), vec!["/web"]),
        (r#"{"label":["tier=front"]}"#.to_owned(), vec!["/web"]),
        (r#"{"label":["tier=back"]}"#.to_owned(), vec![]),
        (r#"{"status":["exited"]}"#.to_owned(), vec!["/job"]),
        (r#"{"ancestor":["web:1"]}"#.to_owned(), vec!["/web"]),
        (r#"{"exited":["3"]}"#.to_owned(), vec!["/job"]),
        (r#"{"network":["front"]}"#.to_owned(), vec!["/web"]),
        (r#"{"volume":["data"]}"#.to_owned(), vec!["/web"]),
        (format!(r#"{{"id":{{"{}":true}}}}"#, job.id.short()), vec!["/job"]),
    ];
    for (filters, expected) in rows {
        let query: String = filters.bytes().map(|b| format!("%{b:02x}")).collect();
        assert_eq!(
            names(&get(&host, &format!("/containers/json?all=1&filters={query}")).await),
            expected,
            "{filters}"
        );
    }
    let (status, limit) = call(&host, Method::GET, "/containers/json?limit=x").await;
    let words = "strconv.Atoi: parsing \"x\": invalid syntax";
    assert_eq!((status, &limit["message"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!(words)));
    for bad in [
        "filters=x",
        "filters=%7B%22nope%22%3A%5B%22a%22%5D%7D",
        "filters=%7B%22status%22%3A%5B%22odd%22%5D%7D",
    ] {
        let (status, _) = call(&host, Method::GET, &format!("/containers/json?{bad}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_container_is_told_in_dockers_shape() {
    let (host, _dir) = host().await;
    let row = get(&host, "/containers/json").await[0].clone();
    assert_eq!(row["Command"], "/bin/serve --greeting 'hello world'");
    assert_eq!(row["Status"], "Up 2 minutes");
    assert_eq!(
        row["Ports"],
        json!([{ "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" }])
    );
    assert_eq!(row["NetworkSettings"]["Networks"]["front"]["IPAddress"], "10.89.0.2");
    let web = get(&host, "/containers/web/json").await;
    assert_eq!(
        (&web["Name"], &web["Path"], &web["Args"][1]),
        (&json!("/web"), &json!("/bin/serve"), &json!("hello world"))
    );
    assert_eq!((&web["State"]["Status"], &web["State"]["Running"]), (&json!("running"), &json!(true)));
    assert_eq!(web["State"]["FinishedAt"], "0001-01-01T00:00:00Z");
    assert_eq!(
        web["NetworkSettings"]["Ports"]["80/tcp"][0],
        json!({ "HostIp": "0.0.0.0", "HostPort": "8080" })
    );
    assert_eq!(web["Mounts"][0]["Source"], "/fake/volumes/data");
    assert_eq!(web["HostConfig"]["Binds"], json!(["data:/data:rw"]));
    let job = get(&host, "/containers/job/json").await;
    assert_eq!((&job["State"]["Status"], &job["State"]["ExitCode"]), (&json!("exited"), &json!(3)));
    let listed = get(&host, "/containers/json?all=1").await;
    assert_eq!(listed[0]["Status"], "Exited (3) 5 seconds ago");
    let (status, missing) = call(&host, Method::GET, "/containers/nope/json").await;
    assert_eq!((status, &missing["message"]), (StatusCode::NOT_FOUND, &json!("No such container: nope")));
}

#[tokio::test]
async fn images_networks_and_volumes_are_told() {
    let (host, _dir) = host().await;
    assert_eq!(get(&host, "/images/json").await.as_array().unwrap().len(), 2);
    let image = get(&host, "/images/web:1/json").await;
    assert_eq!((&image["RepoTags"], &image["Config"]["Cmd"]), (&json!(["web:1"]), &json!(["/run"])));
    let id = image["Id"].as_str().unwrap().to_owned();
    for other in [
        id.clone(),
        id.replace("sha256:", ""),
        "docker.io%2Flibrary%2Fweb:1".into(),
        "docker.io/library/web:1".into(),
    ] {
        assert_eq!(get(&host, &format!("/images/{other}/json")).await["Id"], id.as_str(), "{other}");
    }
    let (status, missing) = call(&host, Method::GET, "/images/a/b/json").await;
    assert_eq!((status, &missing["message"]), (StatusCode::NOT_FOUND, &json!("No such image: a/b:latest")));

    let network = get(&host, "/networks/front").await;
    assert_eq!(network["IPAM"]["Config"], json!([{ "Gateway": "10.89.0.1", "Subnet": "10.89.0.0/24" }]));
    let members: Vec<&Value> = network["Containers"].as_object().unwrap().values().collect();
    assert_eq!(members.iter().map(|m| &m["IPv4Address"]).collect::<Vec<_>>(), [&json!("10.89.0.2/24")]);
    assert_eq!(get(&host, "/networks").await[0]["Containers"], json!({}));
    assert_eq!(get(&host, "/volumes").await["Volumes"][0]["Name"], "data");
    assert_eq!(get(&host, "/volumes/data").await["Mountpoint"], "/fake/volumes/data");
    for missing in ["/networks/nope", "/volumes/nope"] {
        assert_eq!(call(&host, Method::GET, missing).await.0, StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn what_is_not_here_is_refused_in_a_sentence() {
    let (host, _dir) = host().await;
    let rows = [
        (Method::POST, "/networks/front/connect", 501),
        (Method::POST, "/build", 501),
        (Method::GET, "/nothing", 404),
        (Method::PUT, "/containers/json", 404),
        (Method::GET, "/", 404),
    ];
    for (method, path, code) in rows {
        let (status, body) = call(&host, method, path).await;
        assert_eq!(status.as_u16(), code, "{path}: {body}");
        let message = body["message"].as_str().unwrap_or_default();
        assert!(
            if code == 501 { message.contains("not supported") } else { message == "page not found" },
            "{path}: {message}"
        );
    }
}

#[tokio::test]
async fn logs_are_framed_and_chosen() {
    let (host, _dir) = host().await;
    let logs = send(&host, Method::GET, "/containers/web/logs?stdout=1&stderr=1", "").await;
    assert_eq!(logs.headers()["content-type"], "application/vnd.docker.multiplexed-stream");
    assert_eq!(
        whole(logs).await[..],
        *b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n\x01\0\0\0\0\0\0\x06three\n"
    );
    let old = send(&host, Method::GET, "/v1.41/containers/web/logs?stdout=1&tail=1&timestamps=1", "").await;
    assert_eq!(old.headers()["content-type"], "application/vnd.docker.raw-stream");
    assert_eq!(whole(old).await[8..], *b"1970-01-01T00:00:03.000000000Z three\n");
    let some = send(&host, Method::GET, "/containers/web/logs?stdout=1&stderr=1&since=2&until=3", "").await;
    assert_eq!(whole(some).await[8..], *b"two\n");
    let ended = send(&host, Method::GET, "/containers/job/logs?stdout=1&follow=1", "").await;
    assert!(!whole(ended).await.ends_with(b"bye\n"), "an ended container is not followed");
    for (bad, status) in [
        ("web/logs", StatusCode::BAD_REQUEST),
        ("web/logs?stdout=1&since=x", StatusCode::INTERNAL_SERVER_ERROR),
        ("web/logs?stdout=1&until=1.x", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        assert_eq!(call(&host, Method::GET, &format!("/containers/{bad}")).await.0, status, "{bad}");
    }
    assert_eq!(call(&host, Method::GET, "/containers/nope/logs?stdout=1").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn followed_logs_end_with_the_container() {
    let (host, _dir) = host().await;
    let logs = send(&host, Method::GET, "/containers/web/logs?stdout=1&follow=1", "").await;
    let web = host.engine.find("web").await.unwrap();
    host.world.exit(&web.id, 0);
    assert!(whole(logs).await.ends_with(b"bye\n"));
}

#[tokio::test]
async fn waiting_answers_at_once_and_ends_with_the_code() {
    let (host, _dir) = host().await;
    let ended = send(&host, Method::POST, "/containers/job/wait", "").await;
    assert_eq!(whole(ended).await[..], *b"{\"StatusCode\":3}\n");
    // Headers of both are here although nothing has ended.
    let next = send(&host, Method::POST, "/containers/web/wait?condition=next-exit", "").await;
    let removed = send(&host, Method::POST, "/containers/job/wait?condition=removed", "").await;
    let web = host.engine.find("web").await.unwrap();
    host.world.exit(&web.id, 9);
    assert_eq!(whole(next).await[..], *b"{\"StatusCode\":9}\n");
    assert_eq!(call(&host, Method::DELETE, "/containers/job").await.0, StatusCode::NO_CONTENT);
    assert_eq!(whole(removed).await[..], *b"{\"StatusCode\":3}\n", "the code outlives the container");
    assert_eq!(
        call(&host, Method::POST, "/containers/web/wait?condition=odd").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn containers_are_started_stopped_and_removed_by_hand() {
    let (host, _dir) = host().await;
    let post = async |path: &str| call(&host, Method::POST, path).await.0.as_u16();
    assert_eq!(post("/containers/web/start").await, 304);
    assert_eq!(post("/containers/web/kill?signal=NOPE").await, 400);
    assert_eq!(post("/containers/web/stop?t=1&signal=INT").await, 204);
    assert_eq!(post("/containers/web/stop").await, 304);
    assert_eq!(post("/containers/web/kill").await, 409);
    assert_eq!(post("/containers/web/start").await, 204);
    assert_eq!(post("/containers/web/restart?t=0").await, 204);
    assert_eq!(post("/containers/nope/start").await, 404);
    let (status, refused) = call(&host, Method::DELETE, "/containers/web?force=1").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["message"].as_str().unwrap().contains("declared in the host spec"), "{refused}");
    assert_eq!(call(&host, Method::DELETE, "/containers/job").await.0, StatusCode::NO_CONTENT);
    assert_eq!(call(&host, Method::DELETE, "/containers/job").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_come_as_they_happen_and_from_before() {
    let (host, _dir) = host().await;
    let filters: String = r#"{"event":["die"]}"#.bytes().map(|b| format!("%{b:02x}")).collect();
    let mut live =
        send(&host, Method::GET, &format!("/events?since=1&filters={filters}"), "").await.into_body();
    let mut text = String::new();
    let mut read = async |lines: usize| {
        while text.lines().count() < lines {
            let part =
                tokio::time::timeout(DEADLINE, live.frame()).await.expect("an event comes").unwrap().unwrap();
            text.push_str(std::str::from_utf8(part.data_ref().unwrap()).unwrap());
        }
        serde_json::from_str::<Value>(text.lines().last().unwrap()).unwrap()
    };
    let before = read(1).await;
    assert_eq!(
        before["Actor"]["Attributes"],
        json!({ "execDuration": "55", "exitCode": "3", "image": "job:latest", "name": "job" })
    );
    assert_eq!((&before["status"], &before["from"]), (&json!("die"), &json!("job:latest")));
    host.world.exit(&host.engine.find("web").await.unwrap().id, 7);
    assert_eq!(read(2).await["Actor"]["Attributes"]["exitCode"], "7");
    let past = send(&host, Method::GET, "/events?since=1&until=2", "").await;
    assert_eq!(whole(past).await.len(), 0, "a stream with an end in the past ends");
}

#[tokio::test]
async fn hulls_own_routes_tell_the_status_and_end_everything() {
    let (host, _dir) = host().await;
    assert_eq!(get(&host, "/hull/v1/status").await["phase"], "ready");
    assert_eq!(call(&host, Method::POST, "/hull/v1/reset").await.0, StatusCode::NO_CONTENT);
    tokio::time::timeout(DEADLINE, host.exited.notified()).await.expect("the agent is told to exit");
    assert_eq!(host.world.leftovers(), [0, 0, 0, 0]);
}

async fn create_exec(host: &Host, spec: Value) -> String {
    let response = send(host, Method::POST, "/containers/web/exec", spec.to_string()).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let created: Value = serde_json::from_slice(&whole(response).await).unwrap();
    created["Id"].as_str().unwrap().to_owned()
}

/// Starts an exec as the docker command does: the answer's headers, then the raw connection.
async fn hijack(host: &Host, id: &str, body: Value) -> (String, UnixStream) {
    let mut stream = UnixStream::connect(&host.socket).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST /v1.51/exec/{id}/start HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(tokio::time::timeout(DEADLINE, stream.read_u8()).await.expect("headers come").unwrap());
    }
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), stream)
}

/// Everything until the server closes, taken out of its frames.
async fn outputs(mut stream: UnixStream) -> (String, String) {
    let mut bytes = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the server closes").unwrap();
    let (mut out, mut err, mut rest) = (Vec::new(), Vec::new(), &bytes[..]);
    while let Some((header, after)) = rest.split_first_chunk::<{ frame::HEADER }>() {
        let (channel, length) = frame::decode(*header).unwrap();
        if channel == frame::Channel::Stdout { &mut out } else { &mut err }.extend(&after[..length]);
        rest = &after[length..];
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn input_ends_where_the_client_ends_it_while_output_goes_on() {
    let (host, _dir) = host().await;
    let command = ["sh", "-c", "cat; echo after; echo oops >&2; exit 7"];
    let id = create_exec(
        &host,
        json!({ "Cmd": command, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true }),
    )
    .await;
    assert_eq!(get(&host, &format!("/exec/{id}/json")).await["ExitCode"], Value::Null);
    let (head, mut stream) = hijack(&host, &id, json!({ "Detach": false, "Tty": false })).await;
    assert!(head.starts_with("http/1.1 101 upgraded\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/vnd.docker.multiplexed-stream")
            && head.contains("upgrade: tcp"),
        "{head}"
    );
    let big = "x".repeat(300_000);
    stream.write_all(big.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let (out, err) = outputs(stream).await;
    assert_eq!((out.len(), out.ends_with("xafter\n"), err.as_str()), (300_006, true, "oops\n"));
    let ended = get(&host, &format!("/exec/{id}/json")).await;
    assert_eq!((&ended["ExitCode"], &ended["Running"]), (&json!(7), &json!(false)));
    let again = send(&host, Method::POST, &format!("/exec/{id}/start"), "{}").await;
    assert_eq!(again.status(), StatusCode::CONFLICT, "a process runs once");
}

#[tokio::test]
async fn the_connection_closes_with_the_process_though_a_child_keeps_the_pipe() {
    let (host, _dir) = host().await;
    let command = ["sh", "-c", "sleep 30 & echo $!"];
    let id = create_exec(&host, json!({ "Cmd": command, "AttachStdout": true })).await;
    let (_, stream) = hijack(&host, &id, json!({})).await;
    let begun = std::time::Instant::now();
    let (out, _) = outputs(stream).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    let child = nix::unistd::Pid::from_raw(out.trim().parse().unwrap());
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_terminal_has_a_size_and_can_be_left() {
    let (host, _dir) = host().await;
    let command = ["sh", "-c", "stty size; read line; stty size; echo got $line; cat"];
    let spec = json!({ "Cmd": command, "Tty": true, "AttachStdin": true, "AttachStdout": true, "ConsoleSize": [30, 90] });
    let id = create_exec(&host, spec).await;
    let (head, mut stream) = hijack(&host, &id, json!({ "Tty": true })).await;
    assert!(head.contains("application/vnd.docker.raw-stream"), "{head}");
    let mut seen = String::new();
    let mut until = async |stream: &mut UnixStream, wanted: &str| {
        let mut buffer = [0; 1024];
        while !seen.contains(wanted) {
            let n = tokio::time::timeout(DEADLINE, stream.read(&mut buffer))
                .await
                .expect("output comes")
                .unwrap();
            assert!(n > 0, "closed after {seen:?}");
            seen.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
    };
    until(&mut stream, "30 90\r\n").await;
    assert_eq!(call(&host, Method::POST, &format!("/exec/{id}/resize?h=40&w=100")).await.0, StatusCode::OK);
    stream.write_all(b"hello\n").await.unwrap();
    until(&mut stream, "40 100\r\ngot hello\r\n").await;
    stream.write_all(b"\x10\x11").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("detached").unwrap();
    let left = get(&host, &format!("/exec/{id}/json")).await;
    assert_eq!((&left["Running"], &left["ExitCode"]), (&json!(true), &Value::Null), "it runs on");
    assert_eq!(get(&host, "/containers/web/json").await["ExecIDs"], json!([id]));
    assert_eq!(
        call(&host, Method::POST, &format!("/exec/{id}/resize?h=0&w=x")).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_command_to_run_to_its_end() {
    let (host, _dir) = host().await;
    // More than a terminal holds: if nobody read it, the command could not end.
    let command = ["sh", "-c", "echo begun; sleep 0.2; head -c 1000000 /dev/zero; exit 7"];
    let id =
        create_exec(&host, json!({ "Cmd": command, "Tty": true, "AttachStdin": true, "AttachStdout": true }))
            .await;
    let (_, mut stream) = hijack(&host, &id, json!({ "Tty": true })).await;
    stream.read_u8().await.unwrap();
    drop(stream);
    let ended = async {
        loop {
            let exec = get(&host, &format!("/exec/{id}/json")).await;
            if exec["Running"] == false {
                return exec["ExitCode"].clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let code = tokio::time::timeout(DEADLINE, ended).await.expect("it was not held up");
    assert_eq!(code, 7, "it ended by itself");
}

#[tokio::test]
async fn what_cannot_be_run_is_told_with_dockers_codes() {
    let (host, _dir) = host().await;
    let id = create_exec(&host, json!({ "Cmd": ["/no/such/program"], "AttachStdout": true })).await;
    let (_, stream) = hijack(&host, &id, json!({})).await;
    let (out, _) = outputs(stream).await;
    assert!(out.contains("executable file not found"), "{out}");
    assert_eq!(get(&host, &format!("/exec/{id}/json")).await["ExitCode"], 127);

    let quiet = create_exec(&host, json!({ "Cmd": ["sh", "-c", "echo unheard; exit 4"] })).await;
    let started = send(&host, Method::POST, &format!("/exec/{quiet}/start"), r#"{"Detach":true}"#).await;
    assert_eq!(started.status(), StatusCode::OK);
    let ended = async {
        while get(&host, &format!("/exec/{quiet}/json")).await["ExitCode"] != 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.expect("it runs unattended");

    let create = async |body: &str, container: &str| {
        send(&host, Method::POST, &format!("/containers/{container}/exec"), body.to_owned())
            .await
            .status()
            .as_u16()
    };
    assert_eq!(create("{}", "web").await, 400, "no command");
    assert_eq!(create("{", "web").await, 400, "no JSON");
    assert_eq!(create(r#"{"Cmd":["a"],"Env":["=x"]}"#, "web").await, 400);
    assert_eq!(create(r#"{"Cmd":["a"],"WorkingDir":"x"}"#, "web").await, 400);
    assert_eq!(create(r#"{"Cmd":["a"],"DetachKeys":"meta"}"#, "web").await, 500);
    assert_eq!(create(r#"{"Cmd":["a"]}"#, "job").await, 409, "it does not run");
    assert_eq!(create(r#"{"Cmd":["a"]}"#, "nope").await, 404);
    assert_eq!(create(&format!(r#"{{"User":"{}"}}"#, "x".repeat(2 << 20)), "web").await, 413);
    assert_eq!(send(&host, Method::POST, "/exec/nope/start", "{}").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_client_that_does_not_upgrade_sees_the_output() {
    let (host, _dir) = host().await;
    let id = create_exec(&host, json!({ "Cmd": ["echo", "plain"], "AttachStdout": true })).await;
    let response = send(&host, Method::POST, &format!("/exec/{id}/start"), "{}").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(whole(response).await[..], *b"\x01\0\0\0\0\0\0\x06plain\n");
}
