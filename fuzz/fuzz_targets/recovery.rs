//! Edits of a valid directory, then every way of looking at it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flumen_fuzz::recovery::run(bytes));
