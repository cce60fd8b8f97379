//! Whether KVM can be used. That `/dev/kvm` can be opened says little: guests may hang in it. So one is started.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::qemu::Accelerator;
use crate::toolbox::Toolbox;
use crate::workdir::WorkDir;

/// How long a kernel may take from its start to its end. Where KVM works it takes well under a second or two.
const DEADLINE: Duration = Duration::from_secs(5);

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// KVM where it works, TCG otherwise.
    Auto,
    /// KVM, untested.
    Kvm,
    /// TCG.
    Tcg,
}

/// Settles the choice. The probe's outcome is kept in the work directory, for this machine and this boot of it.
pub fn choose(choice: Choice, tools: &Toolbox, work: &WorkDir, kernel: &Path) -> Result<Accelerator> {
    match choice {
        Choice::Kvm => Ok(Accelerator::Kvm),
        Choice::Tcg => Ok(Accelerator::Tcg),
        Choice::Auto => {
            let cache = work.cache().join("accelerator");
            let machine = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            if let Some(known) =
                fs::read_to_string(&cache).ok().and_then(|text| remembered(&text, machine.trim()))
            {
                return Ok(known);
            }
            let works = Path::new("/dev/kvm").exists() && probe(tools, kernel)?;
            let found = if works { Accelerator::Kvm } else { Accelerator::Tcg };
            fs::write(&cache, format!("{} {}\n", machine.trim(), found.argument()))
                .with_context(|| format!("cannot write {}", cache.display()))?;
            Ok(found)
        }
    }
}

/// What an earlier probe on the same boot of the same machine found.
fn remembered(text: &str, machine: &str) -> Option<Accelerator> {
    let (known, value) = text.trim().split_once(' ')?;
    if machine.is_empty() || known != machine {
        return None;
    }
    [Accelerator::Kvm, Accelerator::Tcg].into_iter().find(|accelerator| accelerator.argument() == value)
}

/// Starts a kernel that has no root file system and resets when it notices: QEMU ends by itself when KVM works.
fn probe(tools: &Toolbox, kernel: &Path) -> Result<bool> {
    let mut command = tools.command_with("qemu-system-x86_64", &[kernel.parent().unwrap_or(kernel)]);
    command
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-m", "256", "-accel", "kvm", "-cpu", "host"])
        .args(["-append", "panic=-1 quiet", "-kernel"])
        .arg(kernel);
    ends_well_within(command, DEADLINE)
}

fn ends_well_within(mut command: Command, deadline: Duration) -> Result<bool> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the KVM probe")?;
    let begun = Instant::now();
    while begun.elapsed() < deadline {
        if let Some(status) = child.try_wait().context("cannot wait for the KVM probe")? {
            return Ok(status.success());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().and_then(|()| child.wait()).context("cannot end the KVM probe")?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_counts_for_its_machine_only() {
        assert_eq!(remembered("abc kvm\n", "abc"), Some(Accelerator::Kvm));
        assert_eq!(remembered("abc tcg,thread=multi\n", "abc"), Some(Accelerator::Tcg));
        assert_eq!(remembered("abc kvm\n", "other"), None);
        assert_eq!(remembered("rubbish", "rubbish"), None);
        assert_eq!(remembered(" kvm", ""), None);
    }

    #[test]
    fn a_hang_is_ended() {
        let mut hang = Command::new("sleep");
        hang.arg("60");
        assert!(!ends_well_within(hang, Duration::from_millis(100)).unwrap());
        assert!(ends_well_within(Command::new("true"), DEADLINE).unwrap());
        assert!(!ends_well_within(Command::new("false"), DEADLINE).unwrap());
    }
}
