//! What is large in an image.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;

use crate::prune::walk;

/// A path and what it weighs in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Path in the image.
    pub path: String,
    /// Bytes, hard links counted once.
    pub bytes: u64,
}

/// Bytes of all regular files below `tree` and the `count` largest of them.
pub fn largest(tree: &Path, count: usize) -> Result<(u64, Vec<Weight>)> {
    let (mut total, mut all, mut seen) = (0, Vec::new(), BTreeSet::new());
    walk(tree, "", &mut |path, is_dir| {
        let meta = fs::symlink_metadata(tree.join(&path[1..]))?;
        if !is_dir && meta.is_file() && seen.insert((meta.dev(), meta.ino())) {
            total += meta.len();
            all.push(Weight { path: path.to_owned(), bytes: meta.len() });
        }
        Ok(true)
    })?;
    sort(&mut all);
    all.truncate(count);
    Ok((total, all))
}

/// The heaviest first, equals by their paths.
pub fn sort(weights: &mut [Weight]) {
    weights.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
}

/// Bytes that a file takes on disk: less than its length when it is sparse.
pub fn allocated(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)?.blocks() * 512)
}

/// Megabytes (10⁶ bytes) with one decimal.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_links_count_once() {
        let dir = std::env::temp_dir().join(format!("hull-sizes-{}", std::process::id()));
        fs::create_dir_all(dir.join("sub")).unwrap();
        fs::write(dir.join("small"), [0; 10]).unwrap();
        fs::write(dir.join("sub/large"), [0; 1000]).unwrap();
        fs::hard_link(dir.join("sub/large"), dir.join("zlink")).unwrap();
        let (total, list) = largest(&dir, 1).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(total, 1010);
        assert_eq!(list, [Weight { path: "/sub/large".to_owned(), bytes: 1000 }]);
    }
}
