//! The process of an OCI configuration.

use super::refused;
use crate::failure::Result;
use hull_sys::capability;
use oci_spec::runtime::{Capabilities, Spec};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserChoice {
    /// By words, looked up in the container's own files.
    Words {
        /// `user`, `uid`, `user:group`, `uid:gid`; empty for root.
        user: String,
        /// Supplementary groups by name or number.
        groups: Vec<String>,
    },
    /// By numbers, which are taken as they are.
    Numbers {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Supplementary groups.
        groups: Vec<u32>,
    },
}

/// One limit of setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    pub name: String,
    /// The limit in force.
    pub soft: u64,
    /// Its ceiling.
    pub hard: u64,
}

/// What a process in a container gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// Program and arguments; at least one.
    pub args: Vec<String>,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Who it runs as.
    pub user: UserChoice,
    /// Capabilities it can ever have.
    pub bounding: u64,
    /// Capabilities it has, as far as its user allows.
    pub permitted: u64,
    /// Capabilities in force at first.
    pub effective: u64,
    /// Set-user-id programs gain nothing.
    pub no_new_privileges: bool,
    /// Limits, refused by name if they cannot be set.
    pub rlimits: Vec<Rlimit>,
    /// How willingly the kernel kills it when memory is short; reset to 0 if `None`.
    pub oom_score_adj: Option<i32>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// Give it a terminal.
    pub terminal: bool,
    /// Rows and columns.
    pub size: Option<(u16, u16)>,
    /// File mode creation mask.
    pub umask: Option<u32>,
}

pub(super) fn plan(spec: &Spec, words: Option<(String, Vec<String>)>) -> Result<ProcessPlan> {
    let process = spec.process().clone().ok_or_else(|| refused("process", "it is missing"))?;
    let args = process.args().clone().unwrap_or_default();
    let env = process.env().clone().unwrap_or_default();
    check_texts(&args, &env)?;
    if !process.cwd().is_absolute() {
        return Err(refused("process.cwd", "it must be absolute"));
    }
    if process.selinux_label().as_ref().is_some_and(|label| !label.is_empty()) {
        return Err(refused("process.selinuxLabel", "SELinux is not supported"));
    }
    let capabilities = process.capabilities().clone();
    let bits = |set: Option<Option<Capabilities>>| capability_bits(set.flatten());
    let user = process.user();
    let user = words.map_or_else(
        || UserChoice::Numbers {
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
        },
        |(user, groups)| UserChoice::Words { user, groups },
    );
    Ok(ProcessPlan {
        cwd: process.cwd().clone(),
        user,
        bounding: bits(capabilities.as_ref().map(|c| c.bounding().clone()))?,
        permitted: bits(capabilities.as_ref().map(|c| c.permitted().clone()))?,
        effective: bits(capabilities.as_ref().map(|c| c.effective().clone()))?,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        rlimits: process.rlimits().iter().flatten().map(rlimit).collect::<Result<_>>()?,
        oom_score_adj: process.oom_score_adj(),
        apparmor: process.apparmor_profile().clone().filter(|p| !p.is_empty()),
        terminal: process.terminal().unwrap_or(false),
        size: process.console_size().map(|b| (clamp(b.height()), clamp(b.width()))),
        umask: process.user().umask(),
        args,
        env,
    })
}

/// Refuses what execve(2) or a later reader of the environment would read as something else.
pub(crate) fn check_texts(args: &[String], env: &[String]) -> Result<()> {
    if args.first().is_none_or(String::is_empty) {
        return Err(refused("process.args", "no program is named"));
    }
    if args.iter().chain(env).any(|text| text.contains('\0')) {
        return Err(refused("process", "an argument or variable contains a NUL byte"));
    }
    match env.iter().find(|variable| variable.find('=').is_none_or(|at| at == 0)) {
        Some(variable) => Err(refused("process.env", format!("{variable:?} is not of the form NAME=value"))),
        None => Ok(()),
    }
}

fn clamp(size: u64) -> u16 {
    u16::try_from(size).unwrap_or(u16::MAX)
}

fn rlimit(limit: &oci_spec::runtime::PosixRlimit) -> Result<Rlimit> {
    // The configuration's own spelling, `RLIMIT_NOFILE`.
    let name = serde_json::to_value(limit.typ())
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .ok_or_else(|| refused("process.rlimits", format!("{:?} has no name", limit.typ())))?;
    if limit.soft() > limit.hard() {
        return Err(refused("process.rlimits", format!("{name}: the limit is above its ceiling")));
    }
    Ok(Rlimit { name, soft: limit.soft(), hard: limit.hard() })
}

fn capability_bits(set: Option<Capabilities>) -> Result<u64> {
    let mut bits = 0;
    for one in set.iter().flatten() {
        let name = one.to_string();
        bits |= capability::bit(&name)
            .ok_or_else(|| refused("process.capabilities", format!("{name} is not a capability")))?;
    }
    Ok(bits)
}
