//! Payloads: hostile bytes decoded, and transactions encoded and decoded again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flumen::fuzzing::payload(bytes));
