//! Sinks: Flume's `file_roll`, `logger` and `null`.

use std::time::Duration;

use super::section::{Fate, Key, Section};
use crate::sink::file_roll::{FileRollOptions, PathManager};

/// A sink to run.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// Its name in the file.
    pub name: String,
    /// The channel it empties.
    pub channel: String,
    /// Most events in one transaction.
    pub batch_size: u64,
    /// Where the events go.
    pub kind: SinkKind,
}

/// Where a sink writes.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// Files in a directory.
    FileRoll(FileRollOptions),
    /// The program's messages, this many bytes of each body.
    Logger(usize),
    /// Nowhere.
    Null,
}

const TYPES: [&str; 3] = ["file_roll", "logger", "null"];
const TYPES_LATER: [&str; 14] = [
    "hdfs",
    "hive",
    "avro",
    "thrift",
    "irc",
    "hbase",
    "hbase2",
    "asynchbase",
    "elasticsearch",
    "http",
    "morphline_solr",
    "kafka",
    "org.apache.flume.sink.kafka.KafkaSink",
    "dataset",
];

const FILE_ROLL_KEYS: &[Key] = &[
    Key("type", Fate::Read),
    Key("channel", Fate::Read),
    Key("sink.directory", Fate::Read),
    Key("sink.rollInterval", Fate::Read),
    Key("sink.batchSize", Fate::Read),
    Key("sink.pathManager", Fate::Read),
    Key("sink.pathManager.prefix", Fate::Read),
    Key("sink.pathManager.extension", Fate::Read),
    Key("sink.serializer", Fate::Read),
    Key("sink.serializer.appendNewline", Fate::Read),
];
const LOGGER_KEYS: &[Key] =
    &[Key("type", Fate::Read), Key("channel", Fate::Read), Key("maxBytesToLog", Fate::Read)];
const NULL_KEYS: &[Key] =
    &[Key("type", Fate::Read), Key("channel", Fate::Read), Key("batchSize", Fate::Read)];

/// Reads a sink. `None` when it is too wrong to be made; every mistake is reported.
pub(super) fn read(section: &Section<'_>, name: &str) -> Option<SinkConfig> {
    let kind = section.required("type", "this sink has no type", "file_roll");
    let known =
        kind.and_then(|kind| section.choice(kind, "this type of sink", &TYPES, &TYPES_LATER));
    let channel = section.required("channel", "this sink empties no channel", "CHANNEL");
    let (kind, batch_size) = match TYPES[known?] {
        "file_roll" => {
            let options = file_roll(section);
            let batch_size = section.number("sink.batchSize", 100, 1..=1_000_000);
            section.finish(FILE_ROLL_KEYS);
            (options.map(SinkKind::FileRoll), batch_size)
        }
        "logger" => {
            let limit = section.number("maxBytesToLog", 16, 0..=1 << 20);
            section.finish(LOGGER_KEYS);
            // Flume's logger takes one event at a time; it has no key for it either.
            (Some(SinkKind::Logger(limit as usize)), 1)
        }
        _ => {
            let batch_size = section.number("batchSize", 100, 1..=1_000_000);
            section.finish(NULL_KEYS);
            (Some(SinkKind::Null), batch_size)
        }
    };
    Some(SinkConfig {
        name: name.to_string(),
        channel: channel?.value.trim().to_string(),
        batch_size,
        kind: kind?,
    })
}

fn file_roll(section: &Section<'_>) -> Option<FileRollOptions> {
    let why = "this sink has no directory";
    let directory = section.required("sink.directory", why, "/var/spool/flumen");
    let seconds = section.number("sink.rollInterval", 30, 0..=31_536_000);
    let manager = section.get("sink.pathManager");
    let managers = ["DEFAULT", "ROLLTIME"];
    let manager =
        manager.and_then(|manager| section.choice(manager, "this path manager", &managers, &[]));
    if let Some(serializer) = section.get("sink.serializer") {
        let later = ["HEADER_AND_TEXT", "AVRO_EVENT"];
        section.choice(serializer, "this serializer", &["TEXT"], &later);
    }
    let part = |key: &str| match section.get(key) {
        Some(property) if property.value.contains('/') => {
            section
                .wrong(property, "a part of a file name cannot hold a `/`")
                .cure("put directories into `sink.directory`")
                .tell(section.sheet);
            String::new()
        }
        property => property.map_or_else(String::new, |property| property.value.clone()),
    };
    let prefix = part("sink.pathManager.prefix");
    let extension = part("sink.pathManager.extension");
    let append_newline = section.flag("sink.serializer.appendNewline", true);
    let mut options = FileRollOptions::new(directory?.value.trim());
    options.roll_interval = (seconds > 0).then(|| Duration::from_secs(seconds));
    options.path_manager = match manager {
        Some(1) => PathManager::RollTime,
        _ => PathManager::Default,
    };
    options.prefix = prefix;
    options.extension = extension;
    options.append_newline = append_newline;
    Some(options)
}
