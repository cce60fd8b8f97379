//! What the toolbox and the image are made of. Changing anything here makes the stages built from it anew.

use sha2::{Digest, Sha256};

/// Debian's suite name of the userland.
pub const SUITE: &str = "trixie";

/// Timestamp of everything in a commit when `SOURCE_DATE_EPOCH` is not set (2026-01-01T00:00:00Z).
pub const DEFAULT_EPOCH: u64 = 1_767_225_600;

/// Where packages come from, an apt one-line list of a mirror of Debian and one of its security archive. Testing's and
/// backports' indices expire within a week, and a clock may well be ahead of a mirror; signatures are checked all the same.
pub fn sources(mirror: &str, security: &str) -> String {
    format!(
        "deb {mirror} trixie main
deb {mirror} trixie-updates main
deb [check-valid-until=no] {security} trixie-security main
deb [check-valid-until=no] {mirror} trixie-backports main
deb [check-valid-until=no] {mirror} forky main
"
    )
}

/// Which packages come from elsewhere than stable: ostree and composefs from testing (stable's ostree is built without
/// composefs), the kernel from backports.
pub const PREFERENCES: &str = "\
Package: *
Pin: release n=forky
Pin-Priority: 50

Package: *
Pin: release n=trixie-backports
Pin-Priority: 60

Package: ostree ostree-boot libostree-1-1 libcomposefs1 composefs libgpgme45 libgpg-error0 libassuan9 user-mode-linux docker-cli
Pin: release n=forky
Pin-Priority: 990

Package: src:linux src:linux-signed-amd64 linux-base
Pin: release n=trixie-backports
Pin-Priority: 990
";

/// What the host needs for making, booting and testing images; none of it goes into an image.
pub const TOOL_PACKAGES: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "composefs",
    "crun",
    "docker-cli",
    "docker-registry",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "gdisk",
    "iproute2",
    "kmod",
    "mtools",
    "openssh-client",
    "ostree",
    "ovmf",
    "python3-pefile",
    "qemu-system-x86",
    "qemu-utils",
    "socat",
    "systemd",
    "systemd-boot-efi",
    "systemd-ukify",
    "user-mode-linux",
    "xorriso",
    "xz-utils",
    "zstd",
];

/// Debian's suite name of the container engines that Hull is compared with.
pub const PEER_SUITE: &str = "forky";

/// Container engines to be compared with, and what they need to run.
pub const PEER_PACKAGES: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "crun",
    "docker-cli",
    "docker-registry",
    "docker.io",
    "iproute2",
    "iptables",
    "nftables",
    "podman",
    "procps",
];

/// What the image is made of, before pruning.
pub const BASE_PACKAGES: &[&str] = &[
    "ca-certificates",
    "dbus",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    "openssh-server",
    "ostree",
    "ostree-boot",
    "procps",
    "systemd",
    "systemd-boot",
    "systemd-boot-efi",
    "systemd-repart",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
];

/// Never unpacked. The kernel's hooks would build an initramfs and boot entries that nothing uses.
pub const EXCLUDED_PATHS: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
    "/etc/kernel/postinst.d/*",
    "/etc/kernel/postrm.d/*",
    "/etc/initramfs/post-update.d/*",
];

/// A short digest over parts, each kept apart from its neighbours: the name of a stage.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())[..16].to_owned()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest of everything that decides what mmdebstrap makes.
pub fn bootstrap_digest(packages: &[&str]) -> String {
    let lists = [packages.join(","), EXCLUDED_PATHS.join(","), SUITE.to_owned()];
    // The mirror is no part of it: wherever it is, the packages are the same.
    let sources = sources("mirror", "security");
    digest(lists.iter().map(String::as_str).chain([sources.as_str(), PREFERENCES]).map(str::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest([b"ab".as_slice(), b"c"]), digest([b"a".as_slice(), b"bc"]));
        assert_eq!(digest([b"ab".as_slice()]).len(), 16);
    }

    #[test]
    fn lists_are_sorted_and_without_duplicates() {
        for list in [TOOL_PACKAGES, BASE_PACKAGES] {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
    }

    #[test]
    fn the_two_roots_have_their_own_digests() {
        assert_ne!(bootstrap_digest(TOOL_PACKAGES), bootstrap_digest(BASE_PACKAGES));
    }
}
