//! Everything textual that a registry or an archive may send.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| hull_images::fuzzing::documents(bytes));
