//! The channel that is damaged, and what may be found of it afterwards.

use flumen::storage::sim::SimDisk;
use flumen::{Channel, ChannelOptions, Corruption, Event, FileChannel, OpenError, TakeError};

use crate::files::{Kind, Record, read, records, segments};
use crate::queue::*;

/// Events in the channel, ten to a transaction, about 512 bytes each; more than one segment of them.
pub const TOTAL: u64 = 200;
pub const BATCH: u64 = 10;
const SIZE: usize = 500;

/// Those with these numbers.
pub fn some(numbers: impl IntoIterator<Item = u64>) -> Vec<Event> {
    larges(numbers, SIZE)
}

/// As [`options`], and everything is read from the disk.
pub fn unbuffered() -> ChannelOptions {
    options().memory_tail(0)
}

/// Closed in good order.
pub fn clean() -> SimDisk {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    put_batches(&channel, &some(0..TOTAL), BATCH as usize);
    channel.close().expect("the disk works");
    disk.snapshot()
}

/// Killed, with no checkpoint but those that new segments make.
pub fn killed() -> SimDisk {
    let disk = SimDisk::new(1);
    let channel = open(&disk, &unbuffered());
    put_batches(&channel, &some(0..TOTAL), BATCH as usize);
    disk.snapshot()
}

/// A record with events, and where it is.
#[derive(Clone, Debug)]
pub struct Put {
    pub file: String,
    pub record: Record,
    /// The number of its first event, which is its sequence too.
    pub first: u64,
}

/// All puts, in order.
pub fn puts(disk: &SimDisk) -> Vec<Put> {
    let mut found = Vec::new();
    for file in segments(disk) {
        for record in records(&read(disk, &file)) {
            if record.kind == Kind::Put {
                let first = found.len() as u64 * BATCH;
                let file = file.clone();
                found.push(Put { file, record, first });
            }
        }
    }
    assert_eq!(found.len() as u64, TOTAL / BATCH);
    found
}

/// A put in the first segment, which is complete.
pub fn early(disk: &SimDisk) -> Put {
    let put = puts(disk).swap_remove(3);
    assert_ne!(Some(&put.file), segments(disk).last());
    put
}

/// A put in the last segment that is not the last of all.
pub fn late(disk: &SimDisk) -> Put {
    let put = puts(disk).swap_remove((TOTAL / BATCH) as usize - 2);
    assert_eq!(Some(&put.file), segments(disk).last());
    put
}

/// The last put.
pub fn last(disk: &SimDisk) -> Put {
    puts(disk).pop().expect("there are puts")
}

/// The opening is refused, again and again, and changes nothing; what it says.
pub fn refusal(disk: &SimDisk) -> Corruption {
    let before = disk.image_hash();
    let mut said = None;
    for _ in 0..2 {
        match try_open(disk, &unbuffered()) {
            Err(OpenError::Corrupt(damage)) => said = Some(damage),
            other => panic!("not refused: {:?}", other.map(|channel| channel.stats())),
        }
    }
    assert_eq!(disk.image_hash(), before, "a refusal changes nothing");
    said.expect("it was refused twice")
}

/// Takes until an event is damaged: what came before that, and what is said.
pub fn until_damage(channel: &FileChannel) -> (Vec<Event>, Corruption) {
    let mut transaction = channel.begin_take();
    let mut taken = Vec::new();
    loop {
        match transaction.take() {
            Ok(Some(event)) => taken.push(event),
            Ok(None) => panic!("no damage met, {} events taken", taken.len()),
            Err(TakeError::Corrupt(damage)) => {
                transaction.commit().expect("what came before is good");
                return (taken, damage);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// Opens, and everything is there, in order and once; and the same after another life.
pub fn nothing_lost(disk: &SimDisk, how: &str) {
    let opened = try_open(disk, &unbuffered());
    let channel = opened.unwrap_or_else(|error| panic!("{how}: {error}"));
    let (transaction, taken) = take(&channel, TOTAL as usize + 1);
    assert_eq!(taken, some(0..TOTAL), "{how}");
    transaction.rollback();
    put(&channel, &some(TOTAL..TOTAL + 1));
    drop(channel);
    let again = drain(&open(disk, &unbuffered()));
    assert_eq!(again, some(0..TOTAL + 1), "{how}, opened again");
}

/// Whether a report concerns the event with this number.
pub fn concerns(damage: &Corruption, number: u64) -> bool {
    let range = damage.sequences.as_ref();
    range.is_some_and(|range| range.contains(&number))
}
