//! The engine itself over a real socket: versions, information, disk usage, events, and what is not there.

mod fake;

use fake::Host;
use fake::client::{ask, escape, json, send};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn host() -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Host::start(dir.path()).await, dir)
}

async fn get(host: &Host, path: &str) -> Value {
    let (status, value) = json(host, Method::GET, path).await;
    assert_eq!(status, 200, "{path}: {value}");
    value
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn versions_that_are_not_spoken_are_refused_in_dockers_words() {
    let (host, _dir) = host().await;
    let newer = "{\"message\":\"client version 1.52 is too new. Maximum supported API version is 1.51\"}";
    assert_eq!(ask(&host, Method::GET, "/v1.52/info", "").await, (400, newer.into()));
    for old in ["1.23", "1"] {
        let answer = send(&host, Method::GET, &format!("/v{old}/info"), &[], "").await;
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        let older = format!(
            "client version {old} is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version\n"
        );
        assert_eq!((answer.status().as_u16(), fake::client::text(answer).await), (400, older));
    }
    let lost = "{\"message\":\"page not found\"}";
    for path in ["/v1.51/nope", "/vx/info", "/", "/v1.51"] {
        assert_eq!(ask(&host, Method::GET, path, "").await, (404, lost.into()), "{path}");
    }
}

#[tokio::test]
async fn what_a_host_without_a_swarm_answers() {
    let (host, _dir) = host().await;
    let manager = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
    for (method, path) in [
        (Method::GET, "/swarm"),
        (Method::GET, "/swarm/unlockkey"),
        (Method::GET, "/nodes"),
        (Method::GET, "/nodes/x"),
        (Method::POST, "/services/create"),
        (Method::GET, "/v1.40/tasks"),
        (Method::DELETE, "/secrets/x"),
        (Method::POST, "/configs/x/update"),
    ] {
        assert_eq!(json(&host, method, path).await, (503, json!({ "message": manager })), "{path}");
    }
    let left = json(&host, Method::POST, "/swarm/leave").await;
    assert_eq!(left, (503, json!({ "message": "This node is not part of a swarm" })));
    for (method, path) in
        [(Method::POST, "/swarm/init"), (Method::POST, "/build"), (Method::POST, "/plugins/pull")]
    {
        let (status, body) = json(&host, method, path).await;
        assert!(
            status == 501 && body["message"].as_str().unwrap().contains("not supported"),
            "{path}: {body}"
        );
    }
    assert_eq!(get(&host, "/plugins").await, json!([]));
    let plugin = json(&host, Method::GET, "/plugins/nope/json").await;
    assert_eq!(plugin, (404, json!({ "message": "plugin \"nope\" not found" })));
    let pruned = json(&host, Method::POST, "/build/prune").await;
    assert_eq!(pruned, (200, json!({ "CachesDeleted": null, "SpaceReclaimed": 0 })));
}

/// What dockerd 28 says of itself, but for what Hull has not.
const INFO: &[&str] = &[
    "Architecture",
    "CDISpecDirs",
    "CPUSet",
    "CPUShares",
    "CgroupDriver",
    "CgroupVersion",
    "ContainerdCommit",
    "Containers",
    "ContainersPaused",
    "ContainersRunning",
    "ContainersStopped",
    "CpuCfsPeriod",
    "CpuCfsQuota",
    "Debug",
    "DefaultAddressPools",
    "DefaultRuntime",
    "DockerRootDir",
    "Driver",
    "DriverStatus",
    "ExperimentalBuild",
    "FirewallBackend",
    "GenericResources",
    "HttpProxy",
    "HttpsProxy",
    "ID",
    "IPv4Forwarding",
    "Images",
    "IndexServerAddress",
    "InitBinary",
    "InitCommit",
    "Isolation",
    "KernelMemoryTCP",
    "KernelVersion",
    "Labels",
    "LiveRestoreEnabled",
    "LoggingDriver",
    "MemTotal",
    "MemoryLimit",
    "NCPU",
    "NEventsListener",
    "NFd",
    "NGoroutines",
    "Name",
    "NoProxy",
    "OSType",
    "OSVersion",
    "OomKillDisable",
    "OperatingSystem",
    "PidsLimit",
    "Plugins",
    "RegistryConfig",
    "RuncCommit",
    "Runtimes",
    "SecurityOptions",
    "ServerVersion",
    "SwapLimit",
    "Swarm",
    "SystemTime",
    "Warnings",
];

#[tokio::test]
async fn information_is_whole_and_counts_what_is_there() {
    let (host, _dir) = host().await;
    let info = get(&host, "/v1.51/info").await;
    assert_eq!(keys(&info), INFO.iter().copied().collect());
    let counts = ["Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images"]
        .map(|k| info[k].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(0), Some(1), Some(2)]);
    assert_eq!(
        (&info["Name"], &info["NCPU"], &info["Swarm"]["LocalNodeState"]),
        (&json!("fake"), &json!(2), &json!("inactive"))
    );
    let old = get(&host, "/v1.24/info").await;
    assert_eq!((&old["SecurityOptions"], &old["KernelMemory"]), (&json!(["seccomp"]), &json!(false)));
    assert!(old["RegistryConfig"].get("AllowNondistributableArtifactsCIDRs").is_some());
}

#[tokio::test]
async fn disk_usage_is_told_for_what_is_asked() {
    let (host, _dir) = host().await;
    let all = get(&host, "/v1.51/system/df").await;
    assert_eq!(keys(&all), BTreeSet::from(["BuildCache", "Containers", "Images", "LayersSize", "Volumes"]));
    assert_eq!((&all["LayersSize"], &all["BuildCache"]), (&json!(2), &json!([])));
    let (images, containers) = (all["Images"].as_array().unwrap(), all["Containers"].as_array().unwrap());
    assert_eq!((images.len(), containers.len()), (2, 2));
    assert_eq!((&containers[0]["SizeRw"], &containers[0]["SizeRootFs"]), (&json!(10), &json!(11)));
    assert_eq!(all["Volumes"][0]["UsageData"], json!({ "RefCount": 1, "Size": 12 }));
    let some = get(&host, "/v1.51/system/df?type=volume&type=build-cache").await;
    assert_eq!(
        (&some["Images"], &some["Containers"], &some["BuildCache"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let odd = json(&host, Method::GET, "/system/df?type=bogus").await;
    assert_eq!(odd, (400, json!({ "message": "unknown object type: bogus" })));
    let (status, report) = json(&host, Method::POST, "/hull/v1/system/check?repair=1").await;
    assert_eq!((status, &report["repaired"]), (200, &json!(true)), "{report}");
}

#[tokio::test]
async fn events_of_the_past_are_told_between_two_moments() {
    let (host, _dir) = host().await;
    let now = host.engine.drivers().clock.now().as_second();
    let told = async |query: String| {
        let (status, body) = ask(&host, Method::GET, &format!("/v1.51/events?{query}"), "").await;
        assert_eq!(status, 200, "{body}");
        let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines
            .iter()
            .map(|e| format!("{} {}", e["Type"].as_str().unwrap(), e["Action"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    ask(&host, Method::POST, "/images/web:1/tag?repo=other&tag=1", "").await;
    ask(&host, Method::DELETE, "/images/other:1", "").await;
    let images = escape(r#"{"type":["image"]}"#);
    assert_eq!(told(format!("since=1&until={now}&filters={images}")).await, ["image tag", "image untag"]);
    let started = escape(r#"{"event":["start"],"container":["job"]}"#);
    assert_eq!(told(format!("until={now}&filters={started}")).await, ["container start"]);
    let message = "`since` time (9) cannot be after `until` time (8)";
    let turned = json(&host, Method::GET, "/events?since=9&until=8").await;
    assert_eq!(turned, (400, json!({ "message": message })));
    let odd = json(&host, Method::GET, "/events?since=x").await;
    assert_eq!(odd, (500, json!({ "message": "strconv.ParseInt: parsing \"x\": invalid syntax" })));
}
