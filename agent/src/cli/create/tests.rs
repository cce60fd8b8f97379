//! Arguments against the requests that they must become.

use super::*;
use crate::cli::flags::parse;
use crate::cli::words::find;

/// Each row: arguments, and the request without what says nothing and without what every request has.
const ROWS: &str = include_str!("requests.json");
/// Objects whose keys are chosen by people: nothing of them is left out.
const MAPS: [&str; 6] = ["ExposedPorts", "Volumes", "EndpointsConfig", "Labels", "Tmpfs", "PortBindings"];

fn request(arguments: &[String]) -> Result<Value, String> {
    let given = parse(find("create").unwrap(), "create", arguments).map_err(|e| format!("{e:?}"))?;
    read(&given).map(|creation| creation.document).map_err(|failure| failure.message)
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Without what says nothing.
fn pruned(value: &Value, keep: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(k, v)| (k.clone(), pruned(v, MAPS.contains(&k.as_str()))));
            Value::Object(fields.filter(|(_, v)| keep || !says_nothing(v)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| pruned(item, false)).collect()),
        other => other.clone(),
    }
}

/// What every request has unless something else is said.
fn common(arguments: &[String], wanted: &mut Value) {
    let defaults = [
        ("NetworkMode", json!("default")),
        ("RestartPolicy", json!({ "Name": "no" })),
        ("MemorySwappiness", json!(-1)),
        ("ConsoleSize", json!([0, 0])),
    ];
    for (key, value) in defaults {
        if wanted["HostConfig"][key].is_null() {
            wanted["HostConfig"][key] = value;
        }
    }
    // Of the host's network and the like nothing is said.
    if wanted["NetworkingConfig"].is_null() && !arguments.iter().any(|a| a == "--network") {
        wanted["NetworkingConfig"] = json!({ "EndpointsConfig": { "default": {} } });
    }
    if !arguments.iter().any(|a| a == "-a") {
        wanted["AttachStdout"] = json!(true);
        wanted["AttachStderr"] = json!(true);
    }
    wanted["Image"] = json!("busybox");
}

#[test]
fn arguments_become_the_requests_of_docker() {
    let rows: Vec<Value> = serde_json::from_str(ROWS).unwrap();
    assert!(rows.len() > 40);
    for row in rows {
        let arguments: Vec<String> = serde_json::from_value(row["arguments"].clone()).unwrap();
        let mut wanted = row["request"].clone();
        common(&arguments, &mut wanted);
        let request = pruned(&request(&arguments).unwrap(), false);
        same(&request, &wanted, &arguments);
    }
}

fn same(request: &Value, wanted: &Value, arguments: &[String]) {
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert!(request == wanted, "{arguments:?}\nis     {}\nwanted {}", text(request), text(wanted));
}

#[test]
fn files_and_folders_of_this_machine_are_read_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("env"), "X=1\n# nothing\n\nNOT_SET_ANYWHERE\n  Y=a b\n").unwrap();
    std::fs::write(path("profile"), "{\"b\": 1,\n \"a\": []}").unwrap();
    let arguments =
        ["--env-file", &path("env"), "-e", "Z=", "--security-opt", &format!("seccomp={}", path("profile"))];
    let arguments: Vec<String> =
        arguments.iter().map(|s| (*s).to_owned()).chain(["busybox".to_owned()]).collect();
    let document = request(&arguments).unwrap();
    assert_eq!(document["Env"], json!(["X=1", "Y=a b", "Z="]));
    assert_eq!(document["HostConfig"]["SecurityOpt"], json!(["seccomp={\"b\":1,\"a\":[]}"]));
    let here = std::env::current_dir().unwrap();
    let document = request(&["-v".into(), "./x:/y".into(), "busybox".into()]).unwrap();
    assert_eq!(document["HostConfig"]["Binds"][0], format!("{}/x:/y", here.display()));
}

#[test]
fn what_makes_no_sense_is_refused_in_dockers_words() {
    let rows = [
        ("--rm --restart always busybox", "conflicting options: cannot specify both --restart and --rm"),
        (
            "--restart on-failure:x busybox",
            "invalid restart policy format: maximum retry count must be an integer",
        ),
        ("--no-healthcheck --health-cmd x busybox", "--no-healthcheck conflicts with --health-* options"),
        ("--pid foo busybox", "--pid: invalid PID mode"),
        ("--uts foo busybox", "--uts: invalid UTS mode"),
        ("--cgroupns foo busybox", "--cgroupns: invalid CGROUP mode"),
        ("--env-file /nowhere/env busybox", "open /nowhere/env: no such file or directory"),
        ("--security-opt foo busybox", "Invalid --security-opt: \"foo\""),
        ("--mac-address xx busybox", "xx is not a valid mac address"),
        ("--log-driver none --log-opt a=b busybox", "invalid logging opts for driver none"),
        ("--storage-opt x busybox", "invalid storage option"),
        ("--device a:b:c:d busybox", "bad format for path: a:b:c:d"),
    ];
    for (line, wanted) in rows {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(request(&arguments).unwrap_err(), wanted, "{line}");
    }
}
