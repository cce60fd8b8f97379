//! Requests to make containers: whatever is sent, it is translated or refused, and what was translated is told again as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| hull_api_docker::fuzzing::create(body));
