//! Durable commits beside the raw limit: the same bytes written over a file written before, and synced.
//!
//! `cargo bench --bench commit`. Where the files lie: `support`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen::Bytes;
use support::{BODY, RECORD_OVERHEAD, Raw, put, take};

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("durable commit of 512-byte events");
    let body = Bytes::from(vec![7; BODY]);
    for events in [1, 100, 1000, 10_000] {
        group.throughput(Throughput::Elements(events as u64));
        let size = (RECORD_OVERHEAD + events * (BODY + 8)).next_multiple_of(8);
        let mut raw = Raw::new();
        let buffer = vec![9; size];
        group.bench_function(BenchmarkId::new("raw overwrite + fdatasync", events), |bencher| {
            bencher.iter(|| {
                raw.write(&buffer);
                raw.sync();
            });
        });
        let place = support::directory();
        let channel = support::channel(&place, support::options());
        group.bench_function(BenchmarkId::new("flumen put", events), |bencher| {
            // Only the put is timed. What it put is taken, so that segments go round as in steady state.
            bencher.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    let begin = Instant::now();
                    put(&channel, &body, events);
                    time += begin.elapsed();
                    take(&channel, events);
                }
                time
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = commits
}
criterion_main!(benches);
