//! The last steps of every process in a container: streams, limits, identity, capabilities, filter, program.

use super::identity::Identity;
use super::{program, rootfs};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::{ProcessPlan, Rlimit};
use crate::seccomp::Filter;
use hull_sys::{capability, prctl, process, seccomp, socket, terminal};
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Standard streams; what is `None` stays as it is.
#[derive(Debug, Default)]
pub(crate) struct Stdio {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
}

/// What a child says to its supervisor. The end of the channel after `Executing` means that the program was executed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The master of its terminal comes with this message.
    Terminal,
    /// Everything is set up; the next thing is its program.
    Executing,
    /// It could not be started.
    Failed(Failure),
}

pub(crate) fn send(channel: BorrowedFd<'_>, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let bytes = serde_json::to_vec(message)
        .map_err(|error| Failure::permanent("writing to the supervisor", error.to_string()))?;
    socket::send(channel, &bytes, fds).map(drop).doing(|| "writing to the supervisor".to_owned())
}

/// A process about to become the container's program.
pub(super) struct Launch<'a> {
    pub(super) plan: &'a ProcessPlan,
    pub(super) filter: Option<&'a Filter>,
    pub(super) identity: Identity,
    pub(super) console: Option<OwnedFd>,
    pub(super) stdio: Stdio,
    pub(super) channel: BorrowedFd<'a>,
    /// The container's procfs.
    pub(super) procfs: OwnedFd,
    /// What a failure is told as.
    pub(super) whole: &'static str,
}

impl Launch<'_> {
    pub(super) fn go(self) -> Result<Infallible> {
        let whole = self.whole;
        self.steps().map_err(|failure| failure.within(whole))
    }

    fn steps(self) -> Result<Infallible> {
        nix::unistd::setsid().doing(|| "beginning a session".to_owned())?;
        // A keyring of the host's session is nobody's business; kernels without keyrings have nothing to hide.
        let _ = prctl::new_session_keyring();
        self.connect()?;
        set_oom_score(self.procfs.as_fd(), self.plan.oom_score_adj)?;
        set_apparmor(self.procfs.as_fd(), self.plan.apparmor.as_deref())?;
        for limit in &self.plan.rlimits {
            set_rlimit(limit)?;
        }
        program::change_directory(&self.plan.cwd)?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(self.plan.umask.unwrap_or(0o022)));
        process::cloexec_from(3).doing(|| "closing the host's descriptors".to_owned())?;
        self.become_user()?;
        let program = program::find(&self.plan.args[0], &self.plan.env)?;
        let strings = |list: &[String]| -> Result<Vec<CString>> {
            list.iter().map(|text| CString::new(text.as_str()).map_err(|_| program::nul())).collect()
        };
        let (args, env) = (strings(&self.plan.args)?, strings(&self.environment())?);
        // If nobody listens any more, nobody would look after the program either.
        send(self.channel, &Message::Executing, &[])?;
        self.confine()?;
        let error = process::exec(&program, &args, &env);
        Err(program::failure(&self.plan.args[0], &error))
    }

    fn environment(&self) -> Vec<String> {
        let mut env = self.plan.env.clone();
        // A later setting of the same variable counts, as in a shell.
        let mut seen = std::collections::BTreeSet::new();
        env.reverse();
        env.retain(|v| seen.insert(v.split('=').next().unwrap_or_default().to_owned()));
        env.reverse();
        if !seen.contains("HOME") {
            let home = self.identity.home.as_deref().filter(|h| h.starts_with('/')).unwrap_or("/");
            env.push(format!("HOME={home}"));
        }
        if self.plan.terminal && !seen.contains("TERM") {
            env.push("TERM=xterm".to_owned());
        }
        env
    }

    fn connect(&self) -> Result<()> {
        let what = || "connecting the standard streams".to_owned();
        if let Some(console) = &self.console {
            terminal::make_controlling(console.as_fd()).doing(|| "taking the terminal".to_owned())?;
            for target in 0..3 {
                process::install_stdio(console.as_fd(), target).doing(what)?;
            }
        }
        let streams = [&self.stdio.stdin, &self.stdio.stdout, &self.stdio.stderr];
        for (target, fd) in streams.into_iter().enumerate() {
            let Some(fd) = fd else { continue };
            process::install_stdio(fd.as_fd(), target as i32).doing(what)?;
        }
        // So that `> /dev/stdout` works for a user who is not root. Terminals and files of the host keep their owner.
        let uid = Uid::from_raw(self.identity.uid);
        if self.identity.uid != 0 {
            for fd in streams.into_iter().flatten().chain(&self.console) {
                let kind = nix::sys::stat::fstat(fd).doing(what)?.st_mode & libc::S_IFMT;
                if kind == libc::S_IFIFO || self.console.is_some() {
                    nix::unistd::fchown(fd, Some(uid), None).doing(what)?;
                }
            }
        }
        Ok(())
    }

    /// User and groups, with capabilities kept as far as they are still needed.
    fn become_user(&self) -> Result<()> {
        let who = || format!("becoming user {}:{}", self.identity.uid, self.identity.gid);
        capability::limit_bounding_set(self.plan.bounding).doing(|| "limiting capabilities".to_owned())?;
        let groups: Vec<Gid> = self.identity.groups.iter().map(|g| Gid::from_raw(*g)).collect();
        let (uid, gid) = (Uid::from_raw(self.identity.uid), Gid::from_raw(self.identity.gid));
        prctl::set_keep_capabilities(true).doing(who)?;
        let before = capability::permitted().doing(who)?;
        nix::unistd::setgroups(&groups).doing(who)?;
        nix::unistd::setresgid(gid, gid, gid).doing(who)?;
        nix::unistd::setresuid(uid, uid, uid).doing(who)?;
        prctl::set_keep_capabilities(false).doing(who)?;
        // From here on files are judged as the program will be judged; CAP_SYS_ADMIN waits, unused, for the filter.
        let (permitted, effective) = self.final_capabilities();
        capability::set(effective & before, (permitted | capability::SYS_ADMIN) & before, 0)
            .doing(|| "limiting capabilities".to_owned())
    }

    /// What execve will leave: a user other than root loses all, since nothing is inheritable or ambient.
    fn final_capabilities(&self) -> (u64, u64) {
        if self.identity.uid == 0 {
            (self.plan.permitted, self.plan.effective & self.plan.permitted)
        } else {
            (0, 0)
        }
    }

    /// No new privileges and the filter, as late as can be; then the last capability that loading it needed goes.
    fn confine(&self) -> Result<()> {
        let before = capability::permitted().doing(|| "reading capabilities".to_owned())?;
        let (permitted, effective) = self.final_capabilities();
        if self.plan.no_new_privileges {
            prctl::set_no_new_privileges().doing(|| "setting no-new-privileges".to_owned())?;
        }
        if let Some(filter) = self.filter {
            capability::set((effective | capability::SYS_ADMIN) & before, before, 0)
                .doing(|| "limiting capabilities".to_owned())?;
            seccomp::load(&filter.program, filter.flags)
                .doing(|| "loading the system call filter".to_owned())?;
        }
        capability::set(effective & before, permitted & before, 0)
            .doing(|| "limiting capabilities".to_owned())
    }
}

fn set_oom_score(procfs: BorrowedFd<'_>, wanted: Option<i32>) -> Result<()> {
    let value = wanted.unwrap_or(0).to_string();
    let path = format!("{}/oom_score_adj", nix::unistd::getpid());
    match (rootfs::write_below(procfs, &path, &value), wanted) {
        (Ok(()), _) | (Err(_), None | Some(0)) => Ok(()),
        (Err(error), Some(_)) => Err(error).doing(|| format!("setting process.oomScoreAdj to {value}")),
    }
}

fn set_apparmor(procfs: BorrowedFd<'_>, profile: Option<&str>) -> Result<()> {
    let Some(profile) = profile.filter(|p| *p != "unconfined") else { return Ok(()) };
    let path = format!("{}/attr/apparmor/exec", nix::unistd::getpid());
    let what = || format!("applying AppArmor profile {profile:?}");
    if hull_sys::resolve::open(
        procfs,
        c"self/attr/apparmor",
        libc::O_PATH,
        0,
        hull_sys::resolve::flags::BENEATH,
    )
    .is_err()
    {
        return Err(
            Failure::permanent(what(), "this kernel has no AppArmor").remedy("use apparmor=unconfined")
        );
    }
    rootfs::write_below(procfs, &path, &format!("exec {profile}")).doing(what)
}

fn set_rlimit(limit: &Rlimit) -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let resource = match limit.name.trim_start_matches("RLIMIT_") {
        "CPU" => Resource::RLIMIT_CPU,
        "FSIZE" => Resource::RLIMIT_FSIZE,
        "DATA" => Resource::RLIMIT_DATA,
        "STACK" => Resource::RLIMIT_STACK,
        "CORE" => Resource::RLIMIT_CORE,
        "RSS" => Resource::RLIMIT_RSS,
        "NPROC" => Resource::RLIMIT_NPROC,
        "NOFILE" => Resource::RLIMIT_NOFILE,
        "MEMLOCK" => Resource::RLIMIT_MEMLOCK,
        "AS" => Resource::RLIMIT_AS,
        "LOCKS" => Resource::RLIMIT_LOCKS,
        "SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        "MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "NICE" => Resource::RLIMIT_NICE,
        "RTPRIO" => Resource::RLIMIT_RTPRIO,
        "RTTIME" => Resource::RLIMIT_RTTIME,
        other => {
            return Err(Failure::permanent("reading process.rlimits", format!("{other} is not a limit")));
        }
    };
    setrlimit(resource, limit.soft, limit.hard).map_err(|errno| {
        let ceiling = getrlimit(resource).map(|(_, hard)| hard).unwrap_or_default();
        let doing = format!("setting {} to {}:{}", limit.name, limit.soft, limit.hard);
        let failure = Failure::from_io(doing, &io::Error::from(errno));
        failure.remedy(format!("this host allows at most {ceiling}"))
    })
}
