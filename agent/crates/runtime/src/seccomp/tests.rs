use super::numbers::{ARCHITECTURE, number};
use super::*;
use hull_sys::seccomp::Instruction;
use oci_spec::runtime::LinuxSeccomp;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;

fn errno(number: i32) -> u32 {
    0x0005_0000 | number as u32
}

/// What the kernel does with a filter: classic BPF over `struct seccomp_data`.
fn evaluate(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(architecture.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    arguments.iter().for_each(|a| data.extend(a.to_le_bytes()));
    let (mut at, mut a) = (0, 0u32);
    for _ in 0..=program.len() {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            0x20 => a = u32::from_le_bytes(data[k as usize..k as usize + 4].try_into().unwrap()),
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x54 => a &= k,
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        }
    }
    panic!("the program does not end");
}

fn call(filter: &Filter, name: &str, arguments: [u64; 6]) -> u32 {
    evaluate(&filter.program, ARCHITECTURE, number(name).unwrap_or_else(|| panic!("{name}")), arguments)
}

fn default_filter(capabilities: &[&str]) -> Filter {
    let set: BTreeSet<String> = capabilities.iter().map(|c| (*c).to_owned()).collect();
    compile(&default_profile(&set)).unwrap()
}

#[test]
fn the_default_profile_allows_programs_and_refuses_the_rest() {
    let filter = default_filter(&["CAP_CHOWN"]);
    assert!(filter.program.len() < 1200, "{}", filter.program.len());
    for name in [
        "read",
        "openat",
        "execve",
        "futex",
        "mmap",
        "epoll_wait",
        "ptrace",
        "rseq",
        "statx",
        "getrandom",
        "seccomp",
    ] {
        assert_eq!(call(&filter, name, [0; 6]), ALLOW, "{name}");
    }
    for name in [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "add_key",
        "request_key",
        "init_module",
        "kexec_load",
        "io_uring_setup",
        "userfaultfd",
        "perf_event_open",
        "reboot",
        "swapon",
        "pivot_root",
        "open_by_handle_at",
        "chroot",
        "move_pages",
        "fsopen",
        "move_mount",
        "quotactl",
        "settimeofday",
        "iopl",
        "syslog",
        "kcmp",
    ] {
        assert_eq!(call(&filter, name, [0; 6]), errno(libc::EPERM), "{name}");
    }
    assert_eq!(call(&filter, "clone3", [0; 6]), errno(libc::ENOSYS));
    assert_eq!(evaluate(&filter.program, ARCHITECTURE, 100_000, [0; 6]), errno(libc::EPERM));
}

#[test]
fn arguments_decide_in_the_default_profile() {
    let filter = default_filter(&[]);
    let first = |name: &str, value: u64| call(&filter, name, [value, 0, 0, 0, 0, 0]);
    assert_eq!(first("clone", libc::CLONE_VM as u64 | libc::CLONE_THREAD as u64), ALLOW);
    for namespace in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID] {
        assert_eq!(first("clone", namespace as u64 | 17), errno(libc::EPERM));
    }
    for (domain, allowed) in
        [(1u64, true), (2, true), (10, true), (16, true), (38, false), (39, true), (40, false), (41, true)]
    {
        assert_eq!(first("socket", domain) == ALLOW, allowed, "socket family {domain}");
    }
    for (persona, allowed) in
        [(0u64, true), (8, true), (0xffff_ffff, true), (0x0004_0000, false), (1 << 32, false)]
    {
        assert_eq!(first("personality", persona) == ALLOW, allowed, "{persona:#x}");
    }
}

#[test]
fn capabilities_bring_their_calls() {
    let filter = default_filter(&["CAP_SYS_ADMIN", "SYS_CHROOT"]);
    for name in ["mount", "unshare", "setns", "clone3", "chroot", "clone"] {
        assert_eq!(call(&filter, name, [u64::from(u32::MAX); 6]), ALLOW, "{name}");
    }
    assert_eq!(call(&filter, "reboot", [0; 6]), errno(libc::EPERM));
    assert_eq!(call(&default_filter(&["CAP_SYS_PTRACE"]), "kcmp", [0; 6]), ALLOW);
}

#[test]
fn other_entry_points_do_not_get_round_the_filter() {
    let filter = default_filter(&[]);
    // i386 and a number that is harmless here.
    assert_eq!(evaluate(&filter.program, 0x4000_0003, 0, [0; 6]), KILL);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(evaluate(&filter.program, ARCHITECTURE, 0x4000_0000, [0; 6]), errno(libc::ENOSYS));
    }
}

#[test]
fn every_name_in_the_default_profile_is_known_somewhere() {
    let capabilities = hull_sys::capability::NAMES.iter().map(|n| (*n).to_owned()).collect();
    let profile = default_profile(&capabilities);
    let names: Vec<&String> = profile.syscalls().iter().flatten().flat_map(|group| group.names()).collect();
    let unknown: Vec<_> = names.iter().filter(|name| number(name).is_none()).collect();
    // Some exist on one architecture only.
    assert!(!cfg!(target_arch = "x86_64") || unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_cannot_be_expressed_is_refused() {
    for wrong in [
        json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
    ] {
        assert!(compile(&serde_json::from_value::<LinuxSeccomp>(wrong).unwrap()).is_err());
    }
}

fn holds(op: usize, value: u64, second: u64, argument: u64) -> bool {
    match op {
        0 => argument == value,
        1 => argument != value,
        2 => argument < value,
        3 => argument <= value,
        4 => argument > value,
        5 => argument >= value,
        _ => argument & value == second,
    }
}

const OPS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_GT",
    "SCMP_CMP_GE",
    "SCMP_CMP_MASKED_EQ",
];

/// Values around each other and around the border between the two halves.
fn values() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4, (0u64..4).prop_map(|n| (1 << 32) + n - 2), any::<u64>(), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn comparisons_are_those_of_64_bit_numbers(
        conditions in proptest::collection::vec((0usize..7, 0usize..6, values(), values()), 1..5),
        arguments in proptest::array::uniform6(values()),
    ) {
        let args: Vec<_> = conditions.iter()
            .map(|(op, index, value, second)| json!({"index": index, "value": value, "valueTwo": second, "op": OPS[*op]}))
            .collect();
        let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read", "close"], "action": "SCMP_ACT_LOG", "args": args},
            {"names": ["write"], "action": "SCMP_ACT_ALLOW"},
        ]});
        let filter = compile(&serde_json::from_value(profile).unwrap()).unwrap();
        let expected = conditions.iter().all(|(op, index, value, second)| holds(*op, *value, *second, arguments[*index]));
        prop_assert_eq!(call(&filter, "read", arguments), if expected { 0x7ffc_0000 } else { errno(libc::EPERM) });
        prop_assert_eq!(call(&filter, "write", arguments), ALLOW);
        prop_assert_eq!(call(&filter, "open", arguments), errno(libc::EPERM));
    }

    #[test]
    fn every_number_goes_its_own_way(chosen in proptest::collection::btree_set(0usize..300, 0..60)) {
        let known: Vec<&str> = ["read", "write", "open", "close", "stat", "mmap", "bpf", "statx", "clone3", "mseal", "fork"].to_vec();
        let names: Vec<&str> = chosen.iter().filter_map(|n| known.get(n % 30).copied()).collect();
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]});
        let filter = compile(&serde_json::from_value(profile).unwrap()).unwrap();
        for name in known {
            let expected = if names.contains(&name) { errno(5) } else { ALLOW };
            prop_assert_eq!(call(&filter, name, [0; 6]), expected, "{}", name);
        }
    }
}
