//! The words after the second colon of a short mount.

/// What they say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) read_only: bool,
    pub(crate) no_copy: bool,
    pub(crate) propagation: Option<String>,
}

/// Ways in which mounts spread.
pub(crate) const PROPAGATIONS: &[&str] = &["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Reads `ro,z,rslave`. `None` if a word is unknown or of its kind there are two. `z` and `Z` label files where the host does
/// so (SELinux); `consistent` and the like mean something to other systems only.
pub(crate) fn mode(text: &str) -> Option<Mode> {
    let mut mode = Mode::default();
    if text.is_empty() {
        return Some(mode);
    }
    let mut seen = [0; 5];
    for word in text.split(',') {
        let kind = match word {
            "ro" | "rw" => {
                mode.read_only = word == "ro";
                0
            }
            "z" | "Z" => 1,
            "nocopy" => {
                mode.no_copy = true;
                2
            }
            "consistent" | "cached" | "delegated" => 3,
            _ if PROPAGATIONS.contains(&word) => {
                mode.propagation = Some(word.to_owned());
                4
            }
            _ => return None,
        };
        seen[kind] += 1;
    }
    seen.iter().all(|count| *count <= 1).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_one_word_of_each_kind() {
        let good = mode("ro,z,rslave,nocopy").unwrap();
        assert!(good.read_only && good.no_copy && good.propagation.as_deref() == Some("rslave"));
        assert_eq!(mode(""), Some(Mode::default()));
        for bad in ["bogus", "ro,rw", "z,Z", "consistent,cached", "ro,", "volume-nocopy"] {
            assert_eq!(mode(bad), None, "{bad}");
        }
    }
}
