//! Bare loops without queue or recovery that do the least of what a channel does: how much of what it misses
//! is the disk's and the machine's own. No proof: a cleverer loop may do better. Beside S2, S3, S5 and S10 stands
//! the channel itself. Plain numbers; every loop has its turn in every round. Rates are medians of the rounds,
//! percentiles are of all rounds together. "Direct" is past the system's cache, and left out where that
//! cannot be.
//!
//! `cargo bench --bench limits`; `FLUMEN_BENCH_DIR` says where.
#![allow(clippy::disallowed_methods, reason = "a bench works on files and with the clock")]
#![allow(clippy::disallowed_types, reason = "the bare loops have locks of their own")]
#![allow(clippy::print_stdout, reason = "its results go to stdout")]

mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flumen::{
    AckDurability, Bytes, Channel, ChannelOptions, Durability, Event, FileChannel, tools,
};
use support::direct::Direct;
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
    new_files();
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
fn rate(act: impl FnMut()) -> f64 {
    rate_between(act, || ())
}

/// The same where something is done between, which takes no part.
fn rate_between(mut act: impl FnMut(), mut between: impl FnMut()) -> f64 {
    let (begin, mut count, mut taken) = (Instant::now(), 0, Duration::ZERO);
    while begin.elapsed() < TIME {
        let before = Instant::now();
        act();
        taken += before.elapsed();
        count += 1;
        between();
    }
    f64::from(count) / taken.as_secs_f64()
}

/// The rate of a loop that writes past the cache; not a number where that cannot be.
fn direct_rate(direct: &Option<Direct>, act: impl Fn(&Direct)) -> f64 {
    direct.as_ref().map_or(f64::NAN, |direct| rate(|| act(direct)))
}

/// S2: what raw leaves out, since its bytes are there already: each event is copied into the record, and the
/// record is checksummed. Then what a log adds whose events come as a list, and which says where its next
/// segment is ([`Segmented`]); and the channel, from which the events are taken between its commits. The
/// first two past the cache as well, where the record is made in the memory that is written.
fn one_producer() {
    println!("                           share of raw                            direct");
    println!(
        "one producer: raw, commits/s   copy, checksum   list, segments   channel   plain   copy, checksum"
    );
    for events in [1, 100, 1000, 10_000] {
        let size = record(events);
        let (mut raw, mut other, mut log) = (Raw::new(), Raw::new(), Segmented::new());
        let (direct, other_direct) = (Direct::new(size), Direct::new(size));
        let (bytes, mut buffer) = (vec![9; size], vec![0; size]);
        let (body, shared) = (vec![7; BODY], Bytes::from(vec![7; BODY]));
        let bodies = || std::iter::repeat(&body[..]);
        let directory = support::directory();
        let channel = support::channel(&directory, support::options());
        let [plain, shares @ ..] = rounds([
            &mut || rate(|| raw.commit(&bytes)),
            &mut || {
                rate(|| {
                    encode(&mut buffer, bodies());
                    other.commit(&buffer);
                })
            },
            &mut || rate(|| log.commit(events, &shared)),
            &mut || {
                rate_between(
                    || support::put(&channel, &shared, events),
                    || {
                        support::take(&channel, events);
                    },
                )
            },
            &mut || direct_rate(&direct, |direct| direct.commit(size, |_| ())),
            &mut || {
                direct_rate(&other_direct, |direct| {
                    direct.commit(size, |record| encode(record, bodies()));
                })
            },
        ]);
        let [encoded, segmented, channel, direct, direct_encoded] =
            shares.map(|rate| match rate.is_nan() {
                true => "-".to_string(),
                false => format!("{:.2}", rate / plain),
            });
        println!(
            "{events:6} events {plain:16.0} {encoded:>16} {segmented:>16} {channel:>9} {direct:>7} {direct_encoded:>16}"
        );
    }
}

fn encode<'a>(record: &mut [u8], bodies: impl Iterator<Item = &'a [u8]>) {
    let (head, events) = record.split_at_mut(RECORD_OVERHEAD);
    head.fill(0);
    for (event, body) in events.chunks_exact_mut(BODY + 8).zip(bodies) {
        event[..8].copy_from_slice(&(BODY as u64).to_le_bytes());
        event[8..].copy_from_slice(body);
    }
    let sum = crc32fast::hash(record);
    record[..4].copy_from_slice(&sum.to_le_bytes());
}

/// A log whose events come as a list, and whose segments follow one another in the way of `src/log/begin.rs`:
/// the next one's name, its state, its header and both slots are synced before a record in it counts.
struct Segmented {
    log: Raw,
    /// What is small, in the places of those five.
    heads: Raw,
    record: Vec<u8>,
    written: usize,
}

impl Segmented {
    const SEGMENT: usize = 32 << 20;

    fn new() -> Segmented {
        Segmented { log: Raw::new(), heads: Raw::new(), record: Vec::new(), written: 0 }
    }

    fn commit(&mut self, events: usize, body: &Bytes) {
        let list: Vec<Event> = (0..events).map(|_| Event::new(body.clone())).collect();
        self.record.resize(record(events), 0);
        encode(&mut self.record, list.iter().map(|event| &event.body[..]));
        self.written += self.record.len();
        if self.written > Segmented::SEGMENT {
            (0..5).for_each(|_| self.heads.commit(&[1; 4096]));
            self.written = self.record.len();
        }
        self.log.commit(&self.record);
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
/// Its threads have nothing to do, or, "encoded", make and leave a record each. The channel is held against its
/// own single producer.
fn groups() {
    println!(
        "\nproducers          commits/s   times one producer   p99 in raw syncs   p99 of one in raw syncs"
    );
    let place = support::directory();
    let (channel, body) =
        (support::channel(&place, support::options()), Bytes::from(vec![7; BODY]));
    let put = || support::put(&channel, &body, 1);
    for producers in [8, 64] {
        let [mut raw, mut other, mut alone, mut together] = [(); 4].map(|()| Raw::new());
        let (size, bytes) = (record(1), vec![9; producers * record(1)]);
        let gathered = Mutex::new(Vec::new());
        let all_gathered = || std::mem::take(&mut *gathered.lock().expect("no panic"));
        let [direct, other_direct] = [(); 2].map(|()| Direct::new(bytes.len()));
        let times = [(); 8].map(|()| Mutex::new(Vec::new()));
        let timed = |times: &Mutex<Vec<Duration>>, commit: &mut dyn FnMut()| {
            let begin = Instant::now();
            commit();
            times.lock().expect("no panic").push(begin.elapsed());
        };
        let rates = rounds([
            &mut || rate(|| timed(&times[0], &mut || raw.commit(&bytes[..size]))),
            &mut || full_groups(producers, &|| (), &mut || other.commit(&bytes), &times[1]),
            &mut || {
                rate(|| {
                    timed(&times[2], &mut || {
                        gather(&gathered, &body);
                        alone.commit(&all_gathered());
                    });
                })
            },
            &mut || {
                let commit = &mut || together.commit(&all_gathered());
                full_groups(producers, &|| gather(&gathered, &body), commit, &times[3])
            },
            &mut || rate(|| timed(&times[4], &mut || put())),
            &mut || {
                let rate = at_once(producers, &put, &times[5]);
                while support::take(&channel, 1000) > 0 {}
                rate
            },
            &mut || {
                direct_rate(&direct, |direct| {
                    timed(&times[6], &mut || direct.commit(size, |_| ()));
                })
            },
            &mut || {
                other_direct.as_ref().map_or(f64::NAN, |direct| {
                    let commit = &mut || direct.commit(bytes.len(), |_| ());
                    full_groups(producers, &|| (), commit, &times[7])
                })
            },
        ]);
        let mut times = times.map(|times| times.into_inner().expect("no panic"));
        let sync = percentile(&mut times[0], 50).as_secs_f64();
        for (number, name) in [(0, ""), (2, "encoded"), (4, "channel"), (6, "direct")] {
            let (one, all) = (rates[number], rates[number + 1]);
            if all.is_nan() {
                continue;
            }
            let [one_p99, p99] = [number, number + 1]
                .map(|number| percentile(&mut times[number], 99).as_secs_f64() / sync);
            println!(
                "{producers:9} {name:7} {all:10.0} {:20.1} {p99:18.1} {one_p99:25.1}",
                all / one
            );
        }
    }
}

/// Commits a second of so many threads that commit at once.
fn at_once(threads: usize, commit: &(dyn Fn() + Sync), times: &Mutex<Vec<Duration>>) -> f64 {
    let begin = Instant::now();
    let produce = || {
        let mut own = Vec::new();
        while begin.elapsed() < TIME {
            let begin = Instant::now();
            commit();
            own.push(begin.elapsed());
        }
        let commits = own.len();
        times.lock().expect("no panic").extend(own);
        commits
    };
    let commits: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(produce)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    commits as f64 / begin.elapsed().as_secs_f64()
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// What a thread must do that has an event to commit: make it, encode and checksum it, and leave it.
fn gather(gathered: &Mutex<Vec<u8>>, body: &Bytes) {
    let event = Event::new(body.clone());
    let mut own = vec![0; record(1)];
    encode(&mut own, std::iter::once(&event.body[..]));
    gathered.lock().expect("no panic").extend_from_slice(&own);
}

/// Commits a second of so many threads that go in step: each does `prepare`; this one waits for all, writes and
/// syncs for them by `commit`, and wakes each.
fn full_groups(
    producers: usize,
    prepare: &(dyn Fn() + Sync),
    commit: &mut dyn FnMut(),
    times: &Mutex<Vec<Duration>>,
) -> f64 {
    let (turn, arrived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (leader, begin) = (std::thread::current(), Instant::now());
    let (mut groups, mut ends) = (0, false);
    std::thread::scope(|scope| {
        let produce = || {
            let mut own = Vec::new();
            for group in 1.. {
                let begin = Instant::now();
                prepare();
                if arrived.fetch_add(1, Ordering::AcqRel) + 1 == producers * group {
                    leader.unpark();
                }
                while turn.load(Ordering::Acquire) < group {
                    std::thread::park();
                }
                own.push(begin.elapsed());
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
            commit();
            groups += 1;
            ends = begin.elapsed() >= TIME;
            turn.store(if ends { usize::MAX } else { groups }, Ordering::Release);
            threads.iter().for_each(|thread| thread.thread().unpark());
        }
    });
    (producers * groups) as f64 / begin.elapsed().as_secs_f64()
}

/// S5: a batch of 100 is written and synced, and an ack of it by another thread, while the next is put. All
/// are acknowledged when the clock stops. Past the cache they follow one another, as in a log: an ack's block
/// is written again with the next batch.
fn acks() {
    let directory = support::directory();
    let open = |name: &str| {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        options.open(directory.path().join(name)).expect("writable")
    };
    let files = [open("one"), open("one"), open("other")];
    for file in &files[1..] {
        support::fill(file, 2 << 20);
    }
    let [one, again, other] = &files;
    let direct = Direct::new(record(100));
    let append = |direct: &Direct, size| direct.commit(size, |record| record.fill(9));
    let (mut turn, acked) = (0, AtomicU64::new(0));
    let (places, body) = ([(); 2].map(|()| support::directory()), Bytes::from(vec![7; BODY]));
    let lazy = support::channel(&places[0], support::options());
    let durable =
        support::channel(&places[1], support::options().ack_durability(AckDurability::Sync));
    let [alone, next, same, apart, direct_alone, direct_both, channel, with_lazy, with_durable] =
        rounds([
            &mut || {
                rate(|| {
                    turn += 1;
                    put_batch(one, turn);
                })
            },
            &mut || {
                put_and_ack(
                    &|turn| {
                        let ack = acked.load(Ordering::Acquire).to_le_bytes();
                        let mut bytes = vec![9; record(100)];
                        bytes.extend_from_slice(&ack.repeat(72 / ack.len()));
                        commit(one, &bytes, turn % 16 * (64 << 10));
                    },
                    &|turn| acked.store(turn, Ordering::Release),
                )
            },
            &mut || put_and_ack(&|turn| put_batch(one, turn), &|turn| put_ack(again, turn)),
            &mut || put_and_ack(&|turn| put_batch(one, turn), &|turn| put_ack(other, turn)),
            &mut || direct_rate(&direct, |direct| append(direct, record(100))),
            &mut || {
                direct.as_ref().map_or(f64::NAN, |direct| {
                    let again = direct.again();
                    put_and_ack(&|_| append(direct, record(100)), &|_| append(&again, 72))
                })
            },
            &mut || {
                let takes = || {
                    support::take(&lazy, 100);
                };
                rate_between(|| support::put(&lazy, &body, 100), takes)
            },
            &mut || put_and_take(&lazy, &body),
            &mut || put_and_take(&durable, &body),
        ]);
    println!("\nbatches of 100      commits/s alone   share left with acks beside");
    println!("lazy, in the next   {alone:15.0} {:37.2}", next / alone);
    println!("in the same file    {alone:15.0} {:37.2}", same / alone);
    println!("in another file     {alone:15.0} {:37.2}", apart / alone);
    println!("channel, lazy       {channel:15.0} {:37.2}", with_lazy / channel);
    println!("channel, durable    {channel:15.0} {:37.2}", with_durable / channel);
    if direct.is_some() {
        println!("direct, in one log  {direct_alone:15.0} {:37.2}", direct_both / direct_alone);
    }
}

/// Batches of 100 a second that one thread puts and another takes.
fn put_and_take(channel: &FileChannel, body: &Bytes) -> f64 {
    const BATCHES: u64 = 2000;
    BATCHES as f64 / support::pipeline(channel, body, 100, BATCHES).as_secs_f64()
}

/// Batches a second, each acknowledged by another thread.
fn put_and_ack(put: &dyn Fn(u64), ack: &(dyn Fn(u64) + Sync)) -> f64 {
    let (sender, receiver) = sync_channel(100);
    std::thread::scope(|scope| {
        let acking = scope.spawn(move || receiver.into_iter().for_each(ack));
        let (begin, mut turn) = (Instant::now(), 0);
        while begin.elapsed() < TIME {
            put(turn);
            sender.send(turn).expect("it listens");
            turn += 1;
        }
        drop(sender);
        acking.join().expect("no panic");
        turn as f64 / begin.elapsed().as_secs_f64()
    })
}

fn put_ack(file: &File, turn: u64) {
    commit(file, &[9; 72], (1 << 20) + turn % 1000 * 72);
}

fn put_batch(file: &File, turn: u64) {
    commit(file, &vec![9; record(100)], turn % 16 * (64 << 10));
}

fn commit(file: &File, bytes: &[u8], offset: u64) {
    file.write_all_at(bytes, offset).expect("works");
    file.sync_data().expect("works");
}

/// S10: what salvage writes goes to files that were allocated and never written. A thread syncs them beside, 4
/// MiB at a time. A log waits for that at the end of each file, before it begins the next.
fn new_files() {
    let directory = support::directory();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    let body = Bytes::from(vec![7; BODY]);
    let options = support::options().durability(Durability::Os);
    let stock = FileChannel::open(&from, options).expect("opens");
    let commits = FILES * FILE / record(1000);
    (0..commits).for_each(|_| support::put(&stock, &body, 1000));
    stock.close().expect("works");
    drop(stock);
    let gigabytes = |bytes: usize, write: &dyn Fn()| {
        let begin = Instant::now();
        write();
        let seconds = begin.elapsed().as_secs_f64();
        std::fs::remove_dir_all(&to).expect("it was made");
        bytes as f64 / seconds / 1e9
    };
    let [beside, waited, salvage] = rounds([
        &mut || gigabytes(FILES * FILE, &|| write_files(&to, false)),
        &mut || gigabytes(FILES * FILE, &|| write_files(&to, true)),
        &mut || {
            gigabytes(commits * record(1000), &|| {
                let saved = tools::salvage(&from, &to, ChannelOptions::new(), &mut |_, _| ());
                assert!(saved.expect("works").is_complete());
            })
        },
    ]);
    println!("\nto new files                              GB/s");
    println!("synced beside                         {beside:8.2}");
    println!("the same, waited for in each file     {waited:8.2}");
    println!("salvage, read and checked before      {salvage:8.2}");
}

/// As large as salvage makes them for so much.
const FILE: usize = 64 << 20;
const FILES: usize = 8;

fn write_files(directory: &Path, waits: bool) {
    std::fs::create_dir(directory).expect("writable");
    let block = vec![9; record(1000)];
    let (sender, receiver) = channel::<Arc<File>>();
    let (tell_done, done) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for file in receiver {
                file.sync_data().expect("works");
                // Who writes may be at its end.
                let _ = tell_done.send(());
            }
        });
        for number in 0..FILES {
            let file = File::create_new(directory.join(number.to_string())).expect("writable");
            fs2::FileExt::allocate(&file, FILE as u64).expect("there is room");
            let file = Arc::new(file);
            let (mut part, mut parts) = (0, 0);
            for place in (0..FILE).step_by(block.len()) {
                let bytes = &block[..block.len().min(FILE - place)];
                file.write_all_at(bytes, place as u64).expect("works");
                part += bytes.len();
                if part >= 4 << 20 || place + bytes.len() == FILE {
                    sender.send(Arc::clone(&file)).expect("it listens");
                    (part, parts) = (0, parts + 1);
                }
            }
            if waits {
                (0..parts).for_each(|_| done.recv().expect("it goes on"));
            }
        }
        drop(sender);
    });
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
