//! Opening: the lock, the survey of the log, and a channel made of what it found.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::delivery::Delivery;
use super::inner::Inner;
use super::queue::Queue;
use crate::channel::{ChannelOptions, Corruption, OpenError, ReadMode};
use crate::log::raw::Survey;
use crate::log::{
    Directory, End, LOCK, Log, LogError, LogOptions, LogReader, Lsn, View, lost_slots, survey,
};
use crate::storage::{Access, Lock, Storage, StorageError, read_full_at};

/// What opening a channel found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovery {
    /// The channel's directory.
    pub location: String,
    /// Whether the channel is new.
    pub created: bool,
    /// Whether it had been closed in good order.
    pub clean: bool,
    /// Bytes of log that were read after the checkpoint.
    pub replayed_bytes: u64,
    /// Checkpoint slots that were missing or damaged. The opening has written them anew. Where it is one, no
    /// event is concerned; where it is both, what they witnessed is gone, and whether the log ended where it
    /// ends now cannot be told. The one crash that leaves such a slot is a loss of power during a close, or
    /// during the opening after one.
    pub mended_slots: Vec<Corruption>,
}

impl Recovery {
    /// What whoever looks after the channel should hear, a sentence each; mostly nothing.
    pub fn warnings(&self) -> Vec<String> {
        let meaning = match self.mended_slots.len() {
            1 => "no event is concerned",
            _ => "with both gone nothing witnesses that the log is complete up to its end",
        };
        let warning = |slot: &Corruption| {
            format!(
                "{}: {slot}; {meaning}. The opening has written it anew. Look for what removed or damaged \
                 it: files that were changed by hand, a failing disk, or a loss of power during a close",
                self.location
            )
        };
        self.mended_slots.iter().map(warning).collect()
    }
}

/// Bytes an ack record may need beside the ranges of one transaction: its header, cursors, and ranges of
/// lazy acks that go with it. A commit with more cursors than that may be refused while the disk is full.
const ACK_OVERHEAD: u64 = 32 << 10;

/// How often, and how far apart, the lock is tried: who only looks at a channel holds it for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the lock, or says who has it.
pub(crate) fn lock_channel(
    storage: &Arc<dyn Storage>,
    create: bool,
) -> Result<Box<dyn Lock>, OpenError> {
    for _ in 0..LOCK_TRIES {
        match storage.lock(LOCK, create) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.kind() == ErrorKind::WouldBlock => crate::sync::sleep(LOCK_PAUSE),
            Err(error) => {
                return Err(StorageError::new(&**storage, LOCK, "lock", error).into());
            }
        }
    }
    Err(OpenError::InUse { path: storage.location(), owner: owner_note(&**storage) })
}

/// What the lock's holder wrote into it.
pub(crate) fn owner_note(storage: &dyn Storage) -> Option<String> {
    let file = storage.open(LOCK, Access::Read).ok()?;
    let mut note = [0; 64];
    let count = read_full_at(&*file, &mut note, 0).ok()?;
    let note = String::from_utf8_lossy(&note[..count]).trim().to_string();
    (!note.is_empty()).then_some(note)
}

/// Opens the channel in `storage`.
pub(super) fn open(
    storage: Arc<dyn Storage>,
    options: ChannelOptions,
) -> Result<(Inner, Recovery), OpenError> {
    let directory = Directory { storage: Arc::clone(&storage) };
    refuse_other_places(&directory, &options)?;
    let lock = lock_channel(&storage, true)?;
    // A note that cannot be written (a full disk) costs an error text a name, nothing else.
    let _ = lock.write_note(&format!("pid {}", std::process::id()));
    let log_options = LogOptions {
        segment_size: options.segment_size,
        ack_size_max: ACK_OVERHEAD + 16 * options.transaction_events as u64,
    };
    let location = storage.location();
    let mut queue = Queue::default();
    let (opened, recovery) = match survey(&directory, &mut queue) {
        Ok(survey) => {
            queue.settle(survey.proven_end(), survey.proven_sequence(queue.next_sequence()));
            let end = survey.tail.as_ref().map_or(Lsn(0), |tail| tail.end());
            let acked = queue.acked().clone();
            let view = View {
                upper: queue.encode(),
                lsn: end,
                next_sequence: queue.next_sequence(),
                is_done: &|sequences| acked.contains_all(sequences),
            };
            let recovery = Recovery {
                location,
                created: survey.end == End::Unborn,
                clean: survey.end == End::Clean,
                replayed_bytes: survey.replayed_bytes,
                mended_slots: mended_slots(&survey),
            };
            (Log::open(directory.clone(), &log_options, &survey, &view), recovery)
        }
        Err(LogError::Absent(_)) if options.create => {
            mark!(P1);
            let upper = queue.encode();
            let recovery = Recovery {
                location,
                created: true,
                clean: true,
                replayed_bytes: 0,
                mended_slots: Vec::new(),
            };
            (Log::create(directory.clone(), &log_options, upper), recovery)
        }
        Err(error) => return Err(open_error(&directory, error)),
    };
    let log = match opened.map_err(|error| open_error(&directory, error))? {
        Some(log) => log,
        None => {
            mark!(P2);
            let error = ErrorKind::StorageFull.into();
            return Err(directory.error("", "allocate a segment in", error).into());
        }
    };
    let end = log.end();
    let core = Core::new(log, queue, end, options.memory_tail);
    let reader = LogReader::new(
        Arc::clone(&core.log),
        options.read_mode == ReadMode::Map,
        options.background,
    );
    let delivery = {
        let shown = crate::sync::lock(&core.shown);
        Delivery::new(reader, shown.queue.read_from(), shown.queue.acked().clone())
    };
    Ok((Inner::new(options, core, delivery, lock), recovery))
}

/// The slots that every opening writes anew, as far as that mends damage.
fn mended_slots(survey: &Survey) -> Vec<Corruption> {
    let lost = lost_slots(&survey.slots, survey.tail.as_ref().map(|tail| tail.end()));
    lost.into_iter().filter(|slot| !slot.is_torn).map(|slot| slot.damage.into()).collect()
}

/// A directory that is no channel is told before anything is written into it.
fn refuse_other_places(directory: &Directory, options: &ChannelOptions) -> Result<(), OpenError> {
    let listing = directory.list()?;
    if listing.slots || !listing.segments.is_empty() {
        return Ok(());
    }
    let path = directory.storage.location();
    match listing.foreign.first() {
        Some(name) => {
            let reason = format!(
                "it holds other files (such as \"{name}\"); choose an empty or a new directory"
            );
            Err(OpenError::NotAChannel { path, reason })
        }
        None if !options.create => {
            Err(OpenError::NotAChannel { path, reason: "the directory is empty".into() })
        }
        None => Ok(()),
    }
}

pub(crate) fn open_error(directory: &Directory, error: LogError) -> OpenError {
    let path = directory.storage.location();
    match error {
        LogError::Absent(reason) => OpenError::NotAChannel { path, reason },
        LogError::Unsupported { file, reason } => {
            OpenError::Unsupported { file: format!("{path}/{file}"), reason }
        }
        LogError::Damaged(damage) => OpenError::Corrupt(damage.into()),
        LogError::Storage(error) => OpenError::Storage(error),
    }
}
