//! `blkio_config`: disk access.

use super::mounts::bytes;
use crate::node::{Node, Read};
use hull_model::{DeviceRate, Resources};

/// Reads `blkio_config` into the limits.
pub(super) fn blkio_config(node: &Node<'_>, resources: &mut Resources) -> Read<()> {
    for (key, value) in node.entries("blkio_config: {weight: 300}")? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "weight" => resources.blkio_weight = Some(value.integer(10..=1000)? as u16),
            "weight_device" => resources.blkio_weight_device = devices(&value, "weight")?,
            "device_read_bps" => resources.device_read_bps = devices(&value, "rate")?,
            "device_write_bps" => resources.device_write_bps = devices(&value, "rate")?,
            "device_read_iops" => resources.device_read_iops = devices(&value, "iops")?,
            "device_write_iops" => resources.device_write_iops = devices(&value, "iops")?,
            _ => return Err(node.unknown(key, KEYS)),
        }
    }
    Ok(())
}

const KEYS: [&str; 6] = [
    "weight",
    "weight_device",
    "device_read_bps",
    "device_write_bps",
    "device_read_iops",
    "device_write_iops",
];

/// A list of devices with a limit each: bytes for `rate`, a number for `iops`, 10 to 1000 for `weight`.
fn devices(node: &Node<'_>, what: &str) -> Read<Vec<DeviceRate>> {
    let example = "[{path: /dev/sda, rate: 12mb}]";
    let one = |item: &Node<'_>| {
        let (mut path, mut limit) = (None, None);
        for (key, value) in item.entries(example)? {
            match (key, what) {
                ("path", _) => path = Some(value.text("/dev/sda")?),
                ("weight", "weight") => limit = Some(value.integer(10..=1000)?),
                ("rate", "rate") => limit = Some(bytes(&value)?),
                ("rate", "iops") => limit = Some(value.integer(1..=u64::MAX)?),
                _ => return Err(item.unknown(key, ["path", "rate", "weight"])),
            }
        }
        match (path.filter(|path| path.starts_with('/')), limit) {
            (Some(path), Some(value)) => Ok(DeviceRate { path: path.into(), value }),
            _ => Err(item.expected("a device and its limit", example)),
        }
    };
    node.items(example)?.iter().map(one).collect()
}
