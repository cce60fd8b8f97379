//! Whatever the bytes: reading ends, takes little memory, and says where things are. What can be written again is read as the
//! same.
#![no_main]

use hull_tar::{Archive, Entry, TarError, layer, writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut archive = Archive::new(bytes);
    let mut before = 0;
    while let Ok(Some(entry)) = archive.next_entry() {
        let offsets = archive.offsets();
        assert!(offsets.header >= before && offsets.data > offsets.header);
        before = offsets.data;
        if let Some(sparse) = &entry.sparse {
            let sum: u64 = sparse.segments.iter().map(|(_, length)| length).sum();
            assert_eq!(sum, entry.size);
            assert!(sparse.segments.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
            assert!(sparse.segments.last().is_none_or(|(offset, length)| offset + length <= sparse.size));
        }
        // Only that it does not panic.
        let _ = layer::classify(&entry.path);
        let mut data = Vec::new();
        let read = archive.data(u64::MAX, |piece| {
            data.extend_from_slice(piece);
            Ok::<_, TarError>(())
        });
        if read.is_err() {
            return;
        }
        assert_eq!(data.len() as u64, entry.size);
        let at = offsets.data as usize;
        assert_eq!(&bytes[at..at + data.len()], data);
        again(&entry, &data);
    }
});

fn again(entry: &Entry, data: &[u8]) {
    let Ok(mut bytes) = writer::header(entry) else { return };
    // A header that says too much about one file is the one thing that is written and not read.
    if bytes.len() > 1 << 20 {
        return;
    }
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len() + writer::padding(entry.size), 0);
    bytes.extend_from_slice(&writer::END);
    let mut archive = Archive::new(bytes.as_slice());
    assert_eq!(archive.next_entry().unwrap().as_ref(), Some(entry));
    assert!(archive.next_entry().unwrap().is_none());
}
