//! Opening with a backlog: time until the channel is open and until the first event, after a clean close and
//! after SIGKILL, and resident memory, for 1 MB and for 1 GB queued. Plain numbers; `cargo bench --bench backlog`.
//!
//! Each opening is done by a fresh process (this program again), so that its memory is its own.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(clippy::print_stdout, reason = "its results go to stdout")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use flumen::{Bytes, Channel, ChannelOptions, Durability, FileChannel};

use support::{BODY, put, resident};

const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("fill") => fill(Path::new(&arguments[2]), arguments[3].parse().expect("a number")),
        Some("open") => open(Path::new(&arguments[2])),
        _ => report(),
    }
}

/// Fills a channel, then dies without a close, or closes it when the size is negative.
fn fill(directory: &Path, megabytes: i64) {
    let options = ChannelOptions::new().durability(Durability::Os);
    let channel = FileChannel::open(directory, options).expect("opens");
    let body = Bytes::from(vec![7; BODY]);
    let events = megabytes.unsigned_abs() as usize * (1 << 20) / (BODY + 8);
    for batch in 0..events.div_ceil(1000) {
        put(&channel, &body, 1000.min(events - batch * 1000));
    }
    channel.sync().expect("works");
    if megabytes < 0 {
        channel.close().expect("works");
        return;
    }
    let pid = std::process::id().to_string();
    let status = Command::new("kill").args(["-KILL", &pid]).status();
    unreachable!("killed: {status:?}");
}

/// Opens, takes the first event, and prints: microseconds to open, to the first event, resident KiB, bytes
/// replayed, events queued.
fn open(directory: &Path) {
    let before = resident();
    let begin = Instant::now();
    let channel = FileChannel::open(directory, ChannelOptions::new()).expect("opens");
    let opened = begin.elapsed();
    let mut take = channel.begin_take();
    take.take().expect("readable").expect("there is one");
    let first = begin.elapsed();
    drop(take);
    let resident = resident() - before;
    let (events, replayed) = (channel.stats().events, channel.recovery().replayed_bytes);
    println!("{} {} {resident} {replayed} {events}", opened.as_micros(), first.as_micros());
    // As it was found: what the next opening meets must be the same again.
    if channel.recovery().clean {
        channel.close().expect("works");
    }
}

fn run(arguments: &[&str]) -> String {
    let program = std::env::current_exe().expect("known");
    let output = Command::new(program).args(arguments).output().expect("starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn report() {
    println!("backlog  stop     opening (us)  first event (us)  resident (KiB)  replayed (bytes)");
    for megabytes in [1_i64, 1024] {
        for clean in [true, false] {
            let mut rows: Vec<Vec<u64>> = (0..ROUNDS).map(|_| measure(megabytes, clean)).collect();
            let median = |column: usize, rows: &mut Vec<Vec<u64>>| {
                rows.sort_by_key(|row| row[column]);
                rows[rows.len() / 2][column]
            };
            let stop = if clean { "close" } else { "SIGKILL" };
            let columns: Vec<u64> = (0..4).map(|column| median(column, &mut rows)).collect();
            println!(
                "{megabytes:4} MiB  {stop:7}  {:12}  {:16}  {:14}  {:16}",
                columns[0], columns[1], columns[2], columns[3]
            );
        }
    }
}

fn measure(megabytes: i64, clean: bool) -> Vec<u64> {
    let directory = support::directory();
    let path = directory.path().join("channel");
    let path = path.to_str().expect("the path is text");
    run(&["fill", path, &(if clean { -megabytes } else { megabytes }).to_string()]);
    let line = run(&["open", path]);
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.len(), 5, "the opening printed {line:?}");
    assert_eq!(
        numbers[4],
        (megabytes as u64) * (1 << 20) / (BODY as u64 + 8),
        "all events are there"
    );
    numbers
}
