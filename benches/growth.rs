//! What grows with what (S12): commits with the number of producers; commits, openings and memory with the number
//! of segments, of queued events, and of acknowledged ranges out of order. Plain numbers, a row for each size;
//! `cargo bench --bench growth`, and with a number behind `--` only sizes up to that.
//!
//! Each row is measured by a fresh process (this program again), so that its memory is its own. The largest take
//! 8 GB of disk, and minutes.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(clippy::print_stdout, reason = "its results go to stdout")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flumen::{Bytes, Channel, ChannelOptions, Durability, FileChannel, TakeTransaction};

use support::{BODY, directory, options, put, resident, take};

const SMALL: usize = 64;
/// Events in a transaction.
const BATCH: usize = 10_000;
/// Events of a take, which also fit with the large bodies that fill segments.
const TAKEN: usize = 1000;
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, kind, size, path] = &arguments[..] {
        let (size, path) = (size.parse().expect("a number"), Path::new(path));
        match kind.as_str() {
            "producers" => producers(size, path),
            "segments" => segments(size, path),
            "events" => events(size, path),
            "ranges" => ranges(size, path),
            _ => reopened(path),
        }
        return;
    }
    let limit = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(u64::MAX);
    let powers = |last: u32| (0..=last).map(|power| 10_u64.pow(power)).filter(|n| *n <= limit);
    println!("producers   events/s   syncs/s   resident (KiB)");
    powers(3).for_each(|n| row("producers", n, false));
    let opening = "opening (us)   first event (us)   resident (KiB)   drain: ns for each";
    println!("\nsegments   a roll (us)   checkpoint (us)   resident (KiB)   {opening}");
    powers(4).for_each(|n| row("segments", n, true));
    println!("\nevents   ns for each   checkpoint (us)   resident (KiB)   {opening}");
    powers(8).skip(3).for_each(|n| row("events", n, true));
    println!("\nranges   ack of 1 (us)   checkpoint (us)   resident (KiB)   {opening}");
    powers(6).for_each(|n| row("ranges", n, true));
}

/// Measures one size in processes of their own, and prints what they print.
fn row(kind: &str, size: u64, is_reopened: bool) {
    let directory = directory();
    let path = directory.path().join("channel");
    let path = path.to_str().expect("the path is text");
    let run = |kind: &str| {
        let program = std::env::current_exe().expect("known");
        let output = Command::new(program).args([kind, &size.to_string(), path]).output();
        let output = output.expect("starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_string()
    };
    let first = run(kind);
    let second = if is_reopened { run("reopened") } else { String::new() };
    println!("{size:9}   {first}   {second}");
}

/// Microseconds that `act` takes.
fn time(act: impl FnOnce()) -> u128 {
    let begin = Instant::now();
    act();
    begin.elapsed().as_micros()
}

/// Durable commits of one event by so many threads.
fn producers(count: u64, path: &Path) {
    let channel = FileChannel::open(path, options()).expect("opens");
    let body = Bytes::from(vec![7; BODY]);
    let before = channel.stats();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                while begin.elapsed() < TIME {
                    put(&channel, &body, 1);
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let after = channel.stats();
    let rate = |before: u64, after: u64| (after - before) as f64 / seconds;
    print!(
        "{:8.0} {:9.0} {:16}",
        rate(before.events_put, after.events_put),
        rate(before.syncs, after.syncs),
        resident()
    );
}

fn unsynced() -> ChannelOptions {
    options().durability(Durability::Os).transaction_events(BATCH)
}

/// So many of the smallest segments, none of them done; they grow with the state that each begins with.
fn segments(count: u64, path: &Path) {
    let channel = FileChannel::open(path, unsynced().segment_size(64 << 10)).expect("opens");
    let body = Bytes::from(vec![7; 40 << 10]);
    let (mut segments, mut roll) = (1, 0);
    while segments < count {
        let commit = time(|| put(&channel, &body, 1));
        let now = channel.stats().segments;
        if now > segments {
            (segments, roll) = (now, commit);
        }
    }
    put(&channel, &body, 1);
    let checkpoint = time(|| channel.checkpoint().expect("works"));
    print!("{roll:11} {checkpoint:17} {:16}", resident());
}

fn events(count: u64, path: &Path) {
    let channel = FileChannel::open(path, unsynced()).expect("opens");
    let body = Bytes::from(vec![7; SMALL]);
    let begin = Instant::now();
    let mut left = count as usize;
    while left > 0 {
        put(&channel, &body, left.min(BATCH));
        left -= left.min(BATCH);
    }
    let each = begin.elapsed().as_nanos() / u128::from(count);
    channel.sync().expect("works");
    let checkpoint = time(|| channel.checkpoint().expect("works"));
    print!("{each:11} {checkpoint:17} {:16}", resident());
}

/// So many acknowledged ranges with an event between each two that is still on loan.
fn ranges(count: u64, path: &Path) {
    let channel = FileChannel::open(path, unsynced()).expect("opens");
    let body = Bytes::from(vec![7; SMALL]);
    let mut kept: Vec<TakeTransaction> = Vec::new();
    let mut left = count as usize;
    while left > 0 {
        let part = left.min(BATCH / 2);
        put(&channel, &body, 2 * part);
        let mut held = channel.begin_take();
        let mut acked = channel.begin_take();
        for _ in 0..part {
            held.take().expect("readable").expect("there is one");
            acked.take().expect("readable").expect("there is one");
        }
        acked.commit().expect("works");
        kept.push(held);
        left -= part;
    }
    put(&channel, &body, 2);
    let mut held = channel.begin_take();
    held.take().expect("readable").expect("there is one");
    let ack = time(|| {
        assert_eq!(take(&channel, 1), 1);
        channel.sync().expect("works");
    });
    let checkpoint = time(|| channel.checkpoint().expect("works"));
    print!("{ack:13} {checkpoint:17} {:16}", resident());
    // What is on loan comes back with the next opening.
    std::process::exit(0);
}

fn reopened(path: &Path) {
    let before = resident();
    let begin = Instant::now();
    let channel = FileChannel::open(path, unsynced()).expect("opens");
    let opening = begin.elapsed().as_micros();
    assert_eq!(take(&channel, 1), 1);
    let first = begin.elapsed().as_micros();
    let resident = resident() - before;
    let (mut count, begin) = (0, Instant::now());
    while let taken @ 1.. = take(&channel, TAKEN) {
        count += taken;
    }
    let drained = begin.elapsed().as_nanos() / (count.max(1) as u128);
    print!("{opening:12} {first:18} {resident:16} {drained:20}");
}
