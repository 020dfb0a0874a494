//! The files of two channels in one directory.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flumen_fuzz::mixed::run(bytes));
