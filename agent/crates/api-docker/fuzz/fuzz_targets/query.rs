//! Queries, filters, detach keys, options of ps, sizes and moments.
#![no_main]

libfuzzer_sys::fuzz_target!(|query: &[u8]| hull_api_docker::fuzzing::query(query));
