//! Looks at a directory, whatever is in it, in every way that there is.

use std::ops::ControlFlow;

use flumen::storage::sim::{Fault, FaultPlan, SimDisk};
use flumen::{Channel, Event, FileChannel, OpenError, TakeError, tools};

use crate::sample::options;

/// Calls to the disk after which a look is a hang. The longest sound one takes a twentieth.
const CALLS_MAX: u64 = 100_000;

/// What an opening delivered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivered {
    pub(crate) events: Vec<Event>,
    pub(crate) cursor: Vec<u8>,
    /// Whether there was an end: otherwise the next event was said to be damaged.
    pub(crate) is_whole: bool,
    /// Whether the channel had said how many they are, if there was an end. A forged state can say anything.
    pub(crate) is_counted: bool,
}

/// Turns the power off should there be no end to it.
pub(crate) fn limit(disk: &SimDisk) {
    disk.set_plan(FaultPlan::new(Fault::PowerLoss).after(CALLS_MAX));
}

/// Opens the channel and reads all of it, taking nothing. An error is the reason why the opening refuses.
pub(crate) fn deliver(disk: &SimDisk) -> Result<Delivered, String> {
    let channel = open(disk)?;
    let cursor = channel.cursor("next").unwrap_or_default();
    let mut events = Vec::new();
    let mut lent = Vec::new();
    let is_whole = 'all: loop {
        let mut take = channel.begin_take();
        for _ in 0..64 {
            match take.take() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break 'all true,
                Err(error) => {
                    is_damage(&error);
                    break 'all false;
                }
            }
        }
        assert_eq!(take.len(), 64);
        lent.push(take);
    };
    let is_counted = !is_whole || channel.stats().events == events.len() as u64;
    Ok(Delivered { events, cursor, is_whole, is_counted })
}

fn is_damage(error: &TakeError) {
    match error {
        TakeError::Corrupt(corruption) => assert!(!corruption.file.is_empty(), "{error}"),
        _ => panic!("a sound disk reports nothing but damage: {error}"),
    }
}

fn open(disk: &SimDisk) -> Result<FileChannel, String> {
    let opened = FileChannel::open_on(disk.storage(), options().create(false));
    opened.map_err(|error| {
        is_refusal(&error);
        error.to_string()
    })
}

fn is_refusal(error: &OpenError) {
    match error {
        OpenError::Corrupt(corruption) => assert!(!corruption.file.is_empty(), "{error}"),
        OpenError::Unsupported { file, .. } => assert!(!file.is_empty(), "{error}"),
        OpenError::NotAChannel { .. } => {}
        _ => panic!("a sound disk reports nothing but damage: {error}"),
    }
}

/// Takes everything for good, closes, and sees that nothing comes again.
pub(crate) fn empty(disk: &SimDisk) {
    let channel = open(disk).expect("it was opened before");
    loop {
        let mut take = channel.begin_take();
        while take.len() < 64 && take.take().expect("it was read before").is_some() {}
        if take.is_empty() {
            break;
        }
        take.commit().expect("the disk is sound");
    }
    channel.close().expect("the disk is sound");
    drop(channel);
    let found = deliver(disk).expect("it was opened before");
    assert!(found.is_whole && found.events.is_empty(), "I5: {} came back", found.events.len());
}

/// What the tools make of a directory.
pub(crate) struct Tools {
    /// Whether `verify` finds no damage, and the events that it finds.
    pub(crate) intact: Option<u64>,
    /// The events that `inspect` counts, when it was asked and could tell.
    pub(crate) inspected: Option<u64>,
    /// What `salvage` saved.
    pub(crate) salvaged: Option<Delivered>,
}

/// Every tool looks at the directory; none changes a byte of it. `inspect` waits for an owner that may be at
/// work before it believes in damage, so not every look can afford it.
pub(crate) fn tools(disk: &SimDisk, inspect: bool) -> Tools {
    let before = disk.image_hash();
    let inspection = inspect.then(|| tools::inspect_on(disk.storage()));
    if let Some(Err(error)) = &inspection {
        is_refusal(error);
    }
    let inspected = inspection.and_then(Result::ok).map(|inspection| inspection.events);
    let mut records = 0;
    let dumped = tools::dump_on(disk.storage(), &mut |_| {
        records += 1;
        ControlFlow::Continue(())
    });
    if let Err(error) = dumped {
        is_refusal(&error);
    }
    let intact = match tools::verify_on(disk.storage(), &mut |_, _| {}) {
        Ok(verification) => verification.is_intact().then_some(verification.events),
        Err(error) => {
            is_refusal(&error);
            None
        }
    };
    let target = SimDisk::new(9);
    limit(&target);
    let salvage = tools::salvage_on(disk.storage(), target.storage(), options(), &mut |_, _| {});
    let salvaged = match salvage {
        Ok(salvage) => {
            let saved = deliver(&target).expect("what was salvaged is a channel");
            assert!(saved.is_whole && saved.is_counted, "what was salvaged is intact");
            assert_eq!(saved.events.len() as u64, salvage.events, "as many as salvage says");
            Some(saved)
        }
        Err(tools::SalvageError::Open(error)) => {
            is_refusal(&error);
            None
        }
        Err(error) => panic!("a sound disk: {error}"),
    };
    assert_eq!(disk.image_hash(), before, "tools change nothing");
    ended(&target);
    Tools { intact, inspected, salvaged }
}

/// The look has come to an end by itself.
pub(crate) fn ended(disk: &SimDisk) {
    assert!(!disk.is_off(), "a hang: more than {CALLS_MAX} calls");
}
