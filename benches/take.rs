//! Taking: from memory by a consumer that keeps up, and from the log by one that does not, beside reading the
//! same bytes from a file.
//!
//! `cargo bench --bench take`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use std::os::unix::fs::FileExt;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flumen::{Bytes, Durability, FileChannel};
use support::{BODY, put, take};

const BATCH: usize = 1000;
const BATCHES: usize = 200;

fn filled(memory_tail: u64) -> (tempfile::TempDir, FileChannel) {
    let place = support::directory();
    let options = support::options().durability(Durability::Os).memory_tail(memory_tail);
    let channel = FileChannel::open(place.path().join("channel"), options).expect("opens");
    let body = Bytes::from(vec![7; BODY]);
    (0..BATCHES).for_each(|_| put(&channel, &body, BATCH));
    (place, channel)
}

fn takes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("taking 200 batches of 1,000 events of 512 bytes");
    group.throughput(Throughput::Bytes((BATCH * BATCHES * BODY) as u64));
    let place = support::directory();
    let path = place.path().join("raw");
    std::fs::write(&path, vec![7; BATCH * BATCHES * BODY]).expect("there is room");
    let file = std::fs::File::open(&path).expect("just written");
    let mut buffer = vec![0; 256 << 10];
    group.bench_function("raw read from the page cache", |bencher| {
        bencher.iter(|| {
            let mut offset = 0;
            while let Ok(count @ 1..) = file.read_at(&mut buffer, offset) {
                offset += count as u64;
            }
        });
    });
    for (name, memory_tail) in [("from memory", 1 << 30), ("from the log, in the page cache", 0)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || filled(memory_tail),
                |(place, channel)| {
                    while take(&channel, BATCH) > 0 {}
                    // Dropped by the bench, outside of the time.
                    (place, channel)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = takes
}
criterion_main!(benches);
