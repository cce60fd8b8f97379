//! What of the packages' files the image does not keep.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Packages that are needed to install the others but not to run them: all their files go.
const PACKAGES: &[&str] = &[
    "adduser",
    "apt",
    "bsdutils-extra",
    "cpio",
    "debconf",
    "debian-archive-keyring",
    "diffutils",
    "dpkg",
    "dracut",
    "dracut-core",
    "dracut-install",
    "gpg",
    "gpg-agent",
    "gpgconf",
    "gpgsm",
    "gnupg",
    "gnupg-l10n",
    "dirmngr",
    "initramfs-tools",
    "initramfs-tools-bin",
    "initramfs-tools-core",
    "klibc-utils",
    "libapt-pkg7.0",
    "libklibc",
    "liblocale-gettext-perl",
    "linux-base",
    "linux-bpf",
    "perl-base",
    "pigz",
    "pinentry-curses",
    "runit-helper",
    "sensible-utils",
    "sqv",
    "ucf",
];

/// Files, by path; `*` stands for any text, also across directories.
const PATHS: &[&str] = &[
    // Package manager's state (the list of packages is kept in /usr/share/hull) and other caches.
    "/var/*",
    "/boot/*",
    "/etc/apt*",
    "/etc/dpkg*",
    "/etc/cron*",
    "/etc/dhcp*",
    "/etc/dracut*",
    "/etc/e2scrub*",
    "/etc/grub.d*",
    "/etc/initramfs*",
    "/etc/kernel*",
    "/etc/logcheck*",
    "/etc/logrotate.d*",
    "/etc/runit*",
    "/etc/sv*",
    "/etc/ufw*",
    "/etc/X11*",
    "/initrd.img*",
    "/vmlinuz*",
    "/usr/games*",
    "/usr/include*",
    "/usr/src*",
    "/etc/rc?.d*",
    "/etc/init.d*",
    "/etc/*-",
    "/etc/.pwd.lock",
    "/etc/.resolv.conf*",
    "/etc/hostname",
    "/etc/fstab",
    "/etc/mtab",
    "/etc/motd",
    "/etc/update-motd.d*",
    "/etc/ssh/ssh_host_*",
    "/etc/systemd/system/*",
    "/usr/share/apport*",
    "/usr/share/apt*",
    "/usr/share/dict*",
    "/usr/share/doc*",
    "/usr/share/dpkg*",
    "/usr/share/gnupg*",
    "/usr/share/pixmaps*",
    "/usr/share/pkgconfig*",
    "/usr/share/runit*",
    "/usr/share/tabset*",
    "/usr/share/ucf*",
    "/usr/share/man*",
    "/usr/share/info*",
    "/usr/share/lintian*",
    "/usr/share/bug*",
    "/usr/share/bash-completion*",
    "/usr/share/zsh*",
    "/usr/share/fish*",
    "/usr/share/debconf*",
    "/usr/share/debianutils*",
    "/usr/share/perl*",
    "/usr/share/gettext*",
    "/usr/share/i18n*",
    "/usr/share/keyrings*",
    "/usr/share/menu*",
    "/usr/share/pam-configs*",
    "/usr/share/polkit-1*",
    "/usr/share/gcc*",
    "/usr/share/gdb*",
    "/usr/share/mime*",
    "/usr/share/vim*",
    "/usr/share/initramfs-tools*",
    "/usr/share/ca-certificates*",
    "/usr/share/zoneinfo/right*",
    "/usr/share/zoneinfo/posix*",
    "/usr/share/libc-bin*",
    "/etc/ssl/certs/*.pem",
    "/etc/ssl/certs/*.0",
    "/etc/ssl/certs/*.1",
    // Libraries and programs without a user here.
    "/usr/lib/x86_64-linux-gnu/gconv*",
    "/usr/lib/x86_64-linux-gnu/perl*",
    "/usr/lib/x86_64-linux-gnu/libmvec*",
    "/usr/lib/x86_64-linux-gnu/libbrotlienc*",
    "/usr/lib/x86_64-linux-gnu/libformw*",
    "/usr/lib/x86_64-linux-gnu/libksba*",
    "/usr/lib/x86_64-linux-gnu/libmemusage*",
    "/usr/lib/x86_64-linux-gnu/libmenuw*",
    "/usr/lib/x86_64-linux-gnu/libnpth*",
    "/usr/lib/x86_64-linux-gnu/libpanelw*",
    "/usr/lib/x86_64-linux-gnu/libpcprofile*",
    "/usr/lib/x86_64-linux-gnu/libstdc++*",
    "/usr/lib/x86_64-linux-gnu/audit*",
    "/usr/lib/x86_64-linux-gnu/libdb-5.3*",
    "/usr/lib/x86_64-linux-gnu/sasl2*",
    "/usr/lib/x86_64-linux-gnu/security/pam_userdb.so",
    "/usr/sbin/arpd",
    "/usr/lib/apt*",
    "/usr/lib/dpkg*",
    "/usr/libexec/dpkg*",
    "/usr/lib/dracut*",
    "/usr/lib/kernel*",
    "/usr/lib/valgrind*",
    "/usr/bin/perl*",
    "/usr/bin/localedef",
    "/usr/bin/locale",
    "/usr/bin/iconv",
    "/usr/sbin/iconvconfig",
    "/usr/sbin/dpkg*",
    "/usr/sbin/update-ca-certificates",
    "/usr/sbin/mkfs.bfs",
    "/usr/sbin/mkfs.cramfs",
    "/usr/sbin/mkfs.minix",
    "/usr/sbin/fsck.minix",
    "/usr/sbin/fsck.cramfs",
    // udev: no hardware database, no desktop hardware. Every rules file costs each device of each boot.
    "/usr/lib/udev/hwdb*",
    "/etc/udev/hwdb*",
    "/usr/lib/udev/rules.d/60-autosuspend.rules",
    "/usr/lib/udev/rules.d/60-drm.rules",
    "/usr/lib/udev/rules.d/60-evdev.rules",
    "/usr/lib/udev/rules.d/60-fido-id.rules",
    "/usr/lib/udev/rules.d/60-infiniband.rules",
    "/usr/lib/udev/rules.d/60-input-id.rules",
    "/usr/lib/udev/rules.d/60-persistent-alsa.rules",
    "/usr/lib/udev/rules.d/60-persistent-input.rules",
    "/usr/lib/udev/rules.d/60-persistent-storage-mtd.rules",
    "/usr/lib/udev/rules.d/60-persistent-storage-tape.rules",
    "/usr/lib/udev/rules.d/60-persistent-v4l.rules",
    "/usr/lib/udev/rules.d/60-sensor.rules",
    "/usr/lib/udev/rules.d/64-btrfs.rules",
    "/usr/lib/udev/rules.d/70-camera.rules",
    "/usr/lib/udev/rules.d/70-joystick.rules",
    "/usr/lib/udev/rules.d/70-memory.rules",
    "/usr/lib/udev/rules.d/70-mouse.rules",
    "/usr/lib/udev/rules.d/70-touchpad.rules",
    "/usr/lib/udev/rules.d/70-uaccess.rules",
    "/usr/lib/udev/rules.d/71-seat.rules",
    "/usr/lib/udev/rules.d/73-seat-late.rules",
    "/usr/lib/udev/rules.d/75-probe_mtd.rules",
    "/usr/lib/udev/rules.d/78-sound-card.rules",
    "/usr/lib/udev/rules.d/80-debian-compat.rules",
    "/usr/lib/udev/rules.d/90-iocost.rules",
    "/usr/lib/udev/rules.d/96-e2scrub.rules",
    // Generators for ways of booting that this image does not have. ostree's does not know our root links.
    "/usr/lib/systemd/system-generators/ostree-system-generator",
    "/usr/lib/systemd/system-generators/systemd-debug-generator",
    "/usr/lib/systemd/system-generators/systemd-fstab-generator",
    "/usr/lib/systemd/system-generators/systemd-getty-generator",
    "/usr/lib/systemd/system-generators/systemd-gpt-auto-generator",
    "/usr/lib/systemd/system-generators/systemd-hibernate-resume-generator",
    "/usr/lib/systemd/system-generators/systemd-rc-local-generator",
    "/usr/lib/systemd/system-generators/systemd-run-generator",
    "/usr/lib/systemd/system-generators/systemd-ssh-generator",
    "/usr/lib/systemd/system-generators/systemd-system-update-generator",
    "/usr/lib/systemd/system-generators/systemd-sysv-generator",
    "/usr/lib/systemd/system-generators/systemd-tpm2-generator",
    "/usr/lib/systemd/user-generators*",
    // Units that have nothing to do on an image whose /usr is read-only and whose /etc is made anew on each boot.
    "/usr/lib/systemd/system/ostree-*",
    "/usr/lib/systemd/system/dracut-*",
    "/usr/lib/systemd/system/initrd*.wants*",
    "/usr/lib/systemd/system/getty.target.wants*",
    "/usr/lib/systemd/system/multi-user.target.wants/getty.target",
    "/usr/lib/systemd/system/multi-user.target.wants/systemd-ask-password-wall.path",
    "/usr/lib/systemd/system/sockets.target.wants/systemd-bootctl.socket",
    "/usr/lib/systemd/system/sockets.target.wants/systemd-creds.socket",
    "/usr/lib/systemd/system/sockets.target.wants/systemd-initctl.socket",
    "/usr/lib/systemd/system/sockets.target.wants/systemd-pcrextend.socket",
    "/usr/lib/systemd/system/sockets.target.wants/systemd-pcrlock.socket",
    "/usr/lib/systemd/system/sockets.target.wants/systemd-sysext.socket",
    "/usr/lib/systemd/system/sysinit.target.wants/dracut-shutdown.service",
    "/usr/lib/systemd/system/sysinit.target.wants/ldconfig.service",
    "/usr/lib/systemd/system/sysinit.target.wants/proc-sys-fs-binfmt_misc.automount",
    "/usr/lib/modules-load.d*",
    "/etc/modules-load.d*",
    "/etc/modules",
    "/usr/lib/systemd/system/sysinit.target.wants/dev-mqueue.mount",
    "/usr/lib/systemd/system/sysinit.target.wants/sys-fs-fuse-connections.mount",
    "/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-config.mount",
    "/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-debug.mount",
    "/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-tracing.mount",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-ask-password-console.path",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-binfmt.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-boot-random-seed.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-firstboot.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-hibernate-clear.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-hwdb-update.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-journal-catalog-update.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-machine-id-commit.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-pcr*",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-repart.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-sysusers.service",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-tpm2-setup*",
    "/usr/lib/systemd/system/sysinit.target.wants/systemd-update-done.service",
    "/usr/lib/systemd/catalog*",
    "/usr/lib/tmpfiles.d/home.conf",
    "/usr/lib/tmpfiles.d/x11.conf",
    "/usr/lib/tmpfiles.d/debian.conf",
    "/usr/lib/tmpfiles.d/legacy.conf",
    "/usr/lib/tmpfiles.d/ostree-tmpfiles.conf",
];

/// Kernel modules for things a container host has not got.
const MODULES: &[&str] = &[
    "drivers/comedi",
    "drivers/infiniband",
    "drivers/target",
    "drivers/media",
    "drivers/staging",
    "drivers/gpu",
    "drivers/uio",
    "drivers/iio",
    "drivers/mtd",
    "drivers/bluetooth",
    "drivers/nvme/target",
    "drivers/thermal",
    "drivers/parport",
    "drivers/pcmcia",
    "drivers/ssb",
    "drivers/bcma",
    "drivers/net/wireless",
    "drivers/net/hamradio",
    "drivers/net/can",
    "drivers/net/ieee802154",
    "drivers/cxl",
    "drivers/ntb",
    "drivers/dca",
    "drivers/pps",
    "sound",
    "fs/btrfs",
    "fs/ceph",
    "fs/orangefs",
    "fs/nfsd",
    "fs/romfs",
    "fs/udf",
    "fs/zonefs",
    "fs/ntfs",
    "fs/cachefiles",
    "fs/smb",
    "fs/exfat",
    "net/6lowpan",
    "net/atm",
    "net/ax25",
    "net/batman-adv",
    "net/bluetooth",
    "net/can",
    "net/ceph",
    "net/dccp",
    "net/ieee802154",
    "net/l2tp",
    "net/mac80211",
    "net/nfc",
    "net/openvswitch",
    "net/phonet",
    "net/rds",
    "net/rxrpc",
    "net/smc",
    "net/tipc",
    "net/wireless",
    "net/x25",
    "net/appletalk",
    "net/mptcp_diag",
];

/// What every image must still have after pruning.
const REQUIRED_MODULES: &[&str] = &[
    "br_netfilter",
    "bridge",
    "dm-verity",
    "efivarfs",
    "erofs",
    "i6300esb",
    "ip_vs",
    "isofs",
    "macvlan",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "overlay",
    "tun",
    "veth",
    "vfat",
    "virtio_blk",
    "virtio_net",
    "vxlan",
    "wireguard",
];

/// What must be nowhere in an image, by the start of a file's name.
const FORBIDDEN: &[&str] = &["perl", "python", "dpkg", "apt-", "gconv", "ssh_host_", "random-seed"];

/// Fails when pruning left something that an image must not have.
pub fn check_gone(tree: &Path) -> Result<()> {
    let mut left = Vec::new();
    walk(tree, "", &mut |path, _| {
        let name = path.rsplit('/').next().unwrap_or_default();
        if FORBIDDEN.iter().any(|start| name.starts_with(start)) {
            left.push(path.to_owned());
        }
        Ok(true)
    })?;
    anyhow::ensure!(left.is_empty(), "pruning left what an image must not have: {left:?}");
    Ok(())
}

/// Whether `text` is what `pattern` describes: `*` any text, `?` one character.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == b'?' || pattern[p] == text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((sp, st)) = star {
            star = Some((sp, st + 1));
            (p, t) = (sp + 1, st + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a path of the image goes, apart from the packages that go whole.
pub fn selected(path: &str) -> bool {
    if let Some(module) = path.strip_prefix("/usr/lib/modules/").and_then(|rest| rest.split_once("/kernel/"))
    {
        return MODULES.iter().any(|dir| module.1.starts_with(dir));
    }
    PATHS.iter().any(|pattern| matches(pattern, path))
}

/// Removes what is [`selected`] and the files of dropped packages from the tree. Returns how many files went.
pub fn prune(tree: &Path) -> Result<usize> {
    let dropped = package_files(tree)?;
    let mut count = 0;
    walk(tree, "", &mut |path, is_dir| {
        let gone = selected(path) || (!is_dir && dropped.contains(path));
        if gone {
            count += 1;
            crate::mmdebstrap::remove(&tree.join(&path[1..]))?;
        }
        Ok(!gone)
    })?;
    Ok(count)
}

/// Fails when a module that the host relies on is missing.
pub fn check_modules(modules: &Path) -> Result<()> {
    let list = ["modules.dep", "modules.builtin"]
        .map(|name| fs::read_to_string(modules.join(name)).unwrap_or_default());
    let missing: Vec<_> = REQUIRED_MODULES.iter().filter(|name| !has_module(&list, name)).collect();
    anyhow::ensure!(missing.is_empty(), "the kernel lacks modules that the host needs: {missing:?}");
    Ok(())
}

fn has_module(lists: &[String; 2], name: &str) -> bool {
    let file =
        |line: &str| line.split(':').next().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    lists
        .iter()
        .flat_map(|list| list.lines())
        .filter_map(file)
        .any(|file| file.split('.').next() == Some(name))
}

/// Files that belong to dropped packages and to no other, with `/usr`-merged paths.
fn package_files(tree: &Path) -> Result<BTreeSet<String>> {
    let info = tree.join("var/lib/dpkg/info");
    let (mut dropped, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir(&info).with_context(|| format!("cannot read {}", info.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(package) = name.strip_suffix(".list") else { continue };
        let package = package.split(':').next().unwrap_or(package);
        let text = fs::read_to_string(info.join(&name)).with_context(|| format!("cannot read {name}"))?;
        let set = if PACKAGES.contains(&package) { &mut dropped } else { &mut kept };
        set.extend(text.lines().map(merged));
    }
    Ok(dropped.difference(&kept).cloned().collect())
}

fn merged(path: &str) -> String {
    let alias = ["/bin/", "/sbin/", "/lib/", "/lib64/"].iter().any(|prefix| path.starts_with(prefix));
    if alias { format!("/usr{path}") } else { path.to_owned() }
}

/// Visits every path below `at` in order, as seen from the root of the tree; the visitor says whether to go deeper.
pub fn walk(tree: &Path, at: &str, visit: &mut dyn FnMut(&str, bool) -> Result<bool>) -> Result<()> {
    let dir = tree.join(at.trim_start_matches('/'));
    let mut names: Vec<_> = fs::read_dir(&dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .map(|entry| entry.map(|e| (e.file_name().to_string_lossy().into_owned(), e.file_type())))
        .collect::<std::io::Result<_>>()?;
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let path = format!("{at}/{name}");
        let is_dir = kind?.is_dir();
        if visit(&path, is_dir)? && is_dir {
            walk(tree, &path, visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("/var/*", "/var/lib", true),
            ("/var/*", "/var", false),
            ("/etc/*-", "/etc/passwd-", true),
            ("/etc/*-", "/etc/passwd", false),
            ("/etc/rc?.d*", "/etc/rc3.d/S01x", true),
            ("*a*b", "xxaxxab", true),
            ("*a*b", "xxaxxac", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn needed_things_stay() {
        for path in [
            "/usr/lib/systemd/systemd",
            "/usr/lib/systemd/system-generators/systemd-bless-boot-generator",
            "/usr/lib/udev/rules.d/60-persistent-storage.rules",
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/passwd",
            "/usr/lib/modules/7/kernel/net/bridge/bridge.ko",
            "/var",
            "/boot",
        ] {
            assert!(!selected(path), "{path}");
        }
    }

    #[test]
    fn unneeded_things_go() {
        for path in [
            "/usr/share/doc",
            "/etc/passwd-",
            "/usr/lib/modules/7/kernel/sound/x.ko",
            "/usr/lib/udev/hwdb.bin",
        ] {
            assert!(selected(path), "{path}");
        }
    }
}
