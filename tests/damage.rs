//! I6: every bit of a channel's directory flipped, every file cut to every length, grown, exchanged with another or
//! removed. Each time the channel either says that it is damaged, or delivers exactly what it should.
//!
//! In the parts of files that hold nothing (behind the end of the records, waiting files) every 61st bit is tried;
//! `FLUMEN_EXHAUSTIVE=1` tries them all, which takes some minutes.

mod support;

use flumen::storage::sim::SimDisk;
use flumen::{Channel, Event, FileChannel};
use support::history::{drain, open, options};

/// A channel of three segments with puts, acks in and out of order, rolled back takes, headers and cursors.
struct Sample {
    disk: SimDisk,
    expected: Vec<String>,
    /// Where in each file its last byte stands that is not zero.
    used: Vec<(String, u64)>,
}

impl Sample {
    fn new(close: bool) -> Sample {
        let disk = SimDisk::new(11);
        let channel = open(&disk).expect("opens");
        let mut expected = Vec::new();
        for index in 0..12 {
            let mut put = channel.begin_put();
            for part in 0..3 {
                let size = if part == 0 { 9000 } else { 60 };
                let body = format!("{index}.{part}:{}", "x".repeat(size));
                put.put(Event::new(body.as_str()).with_header("part", part.to_string()))
                    .expect("there is room");
                expected.push(body);
            }
            put.set_cursor("source", format!("{index}").as_bytes()).expect("fits");
            put.commit().expect("works");
        }
        take(&channel, 5);
        let held = channel.begin_take();
        let mut first = channel.begin_take();
        first.take().expect("readable");
        take(&channel, 3);
        first.rollback();
        drop(held);
        expected.drain(..5);
        expected.drain(1..4);
        if close {
            channel.close().expect("closes");
        } else {
            channel.maintain().expect("works");
        }
        drop(channel);
        let disk = disk.snapshot();
        let used = disk.file_names().into_iter().map(|name| {
            let bytes = disk.read_file(&name).expect("listed");
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            (name, used as u64)
        });
        Sample { used: used.collect(), disk, expected }
    }

    /// Opens a damaged copy. True when the damage was noticed.
    fn is_noticed(&self, image: &SimDisk, what: &str) -> bool {
        let options = options().create(false);
        let Ok(channel) = FileChannel::open_on(image.storage(), options) else { return true };
        let Ok(found) = drain(&channel) else { return true };
        assert_eq!(found.len(), self.expected.len(), "{what}: silently other events");
        assert!(found == self.expected, "{what}: silently altered events");
        assert_eq!(channel.cursor("source").as_deref(), Some(&b"11"[..]), "{what}: cursor");
        false
    }

    fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>), what: &str) -> bool {
        let image = self.disk.snapshot();
        let mut bytes = image.read_file(name).expect("listed");
        change(&mut bytes);
        image.write_file(name, &bytes);
        self.is_noticed(&image, what)
    }
}

fn take(channel: &FileChannel, count: usize) {
    let mut take = channel.begin_take();
    for _ in 0..count {
        take.take().expect("readable").expect("there is one");
    }
    take.commit().expect("works");
}

fn stride() -> u64 {
    if std::env::var_os("FLUMEN_EXHAUSTIVE").is_some() { 1 } else { 61 }
}

fn is_live(name: &str) -> bool {
    name.ends_with(".seg") || name.starts_with("checkpoint")
}

/// Flips every bit of a file whose index in the list of all bits fits the lane; says how many, and how many of
/// them were noticed.
fn flip_every_bit(sample: &Sample, lane: u64, lanes: u64) -> (u64, u64) {
    let (mut tried, mut noticed) = (0, 0);
    for (name, used) in &sample.used {
        let size = sample.disk.read_file(name).expect("listed").len() as u64;
        let live = if is_live(name) { used * 8 } else { 0 };
        let dead = (live..size * 8).step_by(stride() as usize);
        for bit in (0..live).chain(dead).filter(|bit| bit % lanes == lane) {
            let image = sample.disk.snapshot();
            image.flip_bit(name, bit);
            tried += 1;
            let found = sample.is_noticed(&image, &format!("bit {bit} of {name}"));
            noticed += u64::from(found);
            // The header page is all live. Behind it a flip is harmless in acknowledged events only, and in
            // records that the state in a slot stands for.
            let is_header = name.ends_with(".seg") && bit < live.min(4096 * 8);
            assert!(found || !is_header, "bit {bit} of {name}");
        }
    }
    (tried, noticed)
}

#[test]
fn i6_every_bit_of_a_closed_channel() {
    const LANES: u64 = 2;
    let (tried, noticed) = std::thread::scope(|scope| {
        let flip = |lane| move || flip_every_bit(&Sample::new(true), lane, LANES);
        let threads: Vec<_> = (0..LANES).map(|lane| scope.spawn(flip(lane))).collect();
        let results = threads.into_iter().map(|thread| thread.join().expect("no flip is silent"));
        results.fold((0, 0), |sum, result| (sum.0 + result.0, sum.1 + result.1))
    });
    assert!(tried > 800_000 && noticed > 700_000, "{noticed} of {tried} noticed");
}

#[test]
fn i6_every_length_of_every_file() {
    for close in [true, false] {
        let sample = Sample::new(close);
        for (name, used) in &sample.used {
            let size = sample.disk.read_file(name).expect("listed").len() as u64;
            let dead = (used + 1..size).step_by(stride() as usize);
            for length in (0..=*used).chain(dead) {
                let cut = |bytes: &mut Vec<u8>| bytes.truncate(length as usize);
                let noticed = sample.damage(name, cut, &format!("{name} cut to {length}"));
                let lost = name.ends_with(".seg") && length < *used && length < 4096;
                assert!(noticed || !lost, "{name} cut to {length}");
            }
        }
    }
}

#[test]
fn i6_every_file_grown_or_filled() {
    for close in [true, false] {
        let sample = Sample::new(close);
        for (name, used) in &sample.used {
            for fill in [0, 0xff, 0x5a] {
                let grow = |bytes: &mut Vec<u8>| bytes.resize(bytes.len() + 5000, fill);
                sample.damage(name, grow, &format!("{name} grown by {fill}"));
                let behind = |bytes: &mut Vec<u8>| bytes[*used as usize..].fill(fill);
                sample.damage(name, behind, &format!("{name} filled by {fill} behind its end"));
                let all = |bytes: &mut Vec<u8>| bytes.fill(fill);
                sample.damage(name, all, &format!("{name} filled by {fill}"));
            }
        }
    }
}

#[test]
fn i6_every_file_and_every_pair_removed_or_exchanged() {
    for close in [true, false] {
        let sample = Sample::new(close);
        let names: Vec<&String> = sample.used.iter().map(|(name, _)| name).collect();
        for a in &names {
            for b in &names {
                let image = sample.disk.snapshot();
                image.remove_file(a);
                image.remove_file(b);
                sample.is_noticed(&image, &format!("{a} and {b} removed"));
                let image = sample.disk.snapshot();
                let (x, y) = (image.read_file(a), image.read_file(b));
                image.write_file(a, &y.expect("listed"));
                image.write_file(b, &x.expect("listed"));
                sample.is_noticed(&image, &format!("{a} and {b} exchanged"));
            }
        }
    }
}

#[test]
fn i6_every_file_replaced_by_its_older_self_or_another_channels() {
    let sample = Sample::new(true);
    let other = Sample { disk: other_channel(), expected: Vec::new(), used: Vec::new() };
    for (name, _) in &sample.used {
        if let Some(bytes) = other.disk.read_file(name) {
            let replace = |old: &mut Vec<u8>| *old = bytes;
            let noticed = sample.damage(name, replace, &format!("{name} of another channel"));
            assert!(noticed || !name.ends_with(".seg"), "{name} of another channel");
        }
    }
}

/// Another channel with the same history.
fn other_channel() -> SimDisk {
    let disk = SimDisk::new(12);
    let channel = open(&disk).expect("opens");
    for _ in 0..12 {
        let mut put = channel.begin_put();
        put.put(Event::new("x".repeat(9000))).expect("there is room");
        put.commit().expect("works");
    }
    channel.close().expect("closes");
    drop(channel);
    disk.snapshot()
}
