//! Unified kernel images: kernel, initramfs and command line as one EFI program in the boot loader's directory.

use std::path::Path;

use anyhow::Result;

use crate::progress::StepLog;
use crate::toolbox::Toolbox;

/// One of the two places a deployment boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Written by the image.
    A,
    /// Written by the first update.
    B,
}

impl Slot {
    /// `a` or `b`.
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }

    /// The link that the kernel command line names; it points to the slot's deployment.
    pub fn link(self) -> String {
        format!("/ostree/root.{}", self.letter())
    }

    /// The file name in `EFI/Linux`: `left` tries are left, `done` were made. Both counters have a fixed width of one
    /// digit, so that the boot loader can count by renaming in place.
    pub fn file_name(self, left: u8, done: u8) -> String {
        assert!(left < 10 && done < 10, "try counters have one digit");
        format!("hull-{}+{left}-{done}.efi", self.letter())
    }
}

/// The kernel command line of a slot. A hang or a panic counts as a failed boot, so both must end in a reset.
pub fn kernel_command_line(slot: Slot, extra: &[String]) -> String {
    let mut words = vec![
        "root=LABEL=hull-root".to_owned(),
        format!("ostree={}", slot.link()),
        "rw".to_owned(),
        "console=tty0".to_owned(),
        "console=ttyS0,115200".to_owned(),
        "quiet".to_owned(),
        "loglevel=4".to_owned(),
        "panic=10".to_owned(),
        "oops=panic".to_owned(),
        "systemd.gpt_auto=0".to_owned(),
    ];
    words.extend(extra.iter().cloned());
    words.join(" ")
}

/// Builds the image of one slot from the tree's kernel and initramfs.
pub fn build(
    log: &mut StepLog,
    tools: &Toolbox,
    modules: &Path,
    os_release: &Path,
    command_line: &str,
    target: &Path,
) -> Result<()> {
    log.run(
        tools
            .command_with("ukify", &[target.parent().unwrap_or(target)])
            .arg("build")
            .arg(format!("--linux={}", modules.join("vmlinuz").display()))
            .arg(format!("--initrd={}", modules.join("initramfs.img").display()))
            .arg(format!("--cmdline={command_line}"))
            .arg(format!("--os-release=@{}", os_release.display()))
            .arg(format!("--output={}", target.display())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_a_stable_link_and_a_counted_name() {
        assert_eq!(Slot::A.file_name(3, 0), "hull-a+3-0.efi");
        assert_eq!(Slot::B.file_name(1, 2), "hull-b+1-2.efi");
        let line = kernel_command_line(Slot::B, &["mitigations=off".to_owned()]);
        assert!(line.contains("ostree=/ostree/root.b") && line.ends_with(" mitigations=off"));
        assert!(line.contains("panic="));
    }
}
