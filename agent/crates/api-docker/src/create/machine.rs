//! What limits can be checked against: the CPUs and memory nodes of this machine, and what its kernel can limit.

use std::collections::BTreeSet;
use std::path::Path;

/// What this machine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// CPUs that are online, as `0-3`.
    pub(crate) cpus: String,
    /// Memory nodes that are online.
    pub(crate) nodes: String,
    /// Whether disks can be shared by weight.
    pub(crate) blkio_weight: bool,
    /// Whether control groups are those of version 2.
    pub(crate) unified: bool,
}

impl Machine {
    /// Asks the kernel, below `/sys` or what stands for it. Where it does not say, one CPU and one node are assumed.
    pub(crate) fn read(sys: &Path) -> Self {
        let read = |path: &str| {
            let text = std::fs::read_to_string(sys.join(path)).unwrap_or_default();
            Some(text.trim().to_owned()).filter(|t| !t.is_empty()).unwrap_or_else(|| "0".to_owned())
        };
        let unified = sys.join("fs/cgroup/cgroup.controllers").exists();
        let weight = match unified {
            true => read("fs/cgroup/cgroup.controllers").split_whitespace().any(|c| c == "io"),
            false => sys.join("fs/cgroup/blkio/blkio.weight").exists(),
        };
        Self {
            cpus: read("devices/system/cpu/online"),
            nodes: read("devices/system/node/online"),
            blkio_weight: weight,
            unified,
        }
    }

    /// How many CPUs there are.
    pub(crate) fn cpu_count(&self) -> usize {
        numbers(&self.cpus).map_or(1, |set| set.len().max(1))
    }
}

/// The numbers of a list like `0-3,5`. `None` if it is none.
pub(crate) fn numbers(list: &str) -> Option<BTreeSet<u32>> {
    /// More CPUs than any kernel counts.
    const MOST: u32 = 8191;
    let mut set = BTreeSet::new();
    for part in list.split(',').filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last > MOST {
            return None;
        }
        set.extend(first..=last);
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(numbers("0-2,5"), Some(BTreeSet::from([0, 1, 2, 5])));
        assert_eq!(numbers(""), Some(BTreeSet::new()));
        for bad in ["a", "1-0", "0-99999999", "-1", "1-2-3"] {
            assert_eq!(numbers(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_machine_is_read_from_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let cpus = dir.path().join("devices/system/cpu");
        std::fs::create_dir_all(&cpus).unwrap();
        std::fs::write(cpus.join("online"), "0-3\n").unwrap();
        let machine = Machine::read(dir.path());
        assert_eq!((machine.cpu_count(), machine.nodes.as_str(), machine.unified), (4, "0", false));
    }
}
