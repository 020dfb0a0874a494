//! Chains of deaths of the process followed by a loss of power: what a slot says may stand in the page cache
//! only, also after an opening read it back. Found by the model (`tests/protocol.rs`): an opening that
//! believed the newest slot and overwrote the other one destroyed the only slot that was durable; with the
//! power gone in that write, what was left was so old that the channel was called damaged. I6: a mere crash
//! is never damage. I1: nothing is lost.

mod support;

use flumen::FileChannel;
use flumen::storage::sim::{Crash, Fate, PendingEffect, SimDisk};
use support::history::{drain, open, options};

/// A channel that has just begun a second segment, at each moment from there on; and what is queued.
fn moments_of_a_roll() -> (Vec<SimDisk>, usize) {
    use flumen::{Channel, Event};
    let disk = SimDisk::new(1);
    let channel = open(&disk).expect("opens");
    let segments =
        |disk: &SimDisk| disk.file_names().iter().filter(|name| name.ends_with(".seg")).count();
    let mut events = 0;
    while segments(&disk) < 2 {
        disk.take_recording();
        disk.record();
        let mut put = channel.begin_put();
        put.put(Event::new(vec![7; 20_000])).expect("there is room");
        put.commit().expect("works");
        events += 1;
    }
    (disk.take_recording(), events)
}

/// Opens a channel whose process was killed at this moment; gives the moments of that opening.
fn moments_of_opening(killed: &SimDisk) -> Vec<SimDisk> {
    let disk = killed.snapshot();
    disk.record();
    FileChannel::open_on(disk.storage(), options()).expect("a killed process is no damage");
    disk.take_recording()
}

fn check(image: &SimDisk, events: usize, what: &str) {
    let channel = FileChannel::open_on(image.storage(), options())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = drain(&channel).expect("readable").len();
    // The last commit may have been in doubt.
    assert!(found == events || found == events - 1, "{what}: {found} of {events}");
}

/// Moments that differ from the one before: a read leaves the disk as it was.
fn different(moments: &[SimDisk]) -> Vec<(usize, &SimDisk)> {
    let mut last = None;
    let mut chosen = Vec::new();
    for (index, moment) in moments.iter().enumerate() {
        let now = Some((moment.image_hash(), moment.pending_effects()));
        if now != last {
            chosen.push((index, moment));
        }
        last = now;
    }
    chosen
}

/// Whether a slot is being written at this moment.
fn writes_slot(moment: &SimDisk) -> bool {
    let pending = moment.pending();
    pending.iter().any(|effect| effect.in_flight && effect.file.starts_with("checkpoint"))
}

#[test]
fn i6_killed_twice_and_then_a_loss_of_power_is_no_damage() {
    let (first, events) = moments_of_a_roll();
    let mut images = 0;
    for (a, killed) in different(&first) {
        for (b, killed) in different(&moments_of_opening(killed)) {
            let last = moments_of_opening(killed);
            for (c, moment) in different(&last).into_iter().filter(|(_, one)| writes_slot(one)) {
                for write_is in [Fate::Lost, Fate::Garbage(7), Fate::Torn(50), Fate::Kept] {
                    // Nothing of what was pending before it reached the disk.
                    let fate = |_: usize, effect: &PendingEffect| match effect.in_flight {
                        true => write_is,
                        false => Fate::Lost,
                    };
                    let what = format!("killed at {a} and {b}, power lost at {c}: {write_is:?}");
                    check(&moment.crash(&Crash::Choose(&fate)), events, &what);
                    images += 1;
                }
            }
        }
    }
    support::effort::figure("kills.images", images, 1_000);
}
