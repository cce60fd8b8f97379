//! The default profile: what ordinary programs need. Left out is what reaches the kernel's own configuration, other
//! namespaces, other processes' memory, keys, or code that few programs use and many exploits did; such a call gets EPERM.
//! Capabilities that are granted bring the calls they are good for.

use hull_sys::process::flags;
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator as Op, LinuxSyscall, LinuxSyscallBuilder,
};
use std::collections::BTreeSet;

/// Files and directories.
const FILES: &str = "access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 \
    fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock \
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr getxattrat ioctl \
    lchown lgetxattr link linkat listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat \
    mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read \
    readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat \
    splice stat statfs statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime \
    utimensat utimes vmsplice write writev fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
    file_getattr file_setattr cachestat";

/// Waiting for many things.
const POLLING: &str = "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old \
    eventfd eventfd2 io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit pipe pipe2 poll ppoll pselect6 select \
    signalfd signalfd4";

/// Memory.
const MEMORY: &str = "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap \
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease \
    remap_file_pages";

/// Sockets and System V and POSIX message passing.
const MESSAGES: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open \
    mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg semctl semget semop \
    semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair";

/// Processes, threads, ids and signals.
const PROCESSES: &str = "arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait \
    futex_waitv futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid \
    getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill \
    landlock_add_rule landlock_create_ruleset landlock_restrict_self modify_ldt pause pidfd_open pidfd_send_signal prctl \
    prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask \
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max \
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area \
    set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit \
    setsid setuid sigaltstack sysinfo tgkill tkill uname uretprobe vfork wait4 waitid";

/// Time. Setting the clock is kept out by the capability it needs.
const TIME: &str = "adjtimex alarm clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer getrandom gettimeofday \
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
    timerfd_gettime timerfd_settime times";

/// Calls that only make sense with a capability.
const WITH: &[(&str, &str)] = &[
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
         lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd \
         setdomainname sethostname setns syslog umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "ioperm iopl"),
    ("SYS_TIME", "clock_settime settimeofday"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// Execution domains that differ from the normal one only harmlessly; the last asks which one it is.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Sockets between a host and its virtual machines: they know no namespaces.
const AF_VSOCK: u64 = 40;
/// Kernel cryptography by socket: a large surface that nothing in a container depends on.
const AF_ALG: u64 = 38;

/// The default filter for a process with these capabilities (`CAP_NET_ADMIN` or `NET_ADMIN`).
pub fn default_profile(capabilities: &BTreeSet<String>) -> LinuxSeccomp {
    let has =
        |name: &str| capabilities.iter().any(|c| c.trim_start_matches("CAP_").eq_ignore_ascii_case(name));
    let mut syscalls: Vec<LinuxSyscall> = [FILES, POLLING, MEMORY, MESSAGES, PROCESSES, TIME]
        .into_iter()
        .map(|group| allow(group, Vec::new()))
        .collect();
    for (capability, names) in WITH {
        if has(capability) {
            syscalls.push(allow(names, Vec::new()));
        }
    }
    if !has("SYS_ADMIN") {
        let namespaces = flags::NEWNS
            | flags::NEWCGROUP
            | flags::NEWUTS
            | flags::NEWIPC
            | flags::NEWUSER
            | flags::NEWPID
            | flags::NEWNET;
        syscalls.push(allow("clone", vec![argument(0, namespaces, Some(0), Op::ScmpCmpMaskedEq)]));
        // Its flags are in memory, where a filter cannot look: "not there" makes every C library fall back to clone.
        syscalls.push(with(Action::ScmpActErrno, "clone3", Vec::new(), Some(libc::ENOSYS as u32)));
    }
    syscalls.extend(PERSONALITIES.map(|p| allow("personality", vec![argument(0, p, None, Op::ScmpCmpEq)])));
    syscalls.push(allow("socket", vec![argument(0, AF_ALG, None, Op::ScmpCmpLt)]));
    syscalls.push(allow("socket", vec![argument(0, AF_ALG + 1, None, Op::ScmpCmpEq)]));
    syscalls.push(allow("socket", vec![argument(0, AF_VSOCK, None, Op::ScmpCmpGt)]));
    let mut profile = LinuxSeccompBuilder::default()
        .default_action(Action::ScmpActErrno)
        .default_errno_ret(libc::EPERM as u32)
        .build()
        .unwrap_or_default();
    profile.set_syscalls(Some(syscalls));
    profile
}

fn allow(names: &str, arguments: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    with(Action::ScmpActAllow, names, arguments, None)
}

fn with(action: Action, names: &str, arguments: Vec<LinuxSeccompArg>, errno: Option<u32>) -> LinuxSyscall {
    let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
    let mut call = LinuxSyscallBuilder::default().names(names).action(action).build().unwrap_or_default();
    call.set_args((!arguments.is_empty()).then_some(arguments));
    call.set_errno_ret(errno);
    call
}

fn argument(index: usize, value: u64, second: Option<u64>, op: Op) -> LinuxSeccompArg {
    let builder = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
    let builder = match second {
        Some(second) => builder.value_two(second),
        None => builder,
    };
    // The builder only fails for fields that are missing, and none is.
    builder.build().unwrap_or_default()
}
