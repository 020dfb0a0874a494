//! Bare loops without format, queue or recovery that do the least of what a channel does: how much of what
//! it misses is the disk's and the machine's own. No proof: a cleverer loop may do better. Plain numbers;
//! every loop has its turn in every round. Rates are medians of the rounds, percentiles are of all rounds
//! together.
//!
//! `cargo bench --bench limits`; `FLUMEN_BENCH_DIR` says where.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(clippy::disallowed_types, reason = "the bare loops have locks of their own")]
#![allow(clippy::print_stdout, reason = "its results go to stdout")]

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use support::{BODY, RECORD_OVERHEAD, Raw};

const ROUNDS: usize = 9;
const TIME: Duration = Duration::from_millis(400);
/// Bytes of a record with so many events.
const fn record(events: usize) -> usize {
    RECORD_OVERHEAD + events * (BODY + 8)
}

fn main() {
    one_producer();
    waking();
    groups();
    acks();
    #[cfg(all(feature = "cli", target_os = "linux"))]
    cold::reads();
}

/// Rates of so many loops, a round after the other; their medians.
fn rounds<const N: usize>(mut loops: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut rates = [(); N].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        loops.iter_mut().zip(&mut rates).for_each(|(each, rates)| rates.push(each()));
    }
    rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    })
}

/// How often a second `act` is done.
fn rate(mut act: impl FnMut()) -> f64 {
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < TIME {
        act();
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

/// S2: what raw leaves out, since its bytes are there already: each event is copied into the record, and the
/// record is checksummed.
fn one_producer() {
    println!("one producer        commits/s of raw   share left with copy and checksum");
    for events in [1, 100, 1000, 10_000] {
        let (mut raw, mut other) = (Raw::new(), Raw::new());
        let bytes = vec![9; record(events)];
        let (body, mut buffer) = (vec![7; BODY], Vec::with_capacity(record(events)));
        let [plain, encoded] = rounds([
            &mut || {
                rate(|| {
                    raw.write(&bytes);
                    raw.sync();
                })
            },
            &mut || {
                rate(|| {
                    buffer.clear();
                    buffer.resize(RECORD_OVERHEAD, 0);
                    for _ in 0..events {
                        buffer.extend_from_slice(&(BODY as u64).to_le_bytes());
                        buffer.extend_from_slice(&body);
                    }
                    let sum = crc32fast::hash(&buffer);
                    buffer[..4].copy_from_slice(&sum.to_le_bytes());
                    other.write(&buffer);
                    other.sync();
                })
            },
        ]);
        println!("{events:8} events {plain:18.0} {:36.2}", encoded / plain);
    }
}

/// What S3 and S5 pay beside the disk: two threads wake each other in turn, with no work between.
fn waking() {
    let (turn, other) = (AtomicUsize::new(0), std::thread::current());
    let wait_for = |parity: usize| {
        while turn.load(Ordering::Acquire) % 2 != parity {
            std::thread::park();
        }
        turn.load(Ordering::Acquire) < usize::MAX / 2
    };
    let rate = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            while wait_for(1) {
                turn.fetch_add(1, Ordering::AcqRel);
                other.unpark();
            }
        });
        let [rate] = rounds([&mut || {
            rate(|| {
                turn.fetch_add(1, Ordering::AcqRel);
                thread.thread().unpark();
                wait_for(0);
            })
        }]);
        turn.store(usize::MAX, Ordering::Release);
        thread.thread().unpark();
        rate
    });
    println!("\nto wake a thread that sleeps, until it runs: {:.1} us", 1e6 / rate / 2.0);
}

/// S3: a group that always holds everybody, so that no sync is for a part of them. One thread more leads.
fn groups() {
    println!(
        "\nproducers   commits/s   times one producer   p99 in raw syncs   p99 of raw in raw syncs"
    );
    for producers in [8, 64] {
        let (mut raw, mut other) = (Raw::new(), Raw::new());
        let (single, group) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let [one, all] = rounds([
            &mut || {
                rate(|| {
                    let begin = Instant::now();
                    raw.write(&[9; record(1)]);
                    raw.sync();
                    single.lock().expect("no panic").push(begin.elapsed());
                })
            },
            &mut || full_groups(producers, &mut other, &group),
        ]);
        let mut single = single.into_inner().expect("no panic");
        let (sync, raw_p99) = (percentile(&mut single, 50), percentile(&mut single, 99));
        let p99 = percentile(&mut group.into_inner().expect("no panic"), 99);
        let in_syncs = |time: Duration| time.as_secs_f64() / sync.as_secs_f64();
        println!(
            "{producers:9} {all:11.0} {:20.1} {:18.1} {:25.1}",
            all / one,
            in_syncs(p99),
            in_syncs(raw_p99)
        );
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Commits a second of so many threads that go in step: this one waits for all, writes and syncs for them, and
/// wakes each.
fn full_groups(producers: usize, raw: &mut Raw, times: &Mutex<Vec<Duration>>) -> f64 {
    let bytes = vec![9; producers * record(1)];
    let (turn, arrived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (leader, begin) = (std::thread::current(), Instant::now());
    let (mut groups, mut ends) = (0, false);
    std::thread::scope(|scope| {
        let produce = || {
            let mut own = Vec::new();
            for group in 1.. {
                let commit = Instant::now();
                if arrived.fetch_add(1, Ordering::AcqRel) + 1 == producers * group {
                    leader.unpark();
                }
                while turn.load(Ordering::Acquire) < group {
                    std::thread::park();
                }
                own.push(commit.elapsed());
                if turn.load(Ordering::Acquire) == usize::MAX {
                    break;
                }
            }
            times.lock().expect("no panic").extend(own);
        };
        let threads = (0..producers).map(|_| scope.spawn(produce)).collect::<Vec<_>>();
        while !ends {
            while arrived.load(Ordering::Acquire) < producers * (groups + 1) {
                std::thread::park();
            }
            raw.write(&bytes);
            raw.sync();
            groups += 1;
            ends = begin.elapsed() >= TIME;
            turn.store(if ends { usize::MAX } else { groups }, Ordering::Release);
            threads.iter().for_each(|thread| thread.thread().unpark());
        }
    });
    (producers * groups) as f64 / begin.elapsed().as_secs_f64()
}

/// S5: a batch of 100 is written and synced, and an ack of it by another thread, while the next is put. All
/// are acknowledged when the clock stops.
fn acks() {
    let directory = support::directory();
    let open = |name: &str| {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        options.open(directory.path().join(name)).expect("writable")
    };
    let files = [open("one"), open("one"), open("other")];
    for file in &files[1..] {
        file.write_all_at(&vec![1; 2 << 20], 0).expect("there is room");
        file.sync_all().expect("works");
    }
    let [one, again, other] = &files;
    let both = |put: &File, ack: &File| {
        let (sender, receiver) = sync_channel(100);
        std::thread::scope(|scope| {
            let acking = scope.spawn(move || {
                for turn in receiver {
                    commit(ack, 72, (1 << 20) + turn % 1000 * 72);
                }
            });
            let (begin, mut turn) = (Instant::now(), 0);
            while begin.elapsed() < TIME {
                put_batch(put, turn);
                sender.send(turn).expect("it listens");
                turn += 1;
            }
            drop(sender);
            acking.join().expect("no panic");
            turn as f64 / begin.elapsed().as_secs_f64()
        })
    };
    let mut turn = 0;
    let [alone, same, apart] = rounds([
        &mut || {
            rate(|| {
                turn += 1;
                put_batch(one, turn);
            })
        },
        &mut || both(one, again),
        &mut || both(one, other),
    ]);
    println!("\nbatches of 100      commits/s of raw   share left with durable acks beside");
    println!("in the same file    {alone:16.0} {:36.2}", same / alone);
    println!("in another file     {alone:16.0} {:36.2}", apart / alone);
}

fn put_batch(file: &File, turn: u64) {
    commit(file, record(100), turn % 16 * (64 << 10));
}

fn commit(file: &File, size: usize, offset: u64) {
    file.write_all_at(&vec![9; size], offset).expect("works");
    file.sync_data().expect("works");
}

/// S7 from the disk: a thread reads blocks of a MiB, with or without asking for 4 MiB from there on, and another
/// checksums them and copies each event out.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod cold {
    use std::num::NonZero;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    const BLOCK: usize = 1 << 20;
    const BLOCKS: u64 = 512;
    /// In each file.
    const SEGMENT_BLOCKS: u64 = 32;

    pub(super) fn reads() {
        let directory = support::directory();
        let names: Vec<_> = (0..BLOCKS / SEGMENT_BLOCKS).map(|number| number.to_string()).collect();
        for name in &names {
            let file = File::create(directory.path().join(name)).expect("writable");
            file.write_all_at(&vec![9; BLOCK * SEGMENT_BLOCKS as usize], 0).expect("there is room");
            file.sync_all().expect("works");
        }
        let open = |name| File::open(directory.path().join(name)).expect("it is there");
        let gigabytes = |read: fn(&[File])| {
            let files: Vec<File> = names.iter().map(open).collect();
            for file in &files {
                fadvise(file, 0, None, Advice::DontNeed).expect("works");
            }
            let begin = Instant::now();
            read(&files);
            (BLOCKS as usize * BLOCK) as f64 / begin.elapsed().as_secs_f64() / 1e9
        };
        let [plain, beside, asked] = rounds([
            &mut || gigabytes(read),
            &mut || gigabytes(|files| read_and_check(files, false)),
            &mut || gigabytes(|files| read_and_check(files, true)),
        ]);
        println!("\nfrom the disk            GB/s   of a sequential read");
        println!("sequential read        {plain:6.2}");
        println!("checked beside         {beside:6.2} {:22.2}", beside / plain);
        println!("the same, asked ahead  {asked:6.2} {:22.2}", asked / plain);
    }

    fn read(files: &[File]) {
        let mut block = vec![0; BLOCK];
        (0..BLOCKS).for_each(|number| read_block(files, number, &mut block, false));
    }

    fn read_block(files: &[File], number: u64, block: &mut [u8], ask: bool) {
        let file = &files[(number / SEGMENT_BLOCKS) as usize];
        let offset = number % SEGMENT_BLOCKS * BLOCK as u64;
        if ask {
            let length = NonZero::new(4 * BLOCK as u64);
            fadvise(file, offset, length, Advice::WillNeed).expect("works");
        }
        file.read_exact_at(block, offset).expect("it was written");
    }

    fn read_and_check(files: &[File], ask: bool) {
        let (full, blocks) = sync_channel::<Vec<u8>>(1);
        let (empty, free) = sync_channel(3);
        (0..3).for_each(|_| empty.send(vec![0; BLOCK]).expect("there is room"));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..BLOCKS {
                    let mut block = free.recv().expect("the other end outlives this one");
                    read_block(files, number, &mut block, ask);
                    full.send(block).expect("it listens");
                }
            });
            let mut events = Vec::with_capacity(BLOCK);
            for block in blocks {
                std::hint::black_box(crc32fast::hash(&block));
                events.clear();
                block.chunks(BODY + 8).for_each(|event| events.extend_from_slice(&event[8..]));
                std::hint::black_box(&events);
                // Who reads may have ended.
                let _ = empty.send(block);
            }
        });
    }
}
