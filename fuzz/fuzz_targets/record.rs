//! Everything that is decoded from a disk: records, segment headers, checkpoints, payloads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flumen::fuzzing::decoders(bytes));
