//! What the kernel can limit, as `/info` says it.

use std::path::Path;

/// Which limits hold on this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) unified: bool,
    pub(super) memory: bool,
    pub(super) swap: bool,
    pub(super) kernel_memory_tcp: bool,
    pub(super) oom_kill_disable: bool,
    pub(super) cpu: bool,
    pub(super) cpuset: bool,
    pub(super) pids: bool,
}

impl Abilities {
    /// Reads them below a directory where control groups are mounted (cgroups(7)): all in one tree, or a tree for each.
    pub(super) fn read(groups: &Path) -> Self {
        match std::fs::read_to_string(groups.join("cgroup.controllers")) {
            Ok(controllers) => Self::of_one_tree(&controllers, groups),
            Err(_) => Self::of_trees(|path| groups.join(path).exists()),
        }
    }

    fn of_one_tree(controllers: &str, groups: &Path) -> Self {
        let has = |name: &str| controllers.split_whitespace().any(|c| c == name);
        // The root has no limits of its own; any group below it shows whether swap is counted.
        let below = std::fs::read_dir(groups).into_iter().flatten().flatten();
        let swap = below.map(|entry| entry.path().join("memory.swap.max")).any(|file| file.exists());
        Self {
            unified: true,
            memory: has("memory"),
            swap: has("memory") && swap,
            cpu: has("cpu"),
            cpuset: has("cpuset"),
            pids: has("pids"),
            ..Self::default()
        }
    }

    fn of_trees(there: impl Fn(&str) -> bool) -> Self {
        Self {
            unified: false,
            memory: there("memory/memory.limit_in_bytes"),
            swap: there("memory/memory.memsw.limit_in_bytes"),
            kernel_memory_tcp: there("memory/memory.kmem.tcp.limit_in_bytes"),
            oom_kill_disable: there("memory/memory.oom_control"),
            cpu: there("cpu/cpu.shares") || there("cpu,cpuacct/cpu.shares"),
            cpuset: there("cpuset/cpuset.cpus"),
            pids: there("pids/cgroup.procs"),
        }
    }

    /// What a person should know that cannot be limited.
    pub(super) fn warnings(self, forwarding: bool) -> Vec<String> {
        let rows = [
            (self.memory, "WARNING: No memory limit support"),
            (self.swap, "WARNING: No swap limit support"),
            (self.cpu, "WARNING: No cpu cfs quota support"),
            (self.cpu, "WARNING: No cpu cfs period support"),
            (self.cpu, "WARNING: No cpu shares support"),
            (self.cpuset, "WARNING: No cpuset support"),
            (forwarding, "WARNING: IPv4 forwarding is disabled"),
        ];
        rows.into_iter().filter(|(there, _)| !there).map(|(_, text)| text.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "cpuset cpu memory").unwrap();
        };
        assert_eq!(Abilities::read(dir.path()), Abilities::default());
        put("memory/memory.limit_in_bytes");
        put("memory/memory.oom_control");
        put("cpu/cpu.shares");
        let trees = Abilities { memory: true, oom_kill_disable: true, cpu: true, ..Abilities::default() };
        assert_eq!(Abilities::read(dir.path()), trees);
        put("cgroup.controllers");
        put("init.scope/memory.swap.max");
        let one = Abilities {
            unified: true,
            memory: true,
            swap: true,
            cpu: true,
            cpuset: true,
            ..Abilities::default()
        };
        assert_eq!(Abilities::read(dir.path()), one);
        assert_eq!(one.warnings(false), ["WARNING: IPv4 forwarding is disabled"]);
        assert_eq!(trees.warnings(true), ["WARNING: No swap limit support", "WARNING: No cpuset support"]);
    }
}
