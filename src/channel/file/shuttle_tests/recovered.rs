//! Recovery after a schedule, disturbed sometimes, and the comparison.

use std::io::ErrorKind;
use std::time::Duration;

use super::ledger::{Ledger, Name, parse};
use super::{Dice, Seen};
use crate::storage::sim::{Crash, FailedSync, Fault, FaultPlan, Hostile, SimDisk};
use crate::{Channel, ChannelOptions, Event, FileChannel};

/// What may be found: after a loss of power, and in one of four other schedules what the death of the process
/// leaves.
pub(super) fn images(disk: &SimDisk, dice: &mut Dice) -> Vec<(SimDisk, String)> {
    let mut images = Vec::new();
    if !disk.is_off() && dice.one_in(4) {
        images.push((disk.snapshot(), "the death of the process".to_string()));
    }
    let seed = dice.next();
    let crash = match dice.below(8) {
        0 => Crash::KeepAll,
        1 | 2 => Crash::LoseAll,
        3..=5 => Crash::Random(seed),
        _ => Crash::Hostile(seed, Hostile::USUAL),
    };
    images.push((disk.crash(&crash), format!("{crash:?}")));
    images
}

/// Recovers an image and holds it against the ledger; then goes on with it, and recovers once more.
pub(super) fn check(
    image: &SimDisk,
    ledger: &Ledger,
    options: &ChannelOptions,
    dice: &mut Dice,
    seen: &Seen,
    what: &str,
) {
    image.clear_plans();
    let options = options.clone().capacity_events(1000).put_wait(Duration::ZERO);
    let image = &match dice.one_in(6) {
        true => disturbed(image, &options, dice, seen),
        false => image.clone(),
    };
    let open = |image: &SimDisk| {
        FileChannel::open_on(image.storage(), options.clone())
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    let channel = open(image);
    let mut found = drain(&channel);
    ledger.verify(&found).unwrap_or_else(|problem| panic!("{what}: {problem}\n{ledger:#?}"));
    seen.note(|seen| &seen.images);
    if !dice.one_in(3) {
        return;
    }
    // What was found is a fact now, and what is put behind it too.
    let mut put = channel.begin_put();
    put.put(Event::new(super::ledger::body(999, 0, 0, 0))).expect("there is room");
    put.commit().unwrap_or_else(|error| panic!("{what}, put: {error}"));
    found.push(((999, 0), 0));
    if dice.one_in(2) {
        channel.close().unwrap_or_else(|error| panic!("{what}, close: {error}"));
    }
    drop(channel);
    let again = drain(&open(&image.crash(&Crash::LoseAll)));
    assert_eq!(again, found, "{what}, after a loss of power");
    seen.note(|seen| &seen.images);
}

/// An opening that does not come through, and what is left then.
fn disturbed(image: &SimDisk, options: &ChannelOptions, dice: &mut Dice, seen: &Seen) -> SimDisk {
    let at = dice.below(45);
    let disk = image.snapshot();
    disk.set_plan(match dice.below(4) {
        0 => FaultPlan::new(Fault::Error(ErrorKind::Other)).after(at),
        1 => FaultPlan::new(Fault::FailedSync(FailedSync::Lost)).after(at / 4),
        _ => FaultPlan::new(Fault::PowerLoss).after(at),
    });
    let opened = FileChannel::open_on(disk.storage(), options.clone());
    if !disk.has_plan_left() {
        seen.note(|seen| &seen.second_crashes);
    }
    drop(opened);
    let left = match dice.below(3) {
        _ if disk.is_off() => disk.crash(&Crash::Random(dice.next())),
        0 => disk.crash(&Crash::LoseAll),
        1 => disk.crash(&Crash::Random(dice.next())),
        _ => disk.snapshot(),
    };
    left.clear_plans();
    left
}

/// All events in order, and the transaction that each says it is of; they stay queued.
fn drain(channel: &FileChannel) -> Vec<(Name, u64)> {
    let mut found = Vec::new();
    let mut takes = Vec::new();
    loop {
        let mut take = channel.begin_take();
        let before = found.len();
        while take.len() < 16 {
            match take.take().expect("I6: what was recovered is readable") {
                Some(event) => found.push(parse(&event.body)),
                None => break,
            }
        }
        takes.push(take);
        if found.len() == before {
            return found;
        }
    }
}
