//! The part of a create request that images have too.

use super::decode::{Decode, Fields, Mismatch, Place, lookup, object};
use super::values::{Empty, Nanoseconds, Words};
use super::{HostConfig, NetworkingConfig};
use serde_json::Value;
use std::collections::BTreeMap;

object! {
    /// How to find out whether a container works.
    Healthcheck as "container.HealthConfig" {
        test: Option<Vec<String>> ["Test" omit],
        interval: Nanoseconds ["Interval" omit],
        timeout: Nanoseconds ["Timeout" omit],
        start_period: Nanoseconds ["StartPeriod" omit],
        start_interval: Nanoseconds ["StartInterval" omit],
        retries: isize ["Retries" omit],
    }
}

object! {
    /// What runs in a container, and as what.
    Config as "container.Config" {
        hostname: String ["Hostname"],
        domainname: String ["Domainname"],
        user: String ["User"],
        attach_stdin: bool ["AttachStdin"],
        attach_stdout: bool ["AttachStdout"],
        attach_stderr: bool ["AttachStderr"],
        exposed_ports: Option<BTreeMap<String, Empty>> ["ExposedPorts" omit],
        tty: bool ["Tty"],
        open_stdin: bool ["OpenStdin"],
        stdin_once: bool ["StdinOnce"],
        env: Option<Vec<String>> ["Env"],
        cmd: Option<Words> ["Cmd"],
        healthcheck: Option<Healthcheck> ["Healthcheck" omit],
        args_escaped: bool ["ArgsEscaped" omit],
        image: String ["Image"],
        volumes: Option<BTreeMap<String, Empty>> ["Volumes"],
        working_dir: String ["WorkingDir"],
        entrypoint: Option<Words> ["Entrypoint"],
        network_disabled: bool ["NetworkDisabled" omit],
        mac_address: String ["MacAddress" omit],
        on_build: Option<Vec<String>> ["OnBuild"],
        labels: Option<BTreeMap<String, String>> ["Labels"],
        stop_signal: String ["StopSignal" omit],
        stop_timeout: Option<isize> ["StopTimeout" omit],
        shell: Option<Words> ["Shell" omit],
    }
}

const KEYS: &[&str] = &[
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Healthcheck",
    "ArgsEscaped",
    "Image",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "MacAddress",
    "OnBuild",
    "Labels",
    "StopSignal",
    "StopTimeout",
    "Shell",
];

/// A whole create request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CreateRequest {
    /// `None` if none of its keys is there.
    pub(crate) config: Option<Config>,
    pub(crate) host_config: HostConfig,
    pub(crate) networking_config: NetworkingConfig,
}

impl Decode for CreateRequest {
    fn go() -> String {
        "container.CreateRequest".to_owned()
    }

    fn read(value: &Value, at: &mut Place) -> Result<Self, Mismatch> {
        let map = value.as_object().ok_or_else(|| at.mismatch(value, &Self::go()))?;
        let mut read = Self::default();
        let mut config = Config::default();
        config.read_fields(map, at)?;
        if KEYS.iter().any(|k| lookup(map, k).is_some()) {
            read.config = Some(config);
        }
        super::decode::field(&mut read.host_config, map, "HostConfig", at)?;
        super::decode::field(&mut read.networking_config, map, "NetworkingConfig", at)?;
        Ok(read)
    }

    fn is_zero(&self) -> bool {
        false
    }
}
