//! What it buys to write past the system's cache, and what it costs who reads: the two ways in one process, in
//! many short turns, beside the raw limit. Events of 512 bytes, medians of the turns. `cargo bench --bench
//! write_mode`; `FLUMEN_BENCH_DIR` says where, `chrt -r 1` before it keeps other processes out of the numbers.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(clippy::print_stdout, reason = "its results go to stdout")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flumen::{AckDurability, Bytes, Channel, ChannelOptions, FileChannel, WriteMode};
use support::{BODY, RECORD_OVERHEAD, Raw, directory, put, take};

const TURNS: usize = 25;
const TIME: Duration = Duration::from_millis(80);
const MODES: [WriteMode; 2] = [WriteMode::Cached, WriteMode::Direct];

fn main() {
    println!(
        "durable commits a second             raw     cached     direct   cached and direct, of raw"
    );
    for events in [1, 100, 1000, 10_000] {
        one_producer(events);
    }
    println!("\ncommits of one event a second                cached     direct   direct of cached");
    for producers in [4, 8, 64] {
        let [cached, direct] = beside(support::options(), |channel| many(channel, producers));
        show(&format!("{producers} producers"), cached, direct);
    }
    println!("\nevents a second, batches of 100              cached     direct   direct of cached");
    let durable = support::options().ack_durability(AckDurability::Sync);
    for (name, options) in [("lazy", support::options()), ("durable", durable)] {
        for pairs in [1, 4] {
            let [cached, direct] = beside(options.clone(), |channel| flow(channel, pairs));
            show(&format!("{pairs} + {pairs} threads, {name} acks"), cached, direct);
        }
    }
    println!(
        "\nevents a second, a consumer behind by 64 MiB   cached     direct   direct of cached"
    );
    let [cached, direct] = beside(support::options(), behind);
    show("put durably and taken, 100 each", cached, direct);
}

fn show(what: &str, cached: f64, direct: f64) {
    println!("{what:40} {cached:10.0} {direct:10.0} {:18.2}", direct / cached);
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// What `rate` gives for a channel of each mode, turn after turn.
fn beside(options: ChannelOptions, rate: impl Fn(&FileChannel) -> f64) -> [f64; 2] {
    let places = MODES.map(|_| directory());
    let open =
        |index: usize| support::channel(&places[index], options.clone().write_mode(MODES[index]));
    let channels = [open(0), open(1)];
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        channels.iter().zip(&mut rates).for_each(|(channel, rates)| rates.push(rate(channel)));
    }
    rates.map(median)
}

/// How often a second `act` is done, by the time that it says it took.
fn rate(mut act: impl FnMut() -> Duration) -> f64 {
    let (begin, mut count, mut time) = (Instant::now(), 0, Duration::ZERO);
    while begin.elapsed() < TIME {
        time += act();
        count += 1;
    }
    f64::from(count) / time.as_secs_f64()
}

fn timed(act: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    act();
    begin.elapsed()
}

fn one_producer(events: usize) {
    let body = Bytes::from(vec![7; BODY]);
    let bytes = vec![9; RECORD_OVERHEAD + events * (BODY + 8)];
    let raw = std::cell::RefCell::new((Raw::new(), Vec::new()));
    let [cached, direct] = beside(support::options(), |channel| {
        let (limit, rates) = &mut *raw.borrow_mut();
        rates.push(rate(|| timed(|| limit.commit(&bytes))));
        rate(|| {
            let time = timed(|| put(channel, &body, events));
            take(channel, events);
            time
        })
    });
    let raw = median(raw.into_inner().1);
    println!(
        "{events:8} events {:25.0} {cached:10.0} {direct:10.0} {:8.2} {:5.2}",
        raw,
        cached / raw,
        direct / raw
    );
}

fn many(channel: &FileChannel, producers: usize) -> f64 {
    let body = Bytes::from(vec![7; BODY]);
    let (begin, commits) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| {
                while begin.elapsed() < TIME {
                    put(channel, &body, 1);
                    commits.fetch_add(1, Relaxed);
                }
            });
        }
    });
    let rate = commits.load(Relaxed) as f64 / begin.elapsed().as_secs_f64();
    while take(channel, 1000) > 0 {}
    rate
}

fn flow(channel: &FileChannel, pairs: usize) -> f64 {
    let body = Bytes::from(vec![7; BODY]);
    let (begin, taken, over) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..pairs {
            scope.spawn(|| {
                while begin.elapsed() < TIME {
                    put(channel, &body, 100);
                }
                over.store(true, Relaxed);
            });
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    if channel.wait(Duration::from_millis(5)) {
                        taken.fetch_add(take(channel, 100) as u64, Relaxed);
                    }
                }
            });
        }
    });
    let rate = taken.load(Relaxed) as f64 / begin.elapsed().as_secs_f64();
    while take(channel, 1000) > 0 {}
    rate
}

/// One thread puts and takes in turn, from a backlog that does not fit into the memory tail and stays as long.
fn behind(channel: &FileChannel) -> f64 {
    let body = Bytes::from(vec![7; BODY]);
    let backlog = (64 << 20) / BODY as u64;
    while channel.stats().events < backlog {
        put(channel, &body, 1000);
    }
    100.0
        * rate(|| {
            timed(|| {
                put(channel, &body, 100);
                take(channel, 100);
            })
        })
}
