//! Tar archives: reading ends, and an entry that was read can be written and read again.
#![no_main]

use hull_tar::{Archive, TarError, writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut archive = Archive::new(bytes);
    while let Ok(Some(entry)) = archive.next_entry() {
        let mut count = 0u64;
        let read = archive.data::<TarError>(u64::MAX, |piece| {
            count += piece.len() as u64;
            Ok(())
        });
        assert!(count <= bytes.len() as u64);
        if read.is_err() {
            return;
        }
        let Ok(mut header) = writer::header(&entry) else { continue };
        header.resize(header.len() + usize::try_from(entry.size).unwrap() + writer::padding(entry.size), 0);
        let again = Archive::new(&header[..]).next_entry().unwrap().unwrap();
        assert_eq!(again, entry);
    }
});
