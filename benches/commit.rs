//! Durable commits beside the raw limit: the same bytes written over a file written before, and synced.
//!
//! `cargo bench --bench commit`. The files lie in the system's directory for temporary files, or in
//! `FLUMEN_BENCH_DIR`; a file system in memory shows nothing.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen::{AckDurability, Bytes, Channel, ChannelOptions, Event, FileChannel};

const BODY: usize = 512;
/// Bytes a record needs beside its events: header and head of the payload.
const RECORD_OVERHEAD: usize = 48;

fn directory() -> tempfile::TempDir {
    let parent =
        std::env::var_os("FLUMEN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).expect("the directory for benches is writable")
}

fn options() -> ChannelOptions {
    ChannelOptions::new().ack_durability(AckDurability::Lazy(Duration::from_millis(100)))
}

/// A file of 64 MiB whose blocks have all been written.
fn raw_file(directory: &tempfile::TempDir) -> File {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(directory.path().join("raw"))
        .expect("writable");
    file.write_all_at(&vec![1; 64 << 20], 0).expect("there is room");
    file.sync_all().expect("works");
    file
}

fn put(channel: &FileChannel, body: &Bytes, count: usize) {
    let mut put = channel.begin_put();
    for _ in 0..count {
        put.put(Event::new(body.clone())).expect("there is room");
    }
    put.commit().expect("works");
}

fn take(channel: &FileChannel, count: usize) {
    let mut take = channel.begin_take();
    for _ in 0..count {
        take.take().expect("readable").expect("there are events");
    }
    take.commit().expect("works");
}

fn commits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("durable commit of 512-byte events");
    let body = Bytes::from(vec![7; BODY]);
    for events in [1, 100, 1000] {
        group.throughput(Throughput::Elements(events as u64));
        let size = (RECORD_OVERHEAD + events * (BODY + 8)).next_multiple_of(8);
        let raw = directory();
        let file = raw_file(&raw);
        let (buffer, mut offset) = (vec![9; size], 0);
        group.bench_function(BenchmarkId::new("raw overwrite + fdatasync", events), |bencher| {
            bencher.iter(|| {
                file.write_all_at(&buffer, offset).expect("works");
                file.sync_data().expect("works");
                offset = (offset + size as u64) % (60 << 20);
            });
        });
        let place = directory();
        let channel = FileChannel::open(place.path().join("channel"), options()).expect("opens");
        // Twice round, so that segments are recycled ones, as in steady state.
        for _ in 0..(160 << 20) / (1000 * (BODY + 8)) {
            put(&channel, &body, 1000);
            take(&channel, 1000);
        }
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
