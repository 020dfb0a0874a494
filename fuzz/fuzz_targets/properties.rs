//! The reader of properties files, and the configuration made of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flumen::fuzzing::properties(bytes));
