//! Histories with crashes, faults and full disks, against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flumen_fuzz::operations::run(bytes));
