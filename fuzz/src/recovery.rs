//! A valid directory, edited: what an opening, and the tools, make of it.

use flumen::Event;
use flumen::storage::sim::SimDisk;

use crate::bodies::{Id, id};
use crate::edit::{HEADER, Reach, edit, records};
use crate::input::Input;
use crate::look::{self, Delivered};
use crate::sample::{Files, Held, Sample, samples};

const EDITS_MAX: usize = 12;

/// The input: which sample, then the edits.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let sample = &samples()[usize::from(choice & 1)];
    let mut files = sample.files.clone();
    let mut reach = Reach::Accident;
    for _ in 0..EDITS_MAX {
        if input.is_empty() {
            break;
        }
        if edit(&mut files, &mut input, sample) == Reach::Forgery {
            reach = Reach::Forgery;
        }
    }
    let disk = image(sample, &files);
    let tools = look::tools(&disk, choice & 0xf0 == 0);
    let found = look::deliver(&disk).ok();
    match reach {
        Reach::Accident => {
            if let Some(saved) = &tools.salvaged {
                ids(&saved.events);
            }
            if let Some(found) = &found {
                is_a_state(found, &sample.states[oldest_right(sample, &files)..]);
                assert!(files != sample.files || found.is_whole, "nothing was edited");
            }
        }
        // A forged header of a segment that nothing needs can mislead `salvage`, which says so. The opening
        // and `verify` do not look at it.
        Reach::Forgery => {}
    }
    agrees(&tools, found.as_ref(), reach);
    if let Some(found) = found {
        again(&disk, &found, reach);
    }
    look::ended(&disk);
}

/// Two slots without a segment, and with the one that they may name.
pub fn slots(bytes: &[u8]) {
    let sample = &samples()[0];
    let mut files = sample.files.clone();
    files.insert("checkpoint-a".to_string(), bytes.to_vec());
    let mut alone = Files::new();
    alone.insert("checkpoint-a".to_string(), bytes.to_vec());
    for files in [files, alone] {
        let disk = image(sample, &files);
        if let Ok(found) = look::deliver(&disk) {
            again(&disk, &found, Reach::Forgery);
        }
        look::ended(&disk);
    }
}

/// The sample's disk with other files.
pub(crate) fn image(sample: &Sample, files: &Files) -> SimDisk {
    let disk = sample.disk.snapshot();
    for name in sample.files.keys().filter(|name| !files.contains_key(*name)) {
        disk.remove_file(name);
    }
    for (name, bytes) in files {
        if sample.files.get(name) != Some(bytes) {
            disk.write_file(name, bytes);
        }
    }
    // The sample's own numbers are counted on by one, so that files of two samples bear the same names.
    disk.set_chance(true);
    look::limit(&disk);
    disk
}

/// The numbers of the events: each was put, none comes twice, and they are in order.
pub(crate) fn ids(events: &[Event]) -> Vec<Id> {
    let ids: Vec<Id> =
        events.iter().map(|event| id(event).expect("I4: an event that was never put")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "I3: {ids:?}");
    ids
}

/// The oldest state that an opening may find in silence. Slots that are as they were vouch for the state in them,
/// which is the last one of a closed channel, and two commits older in the other sample. There the header of
/// the last record, if it is left, vouches for what is before it.
fn oldest_right(sample: &Sample, files: &Files) -> usize {
    let last = sample.states.len() - 1;
    let is_same = |name: &str| files.get(name) == sample.files.get(name);
    if !is_same("checkpoint-a") || !is_same("checkpoint-b") {
        return 0;
    }
    if sample.is_closed {
        return last;
    }
    let (name, was) = sample.tail();
    let Some(now) = files.get(name).filter(|now| now.len() == was.len()) else {
        return last - 2;
    };
    let (at, size) = records(was).pop().expect("it holds records");
    match now[at..at + HEADER] == was[at..at + HEADER] {
        true if now[at..at + size] == was[at..at + size] => last,
        true => last - 1,
        false => last - 2,
    }
}

/// What was delivered is what the channel held at one of these times, or the beginning of that up to the
/// damage.
pub(crate) fn is_a_state(found: &Delivered, states: &[Held]) {
    let ids = ids(&found.events);
    assert!(found.is_counted, "the count of events");
    let is_known = states.iter().any(|held| match found.is_whole {
        true => held.queue == ids && held.cursor == found.cursor,
        false => held.queue.starts_with(&ids),
    });
    assert!(is_known, "I6: {ids:?} with {} in silence", found.cursor.escape_ascii());
}

/// What `inspect` can read opens, and holds as many events. What `verify` calls intact is whole; and
/// `salvage` saves the same.
pub(crate) fn agrees(tools: &look::Tools, found: Option<&Delivered>, reach: Reach) {
    if let Some(count) = tools.inspected {
        let found = found.expect("what can be inspected opens");
        assert!(!found.is_whole || found.events.len() as u64 == count, "inspect counts {count}");
    }
    let Some(count) = tools.intact else {
        return;
    };
    let found = found.expect("what is intact opens");
    assert!(found.is_whole, "what is intact is whole");
    assert_eq!(found.events.len() as u64, count, "as many as verify says");
    let saved = tools.salvaged.as_ref().expect("what is intact can be salvaged");
    if reach == Reach::Forgery {
        return;
    }
    assert_eq!(saved.events, found.events, "salvage saves all of an intact channel");
    assert_eq!(saved.cursor, found.cursor, "salvage saves the cursors");
}

/// A second opening, behind the repairs of the first, delivers the same; after a crash too. What is taken is
/// gone. A forger can have the second one find something else: then it ends, and that is all.
pub(crate) fn again(disk: &SimDisk, found: &Delivered, reach: Reach) {
    let image = disk.crash(&flumen::storage::sim::Crash::LoseAll);
    for disk in [disk, &image] {
        let second = look::deliver(disk);
        let is_same = second.as_ref() == Ok(found);
        assert!(is_same || reach == Reach::Forgery, "a second opening: {second:?}, not {found:?}");
    }
    if found.is_whole && reach == Reach::Accident {
        look::empty(&image);
    }
}
