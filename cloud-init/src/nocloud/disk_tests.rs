use super::disk::{Medium, Volume, open};
use super::fat::Fat;
use super::iso9660::Iso;
use super::{Place, Places, detect};
use crate::document::gunzip;
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

fn unpack(gz: &[u8]) -> Vec<u8> {
    gunzip(gz, 64 << 20).unwrap()
}

fn images() -> [(&'static str, Vec<u8>); 5] {
    [
        ("joliet", unpack(include_bytes!("../../testdata/joliet.iso.gz"))),
        ("rockridge", unpack(include_bytes!("../../testdata/rockridge.iso.gz"))),
        ("fat12", unpack(include_bytes!("../../testdata/fat12.img.gz"))),
        ("fat16", unpack(include_bytes!("../../testdata/fat16.img.gz"))),
        ("fat32", unpack(include_bytes!("../../testdata/fat32.img.gz"))),
    ]
}

#[test]
fn volumes_made_by_other_tools_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for (name, image) in images() {
        let path = dir.path().join(name);
        std::fs::write(&path, image).unwrap();
        let volume = open(&path).unwrap();
        assert!(volume.label().eq_ignore_ascii_case("cidata"), "{name}: {:?}", volume.label());
        let meta_data = volume.read("meta-data", LIMIT).unwrap().unwrap();
        assert_eq!(meta_data, b"instance-id: i-1\nlocal-hostname: fixture\n", "{name}");
        let user_data = volume.read("user-data", LIMIT).unwrap().unwrap();
        assert!(
            user_data.starts_with(b"#cloud-config\n") && user_data.len() == 5031,
            "{name}: {}",
            user_data.len()
        );
        assert!(user_data.ends_with(b"xxx\n"), "{name}");
        assert_eq!(volume.read("vendor-data", LIMIT).unwrap(), None, "{name}");
        assert!(volume.read("user-data", 100).is_err(), "{name}");
    }
}

#[test]
fn a_disk_is_found_by_its_label() {
    let dir = tempfile::tempdir().unwrap();
    let (sys, dev) = (dir.path().join("sys"), dir.path().join("dev"));
    std::fs::create_dir(&dev).unwrap();
    let [_, (_, seed), ..] = images();
    let other = {
        let mut image = seed.clone();
        image[16 * 2048 + 40..16 * 2048 + 46].copy_from_slice(b"OTHERS");
        image
    };
    for (name, size, content) in
        [("vda", "8", &vec![0; 4096]), ("sr0", "9", &other), ("sr1", "0", &seed), ("sr2", "9", &seed)]
    {
        std::fs::create_dir_all(sys.join(name)).unwrap();
        std::fs::write(sys.join(name).join("size"), size).unwrap();
        std::fs::write(dev.join(name), content).unwrap();
    }
    let places =
        Places { sys_block: sys, dev: dev.clone(), cmdline: "ds=nocloud;i=x".into(), ..Places::default() };
    let found = detect(&places).unwrap();
    assert_eq!(found.place, Place::Device { path: dev.join("sr2") });
    assert_eq!(found.instance_id.as_deref(), Some("x"));
}

/// A volume that lies about itself gives an error or some bytes, and always ends.
fn use_volume(volume: std::io::Result<impl Volume>) {
    if let Ok(volume) = volume {
        _ = volume.label().len();
        _ = volume.read("user-data", LIMIT);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn volumes_that_lie(which in 0..5usize, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), near in any::<bool>()) {
        let (_, mut image) = images()[which].clone();
        // Half of the time where the structures are.
        let reach = if near { [40 * 2048, 40 * 2048, 16384, 32768, 16384][which] } else { image.len() };
        for (at, byte) in edits {
            image[at.index(reach)] = byte;
        }
        use_volume(Iso::open(image.clone()));
        use_volume(Fat::open(image));
    }
}

#[test]
fn nothing_is_read_past_the_end() {
    assert!(Vec::<u8>::new().bytes(0, 1).is_err());
    assert!(vec![0u8; 4].bytes(u64::MAX, 4).is_err());
    for (_, image) in images() {
        for cut in [0, 511, 512, 2048, 16 * 2048, 17 * 2048 + 5] {
            let cut = cut.min(image.len());
            use_volume(Iso::open(image[..cut].to_vec()));
            use_volume(Fat::open(image[..cut].to_vec()));
        }
    }
}
