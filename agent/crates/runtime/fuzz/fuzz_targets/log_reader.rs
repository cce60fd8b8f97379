//! Log files that hold anything at all: the reader ends, keeps no more than a bounded piece, and its last lines are the last of all
//! its lines.
//!
//! ```text
//! cargo +nightly fuzz run log_reader --fuzz-dir agent/crates/runtime/fuzz -- -max_total_time=300
//! ```
#![no_main]

use hull_runtime::log::reader::Reader;
use hull_runtime::log::{Entry, Format, Place};
use libfuzzer_sys::fuzz_target;
use std::cell::OnceCell;
use std::io::Write as _;

thread_local! {
    static DIRECTORY: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

fn read(place: &Place, tail: Option<usize>) -> (Vec<Entry>, u64) {
    let mut reader = Reader::open(place, tail).expect("it can be opened");
    let mut all = Vec::new();
    loop {
        match reader.next_entries().expect("it can be read").as_slice() {
            [] => return (all, reader.damaged),
            some => all.extend_from_slice(some),
        }
    }
}

fuzz_target!(|input: (u8, u8, &[u8], &[u8])| {
    let (kind, tail, older, current) = input;
    let directory = DIRECTORY.with(|cell| cell.get_or_init(|| tempfile::tempdir().unwrap()).path().to_owned());
    let format = if kind & 1 == 0 { Format::Compact } else { Format::Json };
    let place = Place { directory: directory.clone(), name: "output".to_owned(), format };
    for name in ["output", "output.1", "output.1.gz"] {
        let _ = std::fs::remove_file(directory.join(name));
    }
    std::fs::write(directory.join("output"), current).unwrap();
    match kind >> 1 & 3 {
        0 => {}
        1 => std::fs::write(directory.join("output.1"), older).unwrap(),
        // Any bytes as a compressed file, and a good one.
        2 => std::fs::write(directory.join("output.1.gz"), older).unwrap(),
        _ => {
            let file = std::fs::File::create(directory.join("output.1.gz")).unwrap();
            let mut packer = flate2::GzBuilder::new().comment("inode 5").write(file, flate2::Compression::fast());
            packer.write_all(older).unwrap();
            packer.finish().unwrap();
        }
    }
    let (all, _) = read(&place, None);
    let (last, _) = read(&place, Some(usize::from(tail)));
    assert!(last.len() <= usize::from(tail));
    assert_eq!(last, all[all.len() - last.len()..]);
    for entry in &all {
        assert!(entry.bytes.len() <= hull_runtime::log::scan::MAX_RECORD + 1);
    }
});
