//! Where in a hierarchy a container's group is: below Hull's own, or below a group that was asked for.

use super::v2::make;
use crate::failure::{Doing as _, Result};
use hull_sys::xattr;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Marks groups that were made because containers asked to be below them.
const MARK: &std::ffi::CStr = c"trusted.hull.parent";

/// Makes the groups of `path`, which is relative, below `root`, and answers the last one. Those that Hull made, now or earlier,
/// are added to `made`. `enter` is called with each group before the next one is made in it.
pub(super) fn parents(
    root: &Path,
    path: &Path,
    made: &mut Vec<PathBuf>,
    enter: impl Fn(&Path, &Path),
) -> Result<PathBuf> {
    let mut at = root.to_owned();
    for name in path {
        let next = at.join(name);
        let new = !next.exists();
        make(&next)?;
        let directory = File::open(&next).doing(|| format!("opening cgroup {}", next.display()))?;
        if new {
            // Without the mark the group stays when its containers have gone, which harms nobody.
            let _ = xattr::set(&directory, MARK, b"");
            made.push(next.clone());
        } else if matches!(xattr::get(&directory, MARK), Ok(Some(_))) {
            made.push(next.clone());
        }
        enter(&at, &next);
        at = next;
    }
    Ok(at)
}

/// Removes groups that were made, from the innermost outwards, as far as nobody uses them.
pub(super) fn remove_made(made: &[PathBuf]) {
    for directory in made.iter().rev() {
        let _ = std::fs::remove_dir(directory);
    }
}
