//! `GET /info`: what the engine is, has and can do.

use super::abilities::Abilities;
use crate::State;
use crate::error::{Answer, ApiError};
use crate::version::Spoken;
use crate::wire::STORAGE;
use axum::Json;
use axum::extract::{Extension, State as Shared};
use axum::response::IntoResponse as _;
use hull_model::{ContainerRecord, ContainerState, HostFacts, LogConfig, Registry};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const RUNTIME: &str = "hull-runtime";
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Architecture as Go spells it becomes what uname says.
fn machine(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// `GET /info`
pub(super) async fn info(Shared(state): Shared<State>, Extension(version): Extension<Spoken>) -> Answer {
    let host = (state.status)().await.host;
    let containers = state.engine.containers().await?;
    let images = state.engine.drivers().images.list().await?.len();
    let (mut body, root) = (Map::new(), state.root.clone());
    let measured = tokio::task::spawn_blocking(move || of_host(&root)).await;
    let parts = [
        counts(&containers, images),
        of_agent(&state, &host),
        measured.map_err(|e| ApiError::internal(e.to_string()))?,
        fixed(),
        registries(&state.engine.registries(), version),
        of_old(version),
    ];
    for part in parts {
        if let Value::Object(part) = part {
            body.extend(part);
        }
    }
    if version < Spoken(1, 49) {
        body.remove("FirewallBackend");
    }
    Ok(Json(body).into_response())
}

fn counts(containers: &[ContainerRecord], images: usize) -> Value {
    let count = |wanted: fn(&ContainerState) -> bool| containers.iter().filter(|c| wanted(&c.state)).count();
    let paused = count(|state| matches!(state, ContainerState::Running { paused: true, .. }));
    let running = count(|state| matches!(state, ContainerState::Running { paused: false, .. }));
    json!({
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": containers.len() - running - paused,
        "Images": images,
    })
}

fn of_agent(state: &State, host: &HostFacts) -> Value {
    json!({
        "ID": host.machine_id,
        "NGoroutines": tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        "NEventsListener": state.listeners.count(),
        "SystemTime": state.engine.drivers().clock.now().to_string(),
        "KernelVersion": host.kernel,
        "OperatingSystem": host.os,
        "OSVersion": host.os_version,
        "OSType": "linux",
        "Architecture": machine(&host.architecture),
        "NCPU": host.cpus,
        "MemTotal": host.memory,
        "Name": host.hostname,
        "ServerVersion": state.version,
        "DockerRootDir": state.root,
    })
}

/// What is read from the kernel and the agent's environment.
fn of_host(root: &Path) -> Value {
    let can = Abilities::read(Path::new(CONTROL_GROUPS));
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
    let forwarding = forwarding.is_ok_and(|text| text.trim() == "1");
    let warnings = Some(can.warnings(forwarding)).filter(|list| !list.is_empty());
    let mut security = vec!["name=seccomp,profile=builtin"];
    if can.unified {
        security.push("name=cgroupns");
    }
    json!({
        "DriverStatus": [["Backing Filesystem", file_system(root)]],
        "MemoryLimit": can.memory,
        "SwapLimit": can.swap,
        "KernelMemoryTCP": can.kernel_memory_tcp,
        "CpuCfsPeriod": can.cpu,
        "CpuCfsQuota": can.cpu,
        "CPUShares": can.cpu,
        "CPUSet": can.cpuset,
        "PidsLimit": can.pids,
        "OomKillDisable": can.oom_kill_disable,
        "IPv4Forwarding": forwarding,
        "NFd": std::fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count()),
        "CgroupVersion": if can.unified { "2" } else { "1" },
        "HttpProxy": proxy("HTTP_PROXY"),
        "HttpsProxy": proxy("HTTPS_PROXY"),
        "NoProxy": std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default(),
        "SecurityOptions": security,
        "Warnings": warnings,
    })
}

/// A proxy from the environment, without who it is used as.
fn proxy(name: &str) -> String {
    let set = std::env::var(name).or_else(|_| std::env::var(name.to_ascii_lowercase())).unwrap_or_default();
    without_password(&set)
}

fn without_password(address: &str) -> String {
    let (scheme, rest) =
        address.split_once("://").map_or(("", address), |(s, r)| (&address[..s.len() + 3], r));
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}xxxxx:xxxxx@{place}"),
        None => address.to_owned(),
    }
}

/// The name of a file system by its magic number (statfs(2)), as Docker writes it.
fn file_system(path: &Path) -> &'static str {
    let Ok(found) = nix::sys::statfs::statfs(path) else { return "<unknown>" };
    // Wide enough on every architecture; the type differs between them.
    match found.filesystem_type().0 as u32 {
        0xef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0xf2f5_2010 => "f2fs",
        0x6969 => "nfs",
        0x2fc1_2fc1 => "zfs",
        _ => "<unknown>",
    }
}

/// What is the same on every host.
fn fixed() -> Value {
    let pools = hull_plan::ipam::POOLS
        .map(|(base, prefix)| json!({ "Base": format!("{base}/{prefix}"), "Size": hull_plan::ipam::SLICE }));
    json!({
        "Driver": STORAGE,
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["journald", "json-file", "local", "syslog"],
        },
        "Debug": false,
        "LoggingDriver": LogConfig::default().driver.as_str(),
        "CgroupDriver": "cgroupfs",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "GenericResources": null,
        "Labels": [],
        "ExperimentalBuild": false,
        "Runtimes": { "hull": { "path": RUNTIME } },
        "DefaultRuntime": "hull",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": RUNTIME,
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "FirewallBackend": { "Driver": "nftables" },
        "CDISpecDirs": hull_engine::CDI_DIRECTORIES,
        "DefaultAddressPools": pools,
    })
}

/// How registries are reached. Who reaches them is nobody's business.
fn registries(registries: &BTreeMap<String, Registry>, version: Spoken) -> Value {
    let mut configs = Map::new();
    let entry = |name: &str, mirrors: &[String], secure: bool| json!({ "Mirrors": mirrors, "Name": name, "Official": name == "docker.io", "Secure": secure });
    configs.insert("docker.io".to_owned(), entry("docker.io", &[], true));
    for (name, registry) in registries {
        configs.insert(name.clone(), entry(name, &registry.mirrors, !registry.insecure));
    }
    let mirrors = registries.get("docker.io").map(|r| r.mirrors.clone()).filter(|list| !list.is_empty());
    let mut config = json!({
        "IndexConfigs": configs,
        // No registry is trusted only for where it is.
        "InsecureRegistryCIDRs": [],
        "Mirrors": mirrors,
    });
    if version < Spoken(1, 47) {
        config["AllowNondistributableArtifactsCIDRs"] = Value::Null;
        config["AllowNondistributableArtifactsHostnames"] = Value::Null;
    }
    json!({ "RegistryConfig": config })
}

/// What old clients read.
fn of_old(version: Spoken) -> Value {
    let mut old = json!({});
    if version < Spoken(1, 50) {
        old["BridgeNfIptables"] = json!(false);
        old["BridgeNfIp6tables"] = json!(false);
    }
    if version < Spoken(1, 49) {
        old["RuncCommit"] = json!({ "ID": "", "Expected": "" });
    }
    if version < Spoken(1, 42) {
        old["KernelMemory"] = json!(false);
    }
    if version < Spoken(1, 25) {
        old["SecurityOptions"] = json!(["seccomp"]);
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_proxies_are_not_shown() {
        let rows = [
            ("http://joe:secret@proxy:3128", "http://xxxxx:xxxxx@proxy:3128"),
            ("joe:se@cret@proxy", "xxxxx:xxxxx@proxy"),
            ("http://proxy:3128", "http://proxy:3128"),
            ("", ""),
        ];
        for (set, shown) in rows {
            assert_eq!(without_password(set), shown);
        }
    }

    #[test]
    fn registries_are_told_without_their_passwords() {
        let registry = Registry {
            insecure: true,
            mirrors: vec!["m:5000".into()],
            username: Some("joe".into()),
            password: Some("secret".into()),
        };
        let told = registries(&BTreeMap::from([("r:5000".to_owned(), registry)]), Spoken(1, 51));
        let config = &told["RegistryConfig"]["IndexConfigs"]["r:5000"];
        assert_eq!((&config["Secure"], &config["Mirrors"]), (&json!(false), &json!(["m:5000"])));
        assert!(!told.to_string().contains("secret") && !told.to_string().contains("joe"));
    }
}
