//! Limits and devices, as create and update requests carry them.

use super::RestartPolicy;
use super::decode::object;
use std::collections::BTreeMap;

object! {
    /// A weight of one device.
    WeightDevice as "blkiodev.WeightDevice" {
        path: String ["Path"],
        weight: u16 ["Weight"],
    }
}

object! {
    /// A limit on one device.
    ThrottleDevice as "blkiodev.ThrottleDevice" {
        path: String ["Path"],
        rate: u64 ["Rate"],
    }
}

object! {
    /// A device of the host.
    DeviceMapping as "container.DeviceMapping" {
        path_on_host: String ["PathOnHost"],
        path_in_container: String ["PathInContainer"],
        cgroup_permissions: String ["CgroupPermissions"],
    }
}

object! {
    /// Devices asked for by what they can do.
    DeviceRequest as "container.DeviceRequest" {
        driver: String ["Driver"],
        count: isize ["Count"],
        device_ids: Option<Vec<String>> ["DeviceIDs"],
        capabilities: Option<Vec<Vec<String>>> ["Capabilities"],
        options: Option<BTreeMap<String, String>> ["Options"],
    }
}

object! {
    /// A resource limit by name.
    Ulimit as "units.Ulimit" {
        name: String ["Name"],
        hard: i64 ["Hard"],
        soft: i64 ["Soft"],
    }
}

object! {
    /// Limits of a container.
    Resources as "container.Resources" {
        cpu_shares: i64 ["CpuShares"],
        memory: i64 ["Memory"],
        nano_cpus: i64 ["NanoCpus"],
        cgroup_parent: String ["CgroupParent"],
        blkio_weight: u16 ["BlkioWeight"],
        blkio_weight_device: Option<Vec<WeightDevice>> ["BlkioWeightDevice"],
        blkio_device_read_bps: Option<Vec<ThrottleDevice>> ["BlkioDeviceReadBps"],
        blkio_device_write_bps: Option<Vec<ThrottleDevice>> ["BlkioDeviceWriteBps"],
        blkio_device_read_iops: Option<Vec<ThrottleDevice>> ["BlkioDeviceReadIOps"],
        blkio_device_write_iops: Option<Vec<ThrottleDevice>> ["BlkioDeviceWriteIOps"],
        cpu_period: i64 ["CpuPeriod"],
        cpu_quota: i64 ["CpuQuota"],
        cpu_realtime_period: i64 ["CpuRealtimePeriod"],
        cpu_realtime_runtime: i64 ["CpuRealtimeRuntime"],
        cpuset_cpus: String ["CpusetCpus"],
        cpuset_mems: String ["CpusetMems"],
        devices: Option<Vec<DeviceMapping>> ["Devices"],
        device_cgroup_rules: Option<Vec<String>> ["DeviceCgroupRules"],
        device_requests: Option<Vec<DeviceRequest>> ["DeviceRequests"],
        kernel_memory: i64 ["KernelMemory" omit],
        kernel_memory_tcp: i64 ["KernelMemoryTCP" omit],
        memory_reservation: i64 ["MemoryReservation"],
        memory_swap: i64 ["MemorySwap"],
        memory_swappiness: Option<i64> ["MemorySwappiness"],
        oom_kill_disable: Option<bool> ["OomKillDisable"],
        pids_limit: Option<i64> ["PidsLimit"],
        ulimits: Option<Vec<Ulimit>> ["Ulimits"],
        cpu_count: i64 ["CpuCount"],
        cpu_percent: i64 ["CpuPercent"],
        io_maximum_iops: u64 ["IOMaximumIOps"],
        io_maximum_bandwidth: u64 ["IOMaximumBandwidth"],
    }
}

object! {
    /// What is changed of a container that exists.
    UpdateRequest as "container.UpdateConfig" {
        resources: Resources [flat],
        restart_policy: RestartPolicy ["RestartPolicy"],
    }
}
