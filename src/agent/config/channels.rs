//! Channels: Flume's `file` and `memory`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::section::{Fate, Key, Section};
use crate::channel::{
    ChannelOptions, Durability, SEGMENT_SIZE_MAX, SEGMENT_SIZE_MIN, TRANSACTION_EVENTS_MAX,
};

/// A channel to open.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Its name in the file.
    pub name: String,
    /// Where it is; `None` is in memory.
    pub directory: Option<PathBuf>,
    /// How to open it.
    pub options: ChannelOptions,
    /// Most events in one transaction, as in the options.
    pub transaction_capacity: u64,
}

const TYPES: [&str; 2] = ["file", "memory"];
const TYPES_LATER: [&str; 3] =
    ["jdbc", "spillablememory", "org.apache.flume.channel.kafka.KafkaChannel"];
/// Bytes a memory channel may hold. Flume takes 80 % of the heap; there is no heap limit here to
/// ask.
const MEMORY_BYTES: u64 = 256 << 20;

const FILE_KEYS: &[Key] = &[
    Key("type", Fate::Read),
    Key("directory", Fate::Read),
    Key("dataDirs", Fate::Read),
    Key("capacity", Fate::Read),
    Key("byteCapacity", Fate::Read),
    Key("transactionCapacity", Fate::Read),
    Key("keep-alive", Fate::Read),
    Key("checkpointInterval", Fate::Read),
    Key("maxFileSize", Fate::Read),
    Key("fsyncPerTransaction", Fate::Read),
    Key("fsyncInterval", Fate::Unused("only used when fsyncPerTransaction is false")),
    Key(
        "checkpointDir",
        Fate::Unused("not used: the channel keeps its checkpoint in its own directory"),
    ),
    Key(
        "minimumRequiredSpace",
        Fate::Unused("not used: a full disk refuses puts, and takes go on"),
    ),
    Key("useDualCheckpoints", Fate::Unused("not used: there are always two checkpoints")),
    Key(
        "backupCheckpointDir",
        Fate::Unused("not used: both checkpoints are in the channel's directory"),
    ),
    Key("compressBackupCheckpoint", Fate::Unused("not used: a checkpoint is a few kilobytes")),
    Key("checkpointOnClose", Fate::Unused("not used: a clean stop always takes a checkpoint")),
    Key("use-log-replay-v1", Fate::Unused("not used: there is one way to replay")),
    Key("use-fast-replay", Fate::Unused("not used: there is one way to replay")),
    Key(
        "encryption.*",
        Fate::Refused(
            "this version stores events as they are; put the directory on an encrypted file system",
        ),
    ),
];

const MEMORY_KEYS: &[Key] = &[
    Key("type", Fate::Read),
    Key("capacity", Fate::Read),
    Key("transactionCapacity", Fate::Read),
    Key("keep-alive", Fate::Read),
    Key("byteCapacity", Fate::Read),
    Key(
        "byteCapacityBufferPercentage",
        Fate::Unused("not used: byteCapacity counts headers as well as bodies"),
    ),
];

/// Reads a channel. `None` when its type or its place is not known; the rest has defaults in place
/// of what is wrong, and every mistake is reported.
pub(super) fn read(section: &Section<'_>, name: &str) -> Option<ChannelConfig> {
    let kind = section.required("type", "this channel has no type", "file")?;
    let kind = section.choice(kind, "this type of channel", &TYPES, &TYPES_LATER)?;
    let config = match TYPES[kind] {
        "file" => file(section, name),
        _ => Some(memory(section, name)),
    };
    section.finish(match TYPES[kind] {
        "file" => FILE_KEYS,
        _ => MEMORY_KEYS,
    });
    config
}

fn file(section: &Section<'_>, name: &str) -> Option<ChannelConfig> {
    let (options, transaction_capacity) = common(section, 1_000_000, 10_000);
    let interval = section.number("checkpointInterval", 30_000, 1..=86_400_000);
    let mut options = options
        .capacity_bytes(section.number("byteCapacity", u64::MAX, 1..=u64::MAX))
        .checkpoint_interval(Duration::from_millis(interval));
    if section.get("maxFileSize").is_some() {
        let wanted = section.number("maxFileSize", SEGMENT_SIZE_MAX, 1..=u64::MAX);
        let size = wanted.clamp(SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX);
        if size != wanted {
            section.note("maxFileSize", &format!("{wanted} is out of range, {size} is used"));
        }
        options = options.segment_size(size);
    }
    if !section.flag("fsyncPerTransaction", true) {
        let seconds = section.number("fsyncInterval", 5, 1..=86_400);
        options = options.durability(Durability::Interval(Duration::from_secs(seconds)));
    }
    Some(ChannelConfig {
        name: name.to_string(),
        directory: Some(directory(section)?),
        options,
        transaction_capacity,
    })
}

fn memory(section: &Section<'_>, name: &str) -> ChannelConfig {
    let (options, transaction_capacity) = common(section, 100, 100);
    ChannelConfig {
        name: name.to_string(),
        directory: None,
        options: options.capacity_bytes(section.number("byteCapacity", MEMORY_BYTES, 1..=u64::MAX)),
        transaction_capacity,
    }
}

fn common(section: &Section<'_>, capacity: u64, transaction: u64) -> (ChannelOptions, u64) {
    let capacity = section.number("capacity", capacity, 1..=u64::MAX);
    // A default above a smaller capacity was asked for by nobody.
    let default = transaction.min(capacity);
    let limit = TRANSACTION_EVENTS_MAX as u64;
    let transaction = section.number("transactionCapacity", default, 1..=limit);
    if let Some(property) = section.get("transactionCapacity").filter(|_| transaction > capacity) {
        section
            .wrong(property, &format!("more than the capacity, {capacity} events"))
            .cure("lower it, or raise `capacity`")
            .tell(section.sheet);
    }
    let wait = section.number("keep-alive", 3, 0..=86_400);
    let options = ChannelOptions::new()
        .capacity_events(capacity)
        .transaction_events(transaction as usize)
        .put_wait(Duration::from_secs(wait));
    (options, transaction)
}

/// Flume's default is one place for all channels of a user, so that two of them collide (its FLUME
/// guide warns of it); here the place must be named.
fn directory(section: &Section<'_>) -> Option<PathBuf> {
    let own = section.get("directory");
    let property = match (own, section.get("dataDirs")) {
        (Some(_), Some(data)) => {
            section
                .wrong(data, "`directory` says where the channel is already")
                .cure("remove one of the two")
                .tell(section.sheet);
            return None;
        }
        (Some(own), None) => own,
        (None, Some(data)) => data,
        (None, None) => {
            let why = "a file channel needs a directory";
            section.required("directory", why, "/var/lib/flumen/NAME");
            return None;
        }
    };
    let path = property.value.trim();
    if own.is_none() && path.contains(',') {
        section
            .wrong(property, "more than one directory")
            .cure("name one: a channel is one directory; for several disks use a striped volume")
            .tell(section.sheet);
        return None;
    }
    if path.is_empty() {
        section
            .wrong(property, "no directory is named")
            .cure("write the path of a directory for this channel alone")
            .tell(section.sheet);
        return None;
    }
    Some(Path::new(path).to_path_buf())
}
