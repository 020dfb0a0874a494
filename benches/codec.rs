//! What the engine itself does for a commit, without the disk: a storage that throws records away instead of
//! writing them. Beside it the two passes over the bytes that no log can do without, a copy and a CRC-32.
//!
//! `cargo bench --bench codec`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use std::hint::black_box;
use std::io;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen::storage::File;
use flumen::{Bytes, Durability, FileChannel};
use support::disk::{Differs, disk};
use support::{RECORD_OVERHEAD, put, take};

const BATCH: usize = 100;

/// Everything is written, but for what lies behind the head of a segment; nothing is synced.
struct NoRecords;

/// Bytes at the head of a file that are written: the header page of a segment, all of a small slot.
const HEAD: u64 = 4096;

impl Differs for NoRecords {
    fn write(&self, file: &dyn File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if offset < HEAD { file.write_at(bytes, offset) } else { Ok(black_box(bytes).len()) }
    }

    fn sync(&self, _: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }
}

fn codec(criterion: &mut Criterion) {
    let mut group =
        criterion.benchmark_group("a commit of 100 events and its take, without a disk");
    for body in [64, 512, 4096] {
        group.throughput(Throughput::Elements(BATCH as u64));
        let bytes = vec![7; RECORD_OVERHEAD + BATCH * (body + 8)];
        let mut copy = Vec::with_capacity(bytes.len());
        group.bench_function(BenchmarkId::new("raw copy and CRC-32", body), |bencher| {
            bencher.iter(|| {
                copy.clear();
                copy.extend_from_slice(black_box(&bytes));
                crc32fast::hash(black_box(&copy))
            });
        });
        let place = support::directory();
        let storage = disk(&place.path().join("channel"), NoRecords);
        // Nothing can be read back, so all must be taken from memory.
        let options = support::options().durability(Durability::Os).memory_tail(64 << 20);
        let channel = FileChannel::open_on(storage, options).expect("opens");
        let event = Bytes::from(vec![7; body]);
        group.bench_function(BenchmarkId::new("flumen put and take", body), |bencher| {
            bencher.iter(|| {
                put(&channel, &event, BATCH);
                assert_eq!(take(&channel, BATCH), BATCH);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default();
    targets = codec
}
criterion_main!(benches);
