//! A producer and a consumer at once, in batches of 100, in steady state: the time of a batch from end to end,
//! beside the raw limit of its put.
//!
//! `cargo bench --bench pipeline`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flumen::{AckDurability, Bytes};
use support::{BODY, RECORD_OVERHEAD, Raw, pipeline};

const BATCH: usize = 100;

fn pipelines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a producer and a consumer, batches of 100");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut raw = Raw::new();
    let buffer = vec![9; RECORD_OVERHEAD + BATCH * (BODY + 8)];
    group.bench_function("raw overwrite + fdatasync of what is put", |bencher| {
        bencher.iter(|| {
            raw.write(&buffer);
            raw.sync();
        });
    });
    let durable = support::options().ack_durability(AckDurability::Sync);
    for (name, options) in [("lazy acks", support::options()), ("durable acks", durable)] {
        let place = support::directory();
        let channel = support::channel(&place, options);
        let body = Bytes::from(vec![7; BODY]);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|batches| pipeline(&channel, &body, BATCH, batches));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = pipelines
}
criterion_main!(benches);
