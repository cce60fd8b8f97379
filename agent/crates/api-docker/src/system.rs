//! The engine itself: ping, version, information.

use crate::State;
use crate::error::Answer;
use crate::version::{MAX_API_VERSION, MIN_API_VERSION};
use axum::Json;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use hull_model::ContainerState;
use serde_json::json;

/// `GET` and `HEAD /_ping`
pub(crate) async fn ping() -> Response {
    let headers = [
        // The builder without BuildKit.
        ("builder-version", "1"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("content-type", "text/plain; charset=utf-8"),
        ("pragma", "no-cache"),
        ("swarm", "inactive"),
    ];
    (headers, "OK").into_response()
}

/// Architecture as Go spells it becomes what uname says.
fn machine(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// `GET /version`
pub(crate) async fn version(Shared(state): Shared<State>) -> Answer {
    let host = (state.status)().await.host;
    let details = json!({
        "ApiVersion": MAX_API_VERSION,
        "Arch": host.architecture,
        "Experimental": "false",
        "KernelVersion": host.kernel,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": "linux",
    });
    let body = json!({
        "Platform": { "Name": "Hull" },
        "Components": [{ "Name": "Engine", "Version": state.version, "Details": details }],
        "Version": state.version,
        "ApiVersion": MAX_API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": host.architecture,
        "KernelVersion": host.kernel,
    });
    Ok(Json(body).into_response())
}

/// `GET /info`
pub(crate) async fn info(Shared(state): Shared<State>) -> Answer {
    let host = (state.status)().await.host;
    let containers = state.engine.containers().await?;
    let running = containers.iter().filter(|c| matches!(c.state, ContainerState::Running { .. })).count();
    let images = state.engine.drivers().images.list().await?.len();
    let mut body = abilities();
    let facts = json!({
        "ID": host.machine_id,
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": containers.len() - running,
        "Images": images,
        "SystemTime": state.engine.drivers().clock.now().to_string(),
        "NEventsListener": state.history.listeners(),
        "KernelVersion": host.kernel,
        "OperatingSystem": host.os,
        "OSVersion": host.os_version,
        "OSType": "linux",
        "Architecture": machine(&host.architecture),
        "NCPU": host.cpus,
        "MemTotal": host.memory,
        "Name": host.hostname,
        "ServerVersion": state.version,
    });
    if let (Some(body), serde_json::Value::Object(facts)) = (body.as_object_mut(), facts) {
        body.extend(facts);
    }
    Ok(Json(body).into_response())
}

/// What the engine can do on every host.
fn abilities() -> serde_json::Value {
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    json!({
        "Driver": "overlayfs",
        "DriverStatus": [],
        "Plugins": { "Volume": ["local"], "Network": ["bridge", "none"], "Authorization": null, "Log": ["json-file"] },
        "MemoryLimit": true,
        "SwapLimit": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "CPUShares": true,
        "CPUSet": true,
        "PidsLimit": true,
        "IPv4Forwarding": true,
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": if unified { "2" } else { "1" },
        "IndexServerAddress": "https://index.docker.io/v1/",
        "Labels": [],
        "ExperimentalBuild": false,
        "Runtimes": { "hull": { "path": "hull-runtime" } },
        "DefaultRuntime": "hull",
        "Swarm": { "LocalNodeState": "inactive" },
        "LiveRestoreEnabled": true,
        "SecurityOptions": ["name=seccomp,profile=builtin"],
        "Warnings": null,
    })
}
