//! What the size of segments costs and buys: durable commits of 512-byte events in steady state (each taken
//! again, with lazy acks), the worst commit, and opening without a close. `cargo bench --bench segment_size`;
//! `chrt -r 1` before it keeps other processes out of the numbers.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(clippy::print_stdout, reason = "its results go to stdout")]

mod support;

use std::time::{Duration, Instant};

use flumen::{Bytes, FileChannel};

use support::{BODY, directory, options, put, take};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_millis(1500);

/// Events per second and the worst commit, with so many events to a commit.
fn measure(channel: &FileChannel, body: &Bytes, count: usize) -> (f64, Duration) {
    let begin = Instant::now();
    let (mut events, mut worst) = (0, Duration::ZERO);
    while begin.elapsed() < TIME {
        let commit = Instant::now();
        put(channel, body, count);
        worst = worst.max(commit.elapsed());
        assert_eq!(take(channel, count), count);
        events += count;
    }
    (events as f64 / begin.elapsed().as_secs_f64(), worst)
}

fn main() {
    let body = Bytes::from(vec![7; BODY]);
    println!(
        "segment   events/s at 1, 100, 1000 a commit   worst commit   opening   replayed (bytes)"
    );
    for mebibytes in [4_u64, 16, 32, 64, 128].repeat(ROUNDS) {
        let directory = directory();
        let options = options().segment_size(mebibytes << 20);
        let channel = FileChannel::open(directory.path(), options.clone()).expect("opens");
        // Three times round, so that segments are recycled ones.
        for _ in 0..(3 * mebibytes as usize) * (1 << 20) / (1000 * (BODY + 8)) {
            put(&channel, &body, 1000);
            take(&channel, 1000);
        }
        let rows = [1, 100, 1000].map(|count| measure(&channel, &body, count));
        let worst = rows.iter().map(|row| row.1).max().unwrap_or_default();
        drop(channel);
        let begin = Instant::now();
        let channel = FileChannel::open(directory.path(), options).expect("opens");
        let opening = begin.elapsed();
        println!(
            "{mebibytes:3} MiB   {:8.0} {:10.0} {:11.0}   {worst:12.1?}   {opening:7.1?}   {:10}",
            rows[0].0,
            rows[1].0,
            rows[2].0,
            channel.recovery().replayed_bytes
        );
    }
}
