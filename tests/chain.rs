//! Chains of crashes: a channel is used, crashed, opened, used, crashed again and again, at times with one checkpoint
//! slot or both lost. Each crash falls between two operations, so nothing is ever in doubt: what is found is the model.

mod support;

use flumen::storage::sim::{Crash, Hostile, SimDisk};
use flumen::{Channel, Event, FileChannel};
use support::effort::Effort;
use support::history::{brief, drain, open};

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn put(channel: &FileChannel, dice: &mut Dice, next: &mut u64, queue: &mut Vec<String>) {
    let mut put = channel.begin_put();
    for _ in 0..dice.below(4) {
        let size = if dice.below(3) == 0 { 20_000 } else { 10 };
        let body = format!("{next}:{}", "x".repeat(size));
        *next += 1;
        put.put(Event::new(body.as_str())).expect("there is room");
        queue.push(body);
    }
    put.set_cursor("next", next.to_string().as_bytes()).expect("fits");
    put.commit().expect("works");
}

fn take(channel: &FileChannel, dice: &mut Dice, queue: &mut Vec<String>) {
    let (mut first, mut rest) = (channel.begin_take(), channel.begin_take());
    let skip = dice.below(2) as usize;
    let mut taken = 0;
    let limit = dice.below(6) as usize;
    while taken < limit {
        let transaction = if taken < skip { &mut first } else { &mut rest };
        let Some(event) = transaction.take().expect("readable") else { break };
        assert_eq!(&*event.body, queue[taken].as_bytes(), "I3");
        taken += 1;
    }
    if dice.below(4) > 0 {
        rest.commit().expect("works");
        queue.drain(skip.min(taken)..taken);
    }
}

fn use_channel(channel: &FileChannel, dice: &mut Dice, next: &mut u64, queue: &mut Vec<String>) {
    for _ in 0..dice.below(6) {
        match dice.below(8) {
            0..=2 => put(channel, dice, next, queue),
            3..=5 => take(channel, dice, queue),
            6 => channel.checkpoint().expect("works"),
            _ => channel.maintain().expect("works"),
        }
    }
    if dice.below(8) == 0 {
        channel.close().expect("closes");
    }
}

fn crash(disk: &SimDisk, dice: &mut Dice) -> SimDisk {
    let seed = dice.below(1 << 40);
    let image = match dice.below(5) {
        0 => disk.crash(&Crash::LoseAll),
        1 => disk.crash(&Crash::KeepAll),
        2 => disk.crash(&Crash::Random(seed)),
        3 => disk.crash(&Crash::Hostile(seed, Hostile::USUAL)),
        _ => disk.snapshot(),
    };
    let slots = ["checkpoint-a", "checkpoint-b"];
    let lost = match dice.below(8) {
        0 => &slots[..1],
        1 => &slots[1..],
        2 => &slots[..],
        _ => &[],
    };
    for name in lost {
        image.write_file(name, b"gone");
    }
    image
}

#[test]
fn i1_to_i5_hold_over_chains_of_crashes() {
    let chains = Effort::get().pick(300, 3_000, 200_000);
    for seed in 1..=chains {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let mut disk = SimDisk::new(seed);
        disk.set_chance(seed % 2 == 0);
        let (mut next, mut queue) = (0, Vec::new());
        for turn in 0..12 {
            let what = format!("chain {seed}, turn {turn}");
            let channel = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            if next > 0 || channel.cursor("next").is_some() {
                let cursor = channel.cursor("next").unwrap_or_default();
                assert_eq!(cursor, next.to_string().into_bytes(), "{what}");
            }
            if dice.below(3) == 0 {
                let found = drain(&channel).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(brief(&found), brief(&queue), "{what}");
            }
            use_channel(&channel, &mut dice, &mut next, &mut queue);
            drop(channel);
            disk = crash(&disk, &mut dice);
        }
        let channel = open(&disk).unwrap_or_else(|error| panic!("chain {seed}: {error}"));
        let found = drain(&channel).unwrap_or_else(|error| panic!("chain {seed}: {error}"));
        assert_eq!(brief(&found), brief(&queue), "chain {seed}");
    }
}
