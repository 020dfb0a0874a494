//! A reader in another language, written from `docs/FORMAT.md` alone, finds in a channel's directory what the
//! channel delivers: `tests/format/reader.py`, run with python3.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the program reads plain files; a skipped test must be heard"
)]

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use flumen::storage::sim::{Crash, SimDisk};
use flumen::{Channel, ChannelOptions, Event, FileChannel, OpenError, TakeError};

fn options() -> ChannelOptions {
    ChannelOptions::new().background(false).segment_size(64 << 10)
}

fn open(disk: &SimDisk) -> FileChannel {
    FileChannel::open_on(disk.storage(), options()).expect("an intact channel")
}

/// A small generator of numbers: the same ones in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Puts `commits` transactions of up to four events, most with a header, some with a cursor.
fn put(channel: &FileChannel, numbers: &mut Numbers, commits: usize) {
    for _ in 0..commits {
        let mut put = channel.begin_put();
        for index in 0..numbers.below(4) {
            let body = vec![numbers.below(256) as u8; numbers.below(3000) as usize];
            let mut event = Event::new(body);
            for header in 0..index {
                event = event.with_header(format!("key {header}"), format!("wert ü {index}"));
            }
            put.put(event).expect("there is room");
        }
        if numbers.below(3) == 0 {
            let name = format!("cursor {}", numbers.below(5));
            match numbers.below(4) {
                0 => put.clear_cursor(&name),
                _ => put.set_cursor(&name, &vec![7; numbers.below(40) as usize]),
            }
            .expect("a valid cursor");
        }
        put.commit().expect("the disk works");
    }
}

/// Several take transactions side by side, ended in another order than begun, every third rolled back.
fn take(channel: &FileChannel, numbers: &mut Numbers, rounds: usize) {
    for _ in 0..rounds {
        let mut open: Vec<_> = (0..6).map(|_| channel.begin_take()).collect();
        for _ in 0..18 {
            let which = numbers.below(open.len() as u64) as usize;
            open[which].take().expect("the disk works");
        }
        while !open.is_empty() {
            let mut take = open.swap_remove(numbers.below(open.len() as u64) as usize);
            if open.len().is_multiple_of(3) {
                take.rollback();
                continue;
            }
            take.set_cursor("sink", &(take.len() as u64).to_le_bytes()).expect("a valid cursor");
            take.commit().expect("the disk works");
        }
    }
}

/// What the program is to print of a channel: what the channel itself says and delivers.
fn expected(disk: &SimDisk, verdict: Option<&str>) -> String {
    let channel = match FileChannel::open_on(disk.storage(), options().create(false)) {
        Ok(channel) => channel,
        Err(OpenError::Corrupt(_)) => return "verdict damage\n".to_string(),
        Err(OpenError::Unsupported { .. }) => return "verdict unsupported\n".to_string(),
        Err(other) => panic!("opening: {other}"),
    };
    let mut text = match (verdict, channel.recovery().clean) {
        (Some(verdict), clean) => {
            assert_eq!(clean, verdict == "clean");
            format!("verdict {verdict}\n")
        }
        (None, true) => "verdict clean\n".to_string(),
        (None, false) => "verdict unclean\n".to_string(),
    };
    let stats = channel.stats();
    writeln!(text, "next {}", stats.next_sequence).expect("a string takes all");
    for (name, value) in channel.cursors("") {
        writeln!(text, "cursor {} {}", hex(name.as_bytes()), hex(&value))
            .expect("a string takes all");
    }
    let mut take = channel.begin_take();
    let mut events = 0;
    loop {
        match take.take() {
            Ok(Some(event)) => {
                write!(text, "event {}", hex(&event.body)).expect("a string takes all");
                for (key, value) in &event.headers {
                    write!(text, " {}={}", hex(key.as_bytes()), hex(value.as_bytes()))
                        .expect("a string takes all");
                }
                text.push('\n');
                events += 1;
            }
            Ok(None) => break,
            Err(TakeError::Corrupt(_)) => return "verdict damage\n".to_string(),
            Err(other) => panic!("taking: {other}"),
        }
    }
    assert_eq!(events, stats.events);
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// Runs the program on each disk; `None`, said loudly, when there is no python3.
fn read(disks: &[SimDisk]) -> Option<Vec<String>> {
    let root = tempfile::tempdir().expect("a directory for tests");
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/reader.py"));
    for (index, disk) in disks.iter().enumerate() {
        let directory = root.path().join(index.to_string());
        fs::create_dir(&directory).expect("room for tests");
        for name in disk.file_names() {
            let bytes = disk.read_file(&name).expect("just listed");
            fs::write(directory.join(&name), bytes).expect("room for tests");
        }
        command.arg(directory);
    }
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "SKIPPED: there is no python3, so docs/FORMAT.md was NOT held against the code"
            );
            return None;
        }
        output => output.expect("python3 runs"),
    };
    let text = String::from_utf8(output.stdout).expect("plain text");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.is_empty(), "the reader failed: {error}");
    let blocks: Vec<&str> = text.split("directory ").skip(1).collect();
    assert_eq!(blocks.len(), disks.len());
    let body = |block: &&str| block.split_once('\n').expect("a first line").1.to_string();
    Some(blocks.iter().map(body).collect())
}

/// Without the sequences, which the channel does not tell; they must ascend.
fn without_sequences(text: &str) -> String {
    let mut last = None;
    let mut out = String::new();
    for line in text.lines() {
        match line.strip_prefix("event ") {
            Some(rest) => {
                let (sequence, rest) = rest.split_once(' ').expect("a sequence and a body");
                let sequence: u64 = sequence.parse().expect("a sequence");
                assert!(last < Some(sequence));
                last = Some(sequence);
                writeln!(out, "event {rest}")
            }
            None => writeln!(out, "{line}"),
        }
        .expect("a string takes all");
    }
    out
}

fn agree(disk: &SimDisk, verdict: &str) {
    let Some(found) = read(std::slice::from_ref(disk)) else { return };
    assert_eq!(without_sequences(&found[0]), expected(&disk.snapshot(), Some(verdict)));
}

#[test]
fn a_new_and_a_closed_channel() {
    let disk = SimDisk::new(1);
    let channel = open(&disk);
    agree(&disk, "blank");
    channel.close().expect("the disk works");
    drop(channel);
    agree(&disk, "clean");
}

#[test]
fn many_segments_acks_out_of_order_cursors_and_rollbacks() {
    let disk = SimDisk::new(2);
    let mut numbers = Numbers(2);
    let channel = open(&disk);
    put(&channel, &mut numbers, 300);
    take(&channel, &mut numbers, 12);
    channel.checkpoint().expect("the disk works");
    put(&channel, &mut numbers, 40);
    take(&channel, &mut numbers, 2);
    assert!(channel.stats().segments > 5);
    drop(channel);
    agree(&disk, "torn");
    let channel = open(&disk);
    take(&channel, &mut numbers, 3);
    channel.close().expect("the disk works");
    drop(channel);
    agree(&disk, "clean");
    let channel = open(&disk);
    put(&channel, &mut numbers, 5);
    drop(channel);
    agree(&disk, "blank");
}

#[test]
fn recycled_segments_end_in_an_older_ones_remains() {
    let disk = SimDisk::new(3);
    let mut numbers = Numbers(3);
    let channel = open(&disk);
    for _ in 0..30 {
        put(&channel, &mut numbers, 15);
        take(&channel, &mut numbers, 3);
        channel.checkpoint().expect("the disk works");
    }
    drop(channel);
    agree(&disk, "torn");
}

#[test]
fn a_channel_without_slots_explains_itself() {
    let disk = SimDisk::new(4);
    let mut numbers = Numbers(4);
    let channel = open(&disk);
    put(&channel, &mut numbers, 200);
    take(&channel, &mut numbers, 7);
    channel.close().expect("the disk works");
    drop(channel);
    disk.remove_file("checkpoint-a");
    disk.flip_bit("checkpoint-b", 300);
    agree(&disk, "blank");
}

#[test]
fn records_moved_after_an_unclean_stop() {
    let disk = SimDisk::new(7);
    let mut numbers = Numbers(7);
    let channel = open(&disk);
    put(&channel, &mut numbers, 9);
    take(&channel, &mut numbers, 1);
    put(&channel, &mut numbers, 1);
    drop(channel);
    drop(open(&disk));
    agree(&disk, "blank");
    let moved = disk.file_names().iter().any(|name| {
        // The record behind the state that begins a segment: its kind.
        let bytes = disk.read_file(name).expect("just listed");
        let size =
            bytes.get(4108..4112).map_or(0, |size| u32::from(size[0]) + u32::from(size[1]) * 256);
        name.ends_with(".seg")
            && bytes.get((4136 + size as usize).next_multiple_of(8) + 4) == Some(&6)
    });
    assert!(moved, "the last put was not witnessed, so it was moved");
    disk.remove_file("checkpoint-a");
    disk.remove_file("checkpoint-b");
    agree(&disk, "blank");
}

/// Runs a history up to each of many crashes, and compares what is left of it.
#[test]
fn after_any_crash_both_find_the_same() {
    let disk = SimDisk::new(5);
    disk.record();
    let mut numbers = Numbers(5);
    let channel = open(&disk);
    put(&channel, &mut numbers, 60);
    take(&channel, &mut numbers, 4);
    put(&channel, &mut numbers, 20);
    channel.close().expect("the disk works");
    drop(channel);
    let recording = disk.take_recording();
    // The first calls lock the directory and look at it: there is no channel yet.
    let channels = |disk: &SimDisk| {
        FileChannel::open_on(disk.snapshot().storage(), options().create(false)).is_ok()
    };
    let crashed: Vec<SimDisk> = recording
        .iter()
        .enumerate()
        .map(|(index, disk)| disk.crash(&Crash::Random(index as u64)))
        .filter(channels)
        .collect();
    assert!(crashed.len() > 200, "{} crashes", crashed.len());
    compare(&crashed, None);
}

#[test]
fn both_refuse_the_same_damage() {
    let disk = SimDisk::new(6);
    let channel = open(&disk);
    let mut numbers = Numbers(6);
    put(&channel, &mut numbers, 8);
    take(&channel, &mut numbers, 1);
    put(&channel, &mut numbers, 1);
    drop(channel);
    let names = ["00000000000000000001.seg", "checkpoint-a", "checkpoint-b"];
    let mut damaged = Vec::new();
    for name in names {
        let bytes = disk.read_file(name).expect("part of a channel");
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 64);
        let mut bit = 0;
        while bit < used * 8 {
            let copy = disk.snapshot();
            copy.flip_bit(name, bit);
            damaged.push(copy);
            bit += if bit < 200 * 8 { 37 } else { 733 };
        }
    }
    compare(&damaged, Some(&expected(&disk.snapshot(), None)));
}

/// Compares on each disk. Damage in records that the channel has no need to read, their events being
/// acknowledged, is seen by the program only; then the channel must deliver what is `intact`.
fn compare(disks: &[SimDisk], intact: Option<&str>) {
    let mut kinds = std::collections::BTreeSet::new();
    for chunk in disks.chunks(64) {
        let Some(found) = read(chunk) else { return };
        for (disk, found) in chunk.iter().zip(found) {
            let verdict = found.lines().next().unwrap_or_default();
            let found = match verdict.split([' ', ':']).nth(1) {
                Some("damage") => "verdict damage\n".to_string(),
                Some("unsupported") => "verdict unsupported\n".to_string(),
                Some("blank" | "torn" | "unborn") => {
                    let rest = found.split_once('\n').map_or("", |(_, rest)| rest);
                    without_sequences(&format!("verdict unclean\n{rest}"))
                }
                _ => without_sequences(&found),
            };
            kinds.insert(found.lines().next().map(str::to_string));
            let expected = expected(&disk.snapshot(), None);
            let is_harmless = found == "verdict damage\n" && Some(expected.as_str()) == intact;
            assert!(found == expected || is_harmless, "found {found}, expected {expected}");
        }
    }
    assert!(kinds.len() > 1, "all alike: {kinds:?}");
}
