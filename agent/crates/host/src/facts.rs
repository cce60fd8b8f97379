//! What the host is, read from the kernel and the image.

use crate::files::Root;
use hull_model::{DeploymentRecord, HostFacts};
use std::io;
use std::path::Path;

/// Reads the facts. What the host does not say is empty.
pub(crate) fn read(root: &Root) -> io::Result<HostFacts> {
    let text = |path: &str| root.text(path).map(|text| text.trim().to_owned());
    let os_release = match text("/etc/os-release")? {
        empty if empty.is_empty() => text("/usr/lib/os-release")?,
        found => found,
    };
    let os = |key: &str| os_release_value(&os_release, key).unwrap_or_default();
    let version = Some(os("IMAGE_VERSION")).filter(|v| !v.is_empty()).unwrap_or_else(|| os("VERSION_ID"));
    Ok(HostFacts {
        hostname: text("/proc/sys/kernel/hostname")?,
        os: os("PRETTY_NAME"),
        os_version: version,
        kernel: text("/proc/sys/kernel/osrelease")?,
        architecture: architecture(std::env::consts::ARCH).to_owned(),
        deployment: deployment(root, &text("/proc/cmdline")?),
        memory: memory(&text("/proc/meminfo")?),
        cpus: cpus(&text("/sys/devices/system/cpu/online")?),
        machine_id: text("/etc/machine-id")?,
    })
}

/// A value of os-release(5): shell assignment, in quotes or without.
fn os_release_value(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote));
    let bare = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Some(bare.replace("\\\"", "\"").replace("\\$", "$").replace("\\\\", "\\"))
}

/// The architecture as image indexes name it (Go's GOARCH).
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// The deployment that the kernel command line names: `ostree=/ostree/root.SLOT`, a link to `deploy/OS/deploy/COMMIT.N`.
fn deployment(root: &Root, cmdline: &str) -> Option<DeploymentRecord> {
    let link = cmdline.split_ascii_whitespace().find_map(|word| word.strip_prefix("ostree="))?;
    let slot = Path::new(link).file_name()?.to_str()?.strip_prefix("root.")?;
    let link = Path::new(link).strip_prefix("/").ok()?;
    let target = [Path::new("/sysroot").join(link), Path::new("/").join(link)]
        .iter()
        .find_map(|path| std::fs::read_link(root.at(path)).ok())?;
    let (commit, _) = target.file_name()?.to_str()?.rsplit_once('.')?;
    let good = commit.len() == 64 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| DeploymentRecord { commit: commit.to_owned(), slot: slot.to_owned() })
}

fn memory(meminfo: &str) -> u64 {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// How many CPUs a list like `0-3,5` names.
fn cpus(online: &str) -> u32 {
    let count = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    online.split(',').filter_map(count).sum::<u32>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let commit = "ab".repeat(32);
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            "usr/lib/os-release",
            "NAME=x\nPRETTY_NAME=\"Hull \\\"7\\\"\"\nVERSION_ID=6\nIMAGE_VERSION='7.1'\n",
        );
        put("proc/sys/kernel/hostname", "web\n");
        put("proc/sys/kernel/osrelease", "7.2.0\n");
        put("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");
        put("sys/devices/system/cpu/online", "0-2,5\n");
        put("etc/machine-id", "0123\n");
        put("proc/cmdline", "quiet ostree=/ostree/root.b ro\n");
        put("sysroot/ostree/x", "");
        std::os::unix::fs::symlink(
            format!("deploy/hull/deploy/{commit}.0"),
            dir.path().join("sysroot/ostree/root.b"),
        )
        .unwrap();
        let facts = read(&Root::new(dir.path().into())).unwrap();
        assert_eq!((&*facts.os, &*facts.os_version), ("Hull \"7\"", "7.1"));
        assert_eq!((&*facts.hostname, &*facts.kernel, &*facts.machine_id), ("web", "7.2.0", "0123"));
        assert_eq!((facts.memory, facts.cpus), (2048 * 1024, 4));
        assert_eq!(facts.deployment, Some(DeploymentRecord { commit, slot: "b".to_owned() }));
    }

    #[test]
    fn what_is_not_said_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let facts = read(&Root::new(dir.path().into())).unwrap();
        assert_eq!((facts.deployment, facts.memory, facts.cpus), (None, 0, 1));
        let root = Root::new("/".into());
        assert!(read(&root).unwrap().memory > 0, "this machine has memory");
        for bad in ["ostree=/ostree/boot.1/x", "ostree=", "ostree=/ostree/root.a"] {
            assert_eq!(deployment(&Root::new(dir.path().into()), bad), None);
        }
    }
}
