//! Mounts in their long form.

use super::decode::object;
use std::collections::BTreeMap;

object! {
    /// Options of a directory of the host.
    BindOptions as "mount.BindOptions" {
        propagation: String ["Propagation" omit],
        non_recursive: bool ["NonRecursive" omit],
        create_mountpoint: bool ["CreateMountpoint" omit],
        read_only_non_recursive: bool ["ReadOnlyNonRecursive" omit],
        read_only_force_recursive: bool ["ReadOnlyForceRecursive" omit],
    }
}

object! {
    /// A volume driver.
    Driver as "mount.Driver" {
        name: String ["Name" omit],
        options: Option<BTreeMap<String, String>> ["Options" omit],
    }
}

object! {
    /// Options of a volume.
    VolumeOptions as "mount.VolumeOptions" {
        no_copy: bool ["NoCopy" omit],
        labels: Option<BTreeMap<String, String>> ["Labels" omit],
        subpath: String ["Subpath" omit],
        driver_config: Option<Driver> ["DriverConfig" omit],
    }
}

object! {
    /// Options of an image mounted read-only.
    ImageOptions as "mount.ImageOptions" {
        subpath: String ["Subpath" omit],
    }
}

object! {
    /// Options of memory.
    TmpfsOptions as "mount.TmpfsOptions" {
        size_bytes: i64 ["SizeBytes" omit],
        mode: u32 ["Mode" omit],
        options: Option<Vec<Vec<String>>> ["Options" omit],
    }
}

object! {
    /// One mount.
    Mount as "mount.Mount" {
        kind: String ["Type" omit],
        source: String ["Source" omit],
        target: String ["Target" omit],
        read_only: bool ["ReadOnly" omit],
        consistency: String ["Consistency" omit],
        bind_options: Option<BindOptions> ["BindOptions" omit],
        volume_options: Option<VolumeOptions> ["VolumeOptions" omit],
        image_options: Option<ImageOptions> ["ImageOptions" omit],
        tmpfs_options: Option<TmpfsOptions> ["TmpfsOptions" omit],
        cluster_options: Option<super::Empty> ["ClusterOptions" omit],
    }
}
