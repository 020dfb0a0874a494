//! What the models of whole channels share: images to begin with, events that can be told apart, and what a
//! crash leaves.

use std::sync::Arc;
use std::time::Duration;

use super::steps::Steps;
use crate::channel::{Channel, ChannelOptions, CommitError, FileChannel, TakeError};
use crate::event::Event;
use crate::storage::sim::{Crash, SimDisk};
use crate::sync::model::prepare;

/// For waits that are to be ended by news, not by the time.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// An event of this size takes more than half of a segment's room, so that each begins a new one.
pub(super) const LARGE: usize = 40 << 10;

/// Small segments, few events in a transaction, and no helper thread.
pub(super) fn options() -> ChannelOptions {
    ChannelOptions::new()
        .segment_size(64 << 10)
        .transaction_events(16)
        .put_wait(LONG)
        .background(false)
}

/// A channel on a disk of its own.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) disk: SimDisk,
    pub(super) channel: FileChannel,
    pub(super) steps: Arc<Steps>,
}

impl Bench {
    /// Opens a channel on a copy of `image`.
    pub(super) fn new(image: &SimDisk, options: ChannelOptions) -> Bench {
        let disk = image.snapshot();
        let storage = Arc::new(Steps::new(disk.storage()));
        let steps: Arc<Steps> = Arc::clone(&storage);
        let channel = FileChannel::open_on(storage, options).expect("the image was made by us");
        Bench { disk, channel, steps }
    }

    pub(super) fn put(&self, name: &str, size: usize) -> Result<(), CommitError> {
        put(&self.channel, name, size)
    }

    /// What would be found after a loss of power now, if nothing survived but what was synced.
    pub(super) fn crash(&self) -> SimDisk {
        self.disk.crash(&Crash::LoseAll)
    }
}

/// The disk of a closed channel, after `history`.
pub(super) fn image(
    options: fn() -> ChannelOptions,
    history: impl Fn(&FileChannel) + Send + Sync + 'static,
) -> SimDisk {
    prepare(move || {
        let disk = SimDisk::new(1);
        let channel = FileChannel::open_on(disk.storage(), options()).expect("an empty disk");
        history(&channel);
        channel.close().expect("nothing fails");
        disk
    })
}

/// An event that can be told from all others, of about `size` bytes.
pub(super) fn event(name: &str, size: usize) -> Event {
    let fill = name.chars().last().unwrap_or('?').to_string();
    Event::new(format!("{name} {size} {}", fill.repeat(size)))
}

/// The name of an event, whose bytes are exactly those that were put.
pub(super) fn name_of(found: &Event) -> String {
    let text = std::str::from_utf8(&found.body).expect("events are text");
    let mut words = text.split(' ');
    let name = words.next().expect("a name");
    let size = words.next().and_then(|size| size.parse().ok()).expect("a size");
    assert!(*found == event(name, size), "the event {name} was altered");
    name.to_string()
}

pub(super) fn put(channel: &dyn Channel, name: &str, size: usize) -> Result<(), CommitError> {
    let mut put = channel.begin_put();
    put.put(event(name, size)).expect("there is room");
    put.commit()
}

/// Takes one event and commits; its name, if there was one.
pub(super) fn take(channel: &dyn Channel) -> Result<Option<String>, CommitError> {
    let mut take = channel.begin_take();
    let taken = take.take().expect("readable");
    take.commit()?;
    Ok(taken.as_ref().map(name_of))
}

/// The events that are there, none of which is on loan; they stay.
pub(super) fn queued(channel: &dyn Channel) -> Vec<String> {
    let mut take = channel.begin_take();
    let mut names = Vec::new();
    loop {
        match take.take() {
            Ok(Some(event)) => names.push(name_of(&event)),
            Ok(None) => return names,
            Err(TakeError::TransactionFull) => panic!("a model has few events"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Opens a channel on a disk, says whether it was closed well, and what is in it.
pub(super) fn recovered(disk: &SimDisk) -> (bool, Vec<String>) {
    let channel = FileChannel::open_on(disk.storage(), options()).expect("a crash is survived");
    (channel.recovery().clean, queued(&channel))
}
