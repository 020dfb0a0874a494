//! Everything that is decoded from a disk: records, segment headers, checkpoints, payloads.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| flumen::fuzzing::decoders(bytes));

// Raw bytes stall at the checksums: in most cases they are put right, in half of these with the positions.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(8) {
        flumen::fuzzing::seal(&mut data[..size], seed.is_multiple_of(2));
    }
    size
});
