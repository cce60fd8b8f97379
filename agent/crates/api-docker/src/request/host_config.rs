//! The part of a create request that depends on the host.

use super::decode::object;
use super::values::{Size, Words};
use super::{Mount, Resources};
use std::collections::BTreeMap;

object! {
    /// Where output goes.
    LogConfig as "container.LogConfig" {
        kind: String ["Type"],
        config: Option<BTreeMap<String, String>> ["Config"],
    }
}

object! {
    /// What happens after the end.
    RestartPolicy as "container.RestartPolicy" {
        name: String ["Name"],
        maximum_retry_count: isize ["MaximumRetryCount"],
    }
}

object! {
    /// Where a port answers on the host.
    PortBinding as "nat.PortBinding" {
        host_ip: String ["HostIp"],
        host_port: String ["HostPort"],
    }
}

/// Bindings by port, `80/tcp`.
pub(crate) type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

object! {
    /// How a container is tied to its host.
    HostConfig as "container.HostConfig" {
        binds: Option<Vec<String>> ["Binds"],
        container_id_file: String ["ContainerIDFile"],
        log_config: LogConfig ["LogConfig"],
        network_mode: String ["NetworkMode"],
        port_bindings: Option<PortMap> ["PortBindings"],
        restart_policy: RestartPolicy ["RestartPolicy"],
        auto_remove: bool ["AutoRemove"],
        volume_driver: String ["VolumeDriver"],
        volumes_from: Option<Vec<String>> ["VolumesFrom"],
        console_size: Size ["ConsoleSize"],
        annotations: Option<BTreeMap<String, String>> ["Annotations" omit],
        cap_add: Option<Words> ["CapAdd"],
        cap_drop: Option<Words> ["CapDrop"],
        cgroupns_mode: String ["CgroupnsMode"],
        dns: Option<Vec<String>> ["Dns"],
        dns_options: Option<Vec<String>> ["DnsOptions"],
        dns_search: Option<Vec<String>> ["DnsSearch"],
        extra_hosts: Option<Vec<String>> ["ExtraHosts"],
        group_add: Option<Vec<String>> ["GroupAdd"],
        ipc_mode: String ["IpcMode"],
        cgroup: String ["Cgroup"],
        links: Option<Vec<String>> ["Links"],
        oom_score_adj: isize ["OomScoreAdj"],
        pid_mode: String ["PidMode"],
        privileged: bool ["Privileged"],
        publish_all_ports: bool ["PublishAllPorts"],
        readonly_rootfs: bool ["ReadonlyRootfs"],
        security_opt: Option<Vec<String>> ["SecurityOpt"],
        storage_opt: Option<BTreeMap<String, String>> ["StorageOpt" omit],
        tmpfs: Option<BTreeMap<String, String>> ["Tmpfs" omit],
        uts_mode: String ["UTSMode"],
        userns_mode: String ["UsernsMode"],
        shm_size: i64 ["ShmSize"],
        sysctls: Option<BTreeMap<String, String>> ["Sysctls" omit],
        runtime: String ["Runtime"],
        isolation: String ["Isolation"],
        resources: Resources [flat],
        mounts: Option<Vec<Mount>> ["Mounts" omit],
        masked_paths: Option<Vec<String>> ["MaskedPaths"],
        readonly_paths: Option<Vec<String>> ["ReadonlyPaths"],
        init: Option<bool> ["Init" omit],
    }
}
