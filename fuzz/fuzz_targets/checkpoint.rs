//! A checkpoint slot: its decoder, and the opening of a directory that holds it.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| {
    flumen::fuzzing::checkpoint(bytes);
    flumen_fuzz::recovery::slots(bytes);
});

// Raw bytes stall at the checksums: in most cases they are put right, in half of these with the positions.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(8) {
        flumen::fuzzing::seal(&mut data[..size], seed.is_multiple_of(2));
    }
    size
});
