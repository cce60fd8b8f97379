//! The arguments of `run` and `create`, as the document that the API takes. Reads the files that they name; asks nobody.

mod devices;
pub(crate) mod env;
mod health;
mod limits;
mod mounts;
pub(crate) mod networks;
mod ports;
mod security;
mod volumes;

pub(crate) use devices::check_gpus;
pub(crate) use limits::{resources, restart};
pub(crate) use mounts::check as check_mount;

use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::stream::Streams;
use serde_json::{Map, Value, json};

/// What is sent to make a container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Creation {
    pub(crate) document: Value,
}

impl Creation {
    /// How its streams are connected.
    pub(crate) fn streams<'a>(&self, detach_keys: &'a str) -> Streams<'a> {
        let on = |key: &str| self.document[key] == true;
        Streams {
            tty: on("Tty"),
            stdin: on("AttachStdin"),
            stdout: on("AttachStdout"),
            stderr: on("AttachStderr"),
            detach_keys,
        }
    }

    /// Connects nothing: the container runs on its own.
    pub(crate) fn detach(&mut self) {
        for key in ["AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"] {
            self.document[key] = json!(false);
        }
    }

    /// The size its terminal begins with, if there is one here.
    pub(crate) fn set_console_size(&mut self, size: Option<(u16, u16)>) {
        if let Some((rows, columns)) = size {
            self.document["HostConfig"]["ConsoleSize"] = json!([rows, columns]);
        }
    }
}

/// The platform that is asked for, by flag or environment.
pub(crate) fn platform(given: &Given) -> Option<String> {
    let environment = || std::env::var("DOCKER_DEFAULT_PLATFORM").ok().filter(|p| !p.is_empty());
    given.some("platform").map(str::to_owned).or_else(environment)
}

/// `os[/architecture[/variant]]` as the API takes it.
pub(crate) fn platform_document(text: &str) -> Result<Value, Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    let bad =
        || Failure::new(format!("invalid platform: {text:?}: it is written os[/architecture[/variant]]"));
    match parts.as_slice() {
        [os] if !os.is_empty() => Ok(json!({ "os": os })),
        [os, architecture] => Ok(json!({ "os": os, "architecture": architecture })),
        [os, architecture, variant] => {
            Ok(json!({ "os": os, "architecture": architecture, "variant": variant }))
        }
        _ => Err(bad()),
    }
}

/// `key=value` texts as an object; a key alone is empty.
pub(crate) fn pairs(texts: &[impl AsRef<str>]) -> Map<String, Value> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), json!(value))
    };
    texts.iter().map(|text| pair(text.as_ref())).collect()
}

fn list(texts: &[&str]) -> Value {
    if texts.is_empty() { Value::Null } else { json!(texts) }
}

/// Reads the arguments.
pub(crate) fn read(given: &Given) -> Result<Creation, Failure> {
    refuse_unsupported(given)?;
    let (streams, attached) = streams(given);
    let env = env::variables(&given.list("env-file"), &given.list("env"))?;
    let labels = env::labels(&given.list("label-file"), &given.list("label"))?;
    let (anonymous, binds) = volumes::read(&given.list("volume"))?;
    let (exposed, bindings) = ports::read(&given.list("publish"), &given.list("expose"))?;
    let mut document = json!({
        "Hostname": given.text("hostname"),
        "Domainname": given.text("domainname"),
        "User": given.text("user"),
        "Env": if env.is_empty() { Value::Null } else { json!(env) },
        "Cmd": list(&given.args[1..].iter().map(String::as_str).collect::<Vec<_>>()),
        "Image": given.first(),
        "Volumes": anonymous,
        "WorkingDir": given.text("workdir"),
        "Entrypoint": if given.changed("entrypoint") { json!([given.text("entrypoint")]) } else { Value::Null },
        "Labels": labels,
        "HostConfig": host(given, binds, bindings)?,
        "NetworkingConfig": { "EndpointsConfig": networks::endpoints(given)? },
    });
    for (key, on) in streams {
        document[key] = json!(on);
    }
    document["StdinOnce"] = json!(given.on("interactive") && attached);
    let optional = [
        ("ExposedPorts", (!exposed.is_empty()).then_some(Value::Object(exposed))),
        ("Healthcheck", health::read(given)?),
        ("StopSignal", given.some("stop-signal").map(|s| json!(s))),
        ("StopTimeout", given.changed("stop-timeout").then(|| json!(given.number("stop-timeout")))),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            document[key] = value;
        }
    }
    Ok(Creation { document })
}

fn refuse_unsupported(given: &Given) -> Result<(), Failure> {
    if given.on("use-api-socket") {
        return Err(Failure::new(
            "--use-api-socket is not supported: mount the socket with -v /run/docker.sock:/var/run/docker.sock",
        ));
    }
    if given.on("rm") && !matches!(given.text("restart"), "no" | "") {
        return Err(Failure::new("conflicting options: cannot specify both --restart and --rm"));
    }
    Ok(())
}

/// Which streams are there, and whether standard input is one of them.
fn streams(given: &Given) -> ([(&'static str, bool); 5], bool) {
    let attach: Vec<String> = given.list("attach").iter().map(|s| s.to_lowercase()).collect();
    let has = |name: &str| attach.iter().any(|s| s == name);
    let (all, interactive) = (attach.is_empty(), given.on("interactive"));
    let stdin = has("stdin") || (all && interactive);
    let streams = [
        ("AttachStdin", stdin),
        ("AttachStdout", all || has("stdout")),
        ("AttachStderr", all || has("stderr")),
        ("Tty", given.on("tty")),
        ("OpenStdin", interactive),
    ];
    (streams, stdin)
}

/// What concerns the host.
fn host(given: &Given, binds: Vec<String>, bindings: Map<String, Value>) -> Result<Value, Failure> {
    let mut host = json!({
        "Binds": if binds.is_empty() { Value::Null } else { json!(binds) },
        "ContainerIDFile": given.text("cidfile"),
        "LogConfig": limits::logging(given)?,
        "NetworkMode": networks::mode(given)?,
        "PortBindings": bindings,
        "RestartPolicy": restart(given.text("restart"))?,
        "AutoRemove": given.on("rm"),
        "VolumeDriver": given.text("volume-driver"),
        "VolumesFrom": list(&given.list("volumes-from")),
        "ConsoleSize": [0, 0],
        "Annotations": pairs(&given.list("annotation")),
        "GroupAdd": list(&given.list("group-add")),
        "Links": list(&given.list("link")),
        "OomScoreAdj": given.number("oom-score-adj"),
        "PublishAllPorts": given.on("publish-all"),
        "ReadonlyRootfs": given.on("read-only"),
        "StorageOpt": limits::storage(&given.list("storage-opt"))?,
        "Tmpfs": volumes::tmpfs(&given.list("tmpfs")),
        "ShmSize": given.bytes("shm-size"),
        "Runtime": given.text("runtime"),
        "Mounts": mounts::read(&given.list("mount"))?,
    });
    if given.changed("init") {
        host["Init"] = json!(given.on("init"));
    }
    if let Value::Object(host) = &mut host {
        host.extend(limits::all(given));
        host.extend(names(given));
        host.extend(isolation(given)?);
    }
    Ok(host)
}

/// How names are looked up.
fn names(given: &Given) -> Map<String, Value> {
    let options = [given.list("dns-option"), given.list("dns-opt")].concat();
    Map::from_iter([
        ("Dns".to_owned(), json!(given.list("dns"))),
        ("DnsOptions".to_owned(), json!(options)),
        ("DnsSearch".to_owned(), json!(given.list("dns-search"))),
        ("ExtraHosts".to_owned(), networks::extra_hosts(&given.list("add-host"))),
    ])
}

/// What keeps it apart from the host, and what does not.
fn isolation(given: &Given) -> Result<Map<String, Value>, Failure> {
    let (options, masked, read_only) = security::read(&given.list("security-opt"))?;
    let (devices, requests) = devices::read(given)?;
    let (add, drop) = security::capabilities(&given.list("cap-add"), &given.list("cap-drop"));
    let isolation = json!({
        "CapAdd": add,
        "CapDrop": drop,
        "CgroupParent": given.text("cgroup-parent"),
        "CgroupnsMode": mode(given, "cgroupns", "CGROUP", &["host", "private"])?,
        "IpcMode": given.text("ipc"),
        "PidMode": mode(given, "pid", "PID", &["host", "container:"])?,
        "UTSMode": mode(given, "uts", "UTS", &["host"])?,
        "UsernsMode": mode(given, "userns", "USER", &["host"])?,
        "Privileged": given.on("privileged"),
        "SecurityOpt": options,
        "MaskedPaths": masked,
        "ReadonlyPaths": read_only,
        "Sysctls": pairs(&given.list("sysctl")),
        "Isolation": given.text("isolation"),
        "Devices": devices,
        "DeviceCgroupRules": list(&given.list("device-cgroup-rule")),
        "DeviceRequests": requests,
    });
    Ok(isolation.as_object().cloned().unwrap_or_default())
}

/// A namespace mode; one that ends with a colon wants a name after it.
fn mode<'a>(given: &'a Given, flag: &str, called: &str, known: &[&str]) -> Result<&'a str, Failure> {
    let mode = given.text(flag);
    let right =
        |k: &&str| if k.ends_with(':') { mode.starts_with(*k) && mode.len() > k.len() } else { mode == *k };
    match mode.is_empty() || known.iter().any(right) {
        true => Ok(mode),
        false => Err(Failure::new(format!("--{flag}: invalid {called} mode"))),
    }
}

#[cfg(test)]
mod tests;
