//! Many producers, one event per durable commit, beside one producer: what sharing a sync is worth, on this disk
//! and on slower ones.
//!
//! `cargo bench --bench group_commit`. The raw limit of one producer is in the bench `commit`.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(missing_docs, reason = "the macros make functions without")]

mod support;

use std::io;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flumen::{Bytes, FileChannel};
use support::disk::{Differs, disk};
use support::{BODY, Raw, put, take};

fn producers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("durable commits of one event by many producers");
    group.throughput(Throughput::Elements(1));
    let mut raw = Raw::new();
    group.bench_function("raw overwrite + fdatasync, one after the other", |bencher| {
        bencher.iter(|| {
            raw.write(&[9; BODY]);
            raw.sync();
        });
    });
    for (what, longer) in DISKS {
        let place = support::directory();
        let storage = disk(&place.path().join("channel"), Slower(longer));
        let channel = FileChannel::open_on(storage, support::options()).expect("opens");
        let channel = support::warm(channel);
        for count in [1, 8, 64] {
            group.bench_function(BenchmarkId::new(format!("flumen put{what}"), count), |bencher| {
                bencher.iter_custom(|commits| {
                    let time = commit_at_once(&channel, count, commits);
                    while take(&channel, 1000) > 0 {}
                    time
                });
            });
        }
    }
    group.finish();
}

/// This disk, and the same as if each sync took so much longer.
const DISKS: [(&str, Duration); 3] = [
    ("", Duration::ZERO),
    (", syncs 200 us longer", Duration::from_micros(200)),
    (", syncs 2 ms longer", Duration::from_millis(2)),
];

struct Slower(Duration);

impl Differs for Slower {
    fn sync(&self, act: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        act()?;
        if !self.0.is_zero() {
            std::thread::sleep(self.0);
        }
        Ok(())
    }
}

/// At least `commits` commits by `count` threads; the time of as many.
fn commit_at_once(channel: &FileChannel, count: u64, commits: u64) -> Duration {
    let each = commits.div_ceil(count);
    let body = Bytes::from(vec![7; BODY]);
    let start = Barrier::new(count as usize + 1);
    let begin = std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                start.wait();
                (0..each).for_each(|_| put(channel, &body, 1));
            });
        }
        start.wait();
        Instant::now()
    });
    begin.elapsed().mul_f64(commits as f64 / (each * count) as f64)
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = producers
}
criterion_main!(benches);
