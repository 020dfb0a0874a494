//! Opening a channel until its first event, after a clean close and without one, with little and with much
//! queued, beside reading as much of a file as is replayed.
//!
//! `cargo bench --bench recovery`. After a real SIGKILL, with memory: `cargo bench --bench backlog`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flumen::{Bytes, Channel, ChannelOptions, Durability, FileChannel};
use support::{BODY, put};

const BATCH: usize = 1000;

fn open(place: &tempfile::TempDir) -> FileChannel {
    let options = ChannelOptions::new().durability(Durability::Os).background(false);
    FileChannel::open(place.path().join("channel"), options).expect("opens")
}

/// Opens `rounds` times, each time after a stop of the same kind with as much to replay.
fn openings(
    place: &tempfile::TempDir,
    rounds: u64,
    is_clean: bool,
    replayed: &mut u64,
) -> Duration {
    let body = Bytes::from(vec![7; BODY]);
    let mut time = Duration::ZERO;
    for _ in 0..rounds {
        let channel = open(place);
        if is_clean {
            channel.close().expect("works");
        } else {
            (0..10).for_each(|_| put(&channel, &body, BATCH));
        }
        drop(channel);
        let begin = Instant::now();
        let channel = open(place);
        let mut take = channel.begin_take();
        take.take().expect("readable").expect("there is one");
        time += begin.elapsed();
        assert_eq!(channel.recovery().clean, is_clean);
        *replayed = channel.recovery().replayed_bytes;
    }
    time
}

fn recoveries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("opening until the first event");
    for mebibytes in [1, 1024] {
        let place = support::directory();
        let channel = open(&place);
        let body = Bytes::from(vec![7; BODY]);
        (0..(mebibytes << 20) / (BATCH * (BODY + 8)) + 1).for_each(|_| put(&channel, &body, BATCH));
        channel.close().expect("works");
        drop(channel);
        for (stop, is_clean) in [("closed", true), ("not closed", false)] {
            let mut replayed = 0;
            group.bench_function(BenchmarkId::new(stop, format!("{mebibytes} MiB")), |bencher| {
                bencher.iter_custom(|rounds| openings(&place, rounds, is_clean, &mut replayed));
            });
            let path = place.path().join("raw");
            std::fs::write(&path, vec![7; replayed as usize]).expect("there is room");
            let name = format!("raw open and read of what is replayed, {stop}");
            let mut buffer = vec![0; 256 << 10];
            group.bench_function(BenchmarkId::new(name, format!("{mebibytes} MiB")), |bencher| {
                bencher.iter(|| {
                    let file = std::fs::File::open(&path).expect("just written");
                    let mut offset = 0;
                    while let Ok(count @ 1..) = file.read_at(&mut buffer, offset) {
                        offset += count as u64;
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = recoveries
}
criterion_main!(benches);
