//! A root file system for tests: busybox under all its names, two users, a page.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Users and groups.
const FILES: [(&str, &str); 3] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:/bin/sh\n"),
    ("etc/group", "root:x:0:\nwww:x:33:\n"),
    ("var/www/index.html", "it works\n"),
];

/// Writes its archive, `busybox.tar` in `dir`. `busybox` is a static one.
pub fn archive(busybox: &Path, dir: &Path) -> Result<PathBuf> {
    let (root, archive) = (dir.join("busybox"), dir.join("busybox.tar"));
    for path in ["bin", "etc", "tmp", "root", "var/www"] {
        fs::create_dir_all(root.join(path)).context("making directories of a small root")?;
    }
    let program = root.join("bin/busybox");
    fs::copy(busybox, &program).with_context(|| format!("cannot copy {}", busybox.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    for (path, text) in FILES {
        fs::write(root.join(path), text)?;
    }
    let list = Command::new(&program).arg("--list").output().context("cannot start busybox")?;
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
    ensure!(packed.context("cannot start tar")?.success(), "tar could not pack {}", root.display());
    Ok(archive)
}
