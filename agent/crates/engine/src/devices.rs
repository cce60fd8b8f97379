//! Devices of the host: what containers' devices, limits and vendors' files name, looked up when a container is started.

use hull_model::{ContainerSpec, DeviceSpec, Resources};
use hull_plan::oci::{CdiSpec, DeviceNumbers, Edits, HostDevice, NodeStat, limited_devices, resolve_cdi};
use hull_ports::{Error, Result};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Directories of the Container Device Interface; files of later ones win.
pub const CDI_DIRECTORIES: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// Below /dev, what a container has of its own, or must not have.
const NOT_SHARED: [&str; 8] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"];

/// What a container's devices are: those it names, over every device of the host if it is privileged.
///
/// # Errors
/// In Docker's words, the first path that is no device.
pub(crate) fn host_devices(spec: &ContainerSpec) -> Result<Vec<HostDevice>> {
    let mut found = BTreeMap::new();
    if spec.privileged {
        walk(Path::new("/dev"), Path::new("/dev"), "rwm", &mut found)
            .map_err(|e| Error::retryable("listing the devices of the host").because(e))?;
    }
    for device in &spec.devices {
        add(device, &mut found)?;
    }
    Ok(found.into_values().collect())
}

type Found = BTreeMap<PathBuf, HostDevice>;

fn add(device: &DeviceSpec, found: &mut Found) -> Result<()> {
    let wrong = |reason: &str| {
        let path = device.host.display();
        Error::permanent(format!(
            "error gathering device information while adding custom device \"{path}\": {reason}"
        ))
    };
    let permissions = if device.permissions.is_empty() { "rwm" } else { &device.permissions };
    let metadata = std::fs::metadata(&device.host).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => wrong("no such file or directory"),
        _ => wrong(&error.to_string()),
    })?;
    if metadata.is_dir() {
        let before = found.len();
        walk(&device.host, &device.container, permissions, found)
            .map_err(|error| wrong(&error.to_string()))?;
        return if found.len() > before { Ok(()) } else { Err(wrong("no devices found")) };
    }
    let node = node(&device.container, permissions, &metadata).ok_or_else(|| wrong("not a device node"))?;
    found.insert(node.path.clone(), node);
    Ok(())
}

/// Every device below a directory of the host. Links are left out: they lead to nodes that are there anyway.
fn walk(host: &Path, inside: &Path, permissions: &str, found: &mut Found) -> std::io::Result<()> {
    for entry in std::fs::read_dir(host)? {
        let entry = entry?;
        let name = entry.file_name();
        if NOT_SHARED.iter().any(|own| name == *own) {
            continue;
        }
        // Nodes come and go while they are listed.
        let Ok(metadata) = entry.metadata() else { continue };
        let target = inside.join(&name);
        if metadata.is_dir() {
            walk(&entry.path(), &target, permissions, found)?;
        } else if let Some(node) = node(&target, permissions, &metadata) {
            found.insert(node.path.clone(), node);
        }
    }
    Ok(())
}

fn node(path: &Path, permissions: &str, metadata: &Metadata) -> Option<HostDevice> {
    let (character, major, minor, mode) = stat_of(metadata)?;
    Some(HostDevice {
        path: path.to_owned(),
        character,
        major,
        minor,
        permissions: permissions.to_owned(),
        mode: Some(mode),
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

fn stat_of(metadata: &Metadata) -> Option<NodeStat> {
    let kind = metadata.file_type();
    if !kind.is_char_device() && !kind.is_block_device() {
        return None;
    }
    let (major, minor) = numbers_of(metadata.rdev());
    Some((kind.is_char_device(), major, minor, metadata.mode() & 0o7777))
}

/// Major and minor of a device number (gnu_dev_major(3)).
fn numbers_of(device: u64) -> (u64, u64) {
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & 0xffff_ff00);
    (major, minor)
}

/// Numbers of the devices that limits name.
///
/// # Errors
/// In Docker's words, the first path that is not there.
pub(crate) fn device_numbers(resources: &Resources) -> Result<DeviceNumbers> {
    let numbers = |path: &PathBuf| match std::fs::metadata(path) {
        Ok(metadata) => Ok((path.clone(), numbers_of(metadata.rdev()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::permanent(format!("stat {}: no such file or directory", path.display())))
        }
        Err(error) => Err(Error::permanent(format!("stat {}", path.display())).because(error)),
    };
    limited_devices(resources).map(numbers).collect()
}

/// What the vendors' files say about a container's devices.
///
/// # Errors
/// In Docker's words, devices that no file has; or what a file asks for that is not supported.
pub(crate) fn cdi_edits(names: &[String], directories: &[&str]) -> Result<Edits> {
    if names.is_empty() {
        return Ok(Edits::default());
    }
    let files: Vec<CdiSpec> = directories.iter().flat_map(|dir| read_directory(Path::new(dir))).collect();
    let stat = |path: &Path| std::fs::metadata(path).ok().as_ref().and_then(stat_of);
    resolve_cdi(&files, names, stat).map_err(|error| Error::permanent(error.to_string()))
}

/// The files of a directory in the order of their names. A file that cannot be read has no devices, and is told about.
fn read_directory(directory: &Path) -> Vec<CdiSpec> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let known = |path: &&PathBuf| path.extension().is_some_and(|e| e == "json" || e == "yaml" || e == "yml");
    let read = |path: &PathBuf| match read_file(path) {
        Ok(spec) => Some(spec),
        Err(reason) => {
            tracing::warn!(file = %path.display(), reason, "a file of the Container Device Interface is left out");
            None
        }
    };
    paths.iter().filter(known).filter_map(read).collect()
}

fn read_file(path: &Path) -> std::result::Result<CdiSpec, String> {
    /// Longer files are not a vendor's.
    const LIMIT: u64 = 8 << 20;
    let metadata = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return Err("it is not a file of at most 8 MiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    // JSON is YAML, but errors in it are clearer when it is read as what it is.
    if path.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text).map_err(|e| e.to_string())
    } else {
        serde_yaml::from_str(&text).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{Name, Reference};

    fn spec(devices: &[(&str, &str, &str)]) -> ContainerSpec {
        let mut spec = ContainerSpec::new(Name::new("c").unwrap(), Reference::parse("image").unwrap());
        spec.devices = devices
            .iter()
            .map(|(host, container, permissions)| DeviceSpec {
                host: host.into(),
                container: container.into(),
                permissions: (*permissions).to_owned(),
            })
            .collect();
        spec
    }

    #[test]
    fn devices_are_found_by_their_numbers() {
        let devices = host_devices(&spec(&[("/dev/null", "/dev/nothing", "r")])).unwrap();
        let [null] = devices.as_slice() else { panic!("{devices:?}") };
        assert_eq!((null.character, null.major, null.minor), (true, 1, 3));
        assert_eq!((null.path.as_path(), null.permissions.as_str()), (Path::new("/dev/nothing"), "r"));
        for (path, words) in [
            ("/dev/nosuch", "custom device \"/dev/nosuch\": no such file or directory"),
            ("/etc/passwd", "custom device \"/etc/passwd\": not a device node"),
        ] {
            let error = host_devices(&spec(&[(path, "/dev/x", "")])).unwrap_err();
            assert!(error.chain().ends_with(words), "{}", error.chain());
        }
        let privileged = ContainerSpec { privileged: true, ..spec(&[]) };
        let all = host_devices(&privileged).unwrap();
        assert!(all.iter().any(|d| d.path == Path::new("/dev/zero")));
        assert!(all.iter().all(|d| !d.path.starts_with("/dev/pts") && !d.path.starts_with("/dev/shm")));
        assert_eq!(numbers_of(0x0000_1234_5678_9abc & 0xffff_ffff), (0x89a, 0x567bc));
    }

    #[test]
    fn vendors_files_are_read_in_both_forms() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write(
            "a.json",
            r#"{"cdiVersion": "0.5.0", "kind": "vendor.com/gpu", "containerEdits": {"env": ["ALL=1"]},
                "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null"}]}}]}"#,
        );
        write(
            "b.yaml",
            "cdiVersion: 0.6.0\nkind: vendor.com/net\ndevices:\n- name: x\n  containerEdits:\n    hooks: [{hookName: prestart, path: /bin/x}]\n",
        );
        write("broken.json", "{");
        write("other.txt", "not looked at");
        let directories = [directory.path().to_str().unwrap()];
        let edits = |name: &str| cdi_edits(&[name.to_owned()], &directories);
        let gpu = edits("vendor.com/gpu=0").unwrap();
        assert_eq!(gpu.env, ["ALL=1"]);
        assert_eq!((gpu.devices[0].major, gpu.devices[0].minor), (1, 3));
        let unknown = edits("vendor.com/gpu=7").unwrap_err().chain();
        assert_eq!(unknown, "CDI device injection failed: unresolvable CDI devices vendor.com/gpu=7");
        assert!(edits("vendor.com/net=x").unwrap_err().chain().contains("hooks"));
        assert!(cdi_edits(&[], &directories).unwrap().devices.is_empty());
    }
}
