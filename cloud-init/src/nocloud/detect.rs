//! Where the data is: decided from what the kernel, the firmware and the disks say.

use super::disk;
use super::{Found, Place};
use std::path::{Path, PathBuf};

/// Label of a seed's file system.
const LABEL: &str = "cidata";

/// Where to look. Everything is a parameter, so that no test depends on the machine it runs on.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The kernel command line.
    pub cmdline: String,
    /// The firmware's serial number of the product.
    pub product_serial: String,
    /// The kernel's block devices; none are looked at if this is not a directory.
    pub sys_block: PathBuf,
    /// The devices' files.
    pub dev: PathBuf,
    /// A directory that was named by a person: comes before everything else.
    pub seed: Option<PathBuf>,
    /// Directories where images keep a seed.
    pub seed_directories: Vec<PathBuf>,
}

impl Places {
    /// The places of the host this runs on.
    pub fn of_host() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Self {
            cmdline: read("/proc/cmdline"),
            product_serial: read("/sys/class/dmi/id/product_serial"),
            sys_block: "/sys/class/block".into(),
            dev: "/dev".into(),
            seed: None,
            seed_directories: ["nocloud", "nocloud-net"]
                .map(|d| Path::new("/var/lib/cloud/seed").join(d))
                .into(),
        }
    }
}

/// Where the data is, if anywhere: a directory named by a person, the kernel command line, the firmware, a disk labelled
/// `cidata`, a directory of the image, in this order.
pub fn detect(places: &Places) -> Option<Found> {
    if let Some(path) = &places.seed {
        return Some(Found {
            place: Place::Directory { path: path.clone() },
            instance_id: None,
            hostname: None,
        });
    }
    let told = from_command_line(&places.cmdline).or_else(|| from_text(&places.product_serial));
    match told {
        Some(found) if found.place != Place::Nowhere => Some(found),
        // Told to look without being told where; or not told.
        told => {
            let place = disk_with_seed(places).or_else(|| directory_with_seed(places));
            match (told, place) {
                (Some(told), Some(place)) => Some(Found { place, ..told }),
                (None, Some(place)) => Some(Found { place, instance_id: None, hostname: None }),
                (told, None) => told.filter(|found| found.instance_id.is_some() || found.hostname.is_some()),
            }
        }
    }
}

/// `ds=nocloud;…` among the words of the command line; quotes around a word are taken off.
fn from_command_line(text: &str) -> Option<Found> {
    text.split_ascii_whitespace().map(|word| word.trim_matches('"')).find_map(from_text)
}

/// `ds=nocloud[-net][;s=…][;i=…][;h=…]`
fn from_text(text: &str) -> Option<Found> {
    let rest = text.strip_prefix("ds=")?.trim_matches('"');
    let mut parts = rest.split(';');
    if !matches!(parts.next()?.to_ascii_lowercase().as_str(), "nocloud" | "nocloud-net") {
        return None;
    }
    let mut found = Found { place: Place::Nowhere, instance_id: None, hostname: None };
    for part in parts {
        let Some((key, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            continue;
        };
        match key {
            "s" | "seedfrom" => found.place = place(value),
            "i" | "instance-id" => found.instance_id = Some(value.to_owned()),
            "h" | "local-hostname" => found.hostname = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(found)
}

fn place(value: &str) -> Place {
    if value.starts_with("http://") || value.starts_with("https://") {
        // File names are added to the end; a query takes them as they are.
        let slash = if value.ends_with('/') || value.contains('?') { "" } else { "/" };
        return Place::Http { base: format!("{value}{slash}") };
    }
    Place::Directory { path: value.strip_prefix("file://").unwrap_or(value).into() }
}

/// The first device, by name, with a file system of that label.
fn disk_with_seed(places: &Places) -> Option<Place> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(&places.sys_block).ok()?.flatten().map(|e| e.path()).collect();
    names.sort();
    names.into_iter().filter(|path| may_hold_a_seed(path)).find_map(|path| {
        let device = places.dev.join(path.file_name()?);
        let labelled = disk::open(&device).ok()?.label().eq_ignore_ascii_case(LABEL);
        labelled.then_some(Place::Device { path: device })
    })
}

/// Memory disks are the kernel's own, floppy drives take seconds to say that they are empty.
fn may_hold_a_seed(sys: &Path) -> bool {
    let name = sys.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let size = std::fs::read_to_string(sys.join("size")).unwrap_or_default();
    !["ram", "zram", "fd", "nbd"].iter().any(|prefix| name.starts_with(prefix)) && size.trim() != "0"
}

fn directory_with_seed(places: &Places) -> Option<Place> {
    let holds = |dir: &&PathBuf| dir.join("user-data").is_file() || dir.join("meta-data").is_file();
    places.seed_directories.iter().find(holds).map(|path| Place::Directory { path: path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> Place {
        Place::Http { base: base.to_owned() }
    }

    #[test]
    fn command_line_and_serial() {
        type Expected = Option<(Place, Option<&'static str>, Option<&'static str>)>;
        let rows: &[(&str, Expected)] = &[
            (
                "quiet ds=nocloud;s=http://10.0.2.2:8000/ ro",
                Some((http("http://10.0.2.2:8000/"), None, None)),
            ),
            (
                "ds=nocloud-net;s=https://x/y;i=i1;h=web",
                Some((http("https://x/y/"), Some("i1"), Some("web"))),
            ),
            ("\"ds=nocloud;s=http://x/\"", Some((http("http://x/"), None, None))),
            ("ds=nocloud;s=http://x/?f=", Some((http("http://x/?f="), None, None))),
            ("ds=nocloud;seedfrom=/seed", Some((Place::Directory { path: "/seed".into() }, None, None))),
            ("ds=nocloud;s=file:///seed/", Some((Place::Directory { path: "/seed/".into() }, None, None))),
            ("ds=nocloud;h=web", Some((Place::Nowhere, None, Some("web")))),
            ("ds=nocloud", None),
            ("ds=ec2;s=http://x/", None),
            ("ds=nocloudy", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let places = Places { cmdline: (*text).to_owned(), ..Places::default() };
            let expected = expected.clone().map(|(place, i, h)| Found {
                place,
                instance_id: i.map(str::to_owned),
                hostname: h.map(str::to_owned),
            });
            assert_eq!(detect(&places), expected, "{text}");
        }
        let serial = "ds=nocloud;s=http://serial/".to_owned();
        let both = Places {
            cmdline: "ds=nocloud;s=http://line/".to_owned(),
            product_serial: serial,
            ..Places::default()
        };
        assert_eq!(detect(&both).unwrap().place, http("http://line/"));
        assert_eq!(detect(&Places { cmdline: String::new(), ..both }).unwrap().place, http("http://serial/"));
    }

    #[test]
    fn directories_come_last_and_only_with_a_seed() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { seed_directories: vec![dir.path().into()], ..Places::default() };
        assert_eq!(detect(&places), None);
        std::fs::write(dir.path().join("user-data"), "").unwrap();
        assert_eq!(detect(&places).unwrap().place, Place::Directory { path: dir.path().into() });
        let named = Places { seed: Some("/elsewhere".into()), ..places };
        assert_eq!(detect(&named).unwrap().place, Place::Directory { path: "/elsewhere".into() });
    }
}
