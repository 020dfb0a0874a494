//! Configurations, good and bad, as users write them.
#![cfg(feature = "agent")]

use std::path::Path;
use std::time::Duration;

use flumen::agent::{Config, SinkKind};
use flumen::sink::file_roll::PathManager;

/// The smallest configuration; tests add lines to it.
const SMALL: &str = "\
a1.sources = s1
a1.channels = c1
a1.sinks = k1
a1.sources.s1.type = TAILDIR
a1.sources.s1.channels = c1
a1.sources.s1.filegroups = g
a1.sources.s1.filegroups.g = /var/log/app/access\\\\.log.*
a1.channels.c1.type = file
a1.channels.c1.dataDirs = /var/lib/flumen/c1
a1.sinks.k1.type = file_roll
a1.sinks.k1.channel = c1
a1.sinks.k1.sink.directory = /var/spool/flumen
";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "agent.conf", "a1").map_err(|error| error.to_string())
}

fn good(more: &str) -> Config {
    parse(&format!("{SMALL}{more}")).unwrap_or_else(|error| panic!("{error}"))
}

/// The first mistake that `more` adds, without the picture.
fn mistakes(text: &str) -> Vec<String> {
    let error = parse(text).expect_err("there is a mistake");
    let mut found = Vec::new();
    for line in error.lines() {
        if let Some(title) = line.strip_prefix("error: ") {
            found.push(title.to_string());
        } else if let Some(place) = line.trim_start().strip_prefix("--> agent.conf:") {
            found.push(place.to_string());
        }
    }
    found
}

#[test]
fn defaults_are_flumes() {
    let config = good("");
    let tail = &config.sources[0].options;
    assert_eq!(tail.batch_size, 100);
    assert_eq!(tail.max_batch_count, u64::MAX);
    assert_eq!(tail.file_header, None);
    assert!(!tail.byte_offset_header && !tail.skip_to_end);
    assert_eq!(tail.idle_timeout, Duration::from_secs(120));
    assert_eq!(tail.back_off_step, Duration::from_secs(1));
    assert_eq!(tail.back_off_limit, Duration::from_secs(5));
    assert_eq!(tail.groups[0].directory(), Path::new("/var/log/app"));
    let channel = &config.channels[0];
    assert_eq!(channel.directory.as_deref(), Some(Path::new("/var/lib/flumen/c1")));
    assert_eq!(channel.transaction_capacity, 10_000);
    let options = format!("{:?}", channel.options);
    for expected in [
        "capacity_events: 1000000",
        "transaction_events: 10000",
        "put_wait: 3s",
        "durability: Sync",
        "checkpoint_interval: 30s",
    ] {
        assert!(options.contains(expected), "{expected} is not in {options}");
    }
    assert_eq!(config.sinks[0].batch_size, 100);
    let SinkKind::FileRoll(roll) = &config.sinks[0].kind else {
        panic!("the sink is a file_roll");
    };
    assert_eq!(roll.roll_interval, Some(Duration::from_secs(30)));
    assert_eq!(roll.path_manager, PathManager::Default);
    assert!(roll.append_newline && roll.prefix.is_empty() && roll.extension.is_empty());
    assert!(config.notes.is_empty());
}

#[test]
fn every_key_has_its_effect() {
    let config = good(
        "a1.sources.s1.headers.g.host = web 1\n\
         a1.sources.s1.batchSize = 7\n\
         a1.sources.s1.maxBatchCount = 3\n\
         a1.sources.s1.fileHeader = true\n\
         a1.sources.s1.fileHeaderKey = path\n\
         a1.sources.s1.byteOffsetHeader = TRUE\n\
         a1.sources.s1.skipToEnd = true\n\
         a1.sources.s1.idleTimeout = 5\n\
         a1.sources.s1.maxLineLength = 1000\n\
         a1.channels.c1.capacity = 50\n\
         a1.channels.c1.transactionCapacity = 20\n\
         a1.channels.c1.keep-alive = 0\n\
         a1.channels.c1.maxFileSize = 1623195647\n\
         a1.channels.c1.fsyncPerTransaction = false\n\
         a1.channels.c1.fsyncInterval = 2\n\
         a1.sinks.k1.sink.rollInterval = 0\n\
         a1.sinks.k1.sink.batchSize = 20\n\
         a1.sinks.k1.sink.pathManager = RollTime\n\
         a1.sinks.k1.sink.pathManager.prefix = web-\n\
         a1.sinks.k1.sink.pathManager.extension = log\n\
         a1.sinks.k1.sink.serializer = text\n\
         a1.sinks.k1.sink.serializer.appendNewline = false\n",
    );
    let tail = &config.sources[0].options;
    assert_eq!((tail.batch_size, tail.max_batch_count, tail.line_max), (7, 3, 1000));
    assert_eq!(tail.file_header.as_deref(), Some("path"));
    assert!(tail.byte_offset_header && tail.skip_to_end);
    assert_eq!(tail.idle_timeout, Duration::from_millis(5));
    let options = format!("{:?}", config.channels[0].options);
    for expected in [
        "capacity_events: 50",
        "transaction_events: 20",
        "put_wait: 0ns",
        "durability: Interval(2s)",
        "segment_size: 1073741824",
    ] {
        assert!(options.contains(expected), "{expected} is not in {options}");
    }
    let SinkKind::FileRoll(roll) = &config.sinks[0].kind else {
        panic!("the sink is a file_roll");
    };
    assert_eq!(roll.roll_interval, None);
    assert_eq!(roll.path_manager, PathManager::RollTime);
    assert_eq!((roll.prefix.as_str(), roll.extension.as_str()), ("web-", "log"));
    assert!(!roll.append_newline);
    assert_eq!(
        config.notes,
        ["a1.channels.c1.maxFileSize: 1623195647 is out of range, 1073741824 is used"]
    );
}

#[test]
fn keys_without_effect_are_accepted_and_noted() {
    let config = good(
        "a1.sources.s1.positionFile = /var/lib/flume/position.json\n\
         a1.sources.s1.writePosInterval = 3000\n\
         a1.sources.s1.cachePatternMatching = false\n\
         a1.channels.c1.checkpointDir = /var/lib/flume/checkpoint\n\
         a1.channels.c1.minimumRequiredSpace = 524288000\n\
         a1.channels.c1.useDualCheckpoints = true\n\
         a1.channels.c1.backupCheckpointDir = /var/lib/flume/backup\n",
    );
    assert_eq!(config.notes.len(), 7, "{:?}", config.notes);
    assert!(config.notes.iter().any(|note| note.contains("the positions are in the channel")));
}

#[test]
fn a_memory_channel_has_flumes_defaults_and_forgets_positions() {
    let text = SMALL
        .replace("c1.type = file", "c1.type = memory")
        .replace("a1.channels.c1.dataDirs = /var/lib/flumen/c1\n", "");
    let config = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.channels[0].directory, None);
    assert_eq!(config.channels[0].transaction_capacity, 100);
    assert!(config.notes[0].contains("keeps no positions"), "{:?}", config.notes);
}

#[test]
fn other_agents_in_the_file_are_left_alone() {
    let config = good("a2.sources = s1\na2.sources.s1.type = nonsense\n");
    assert_eq!(config.sources.len(), 1);
}

#[test]
fn an_agent_that_is_not_there_is_told_who_is() {
    let text = SMALL.replace("a1.", "web.") + "other.sinks = k\n";
    let error = parse(&text).expect_err("there is no a1");
    assert!(error.contains("there is no agent `a1`"), "{error}");
    assert!(error.contains("the agents in it are: other, web"), "{error}");
    let error = parse("").expect_err("there is nothing");
    assert!(error.contains("the file names no agent"), "{error}");
    let error = parse(&SMALL.replace("a1.", "a11.")).expect_err("there is no a1");
    assert!(error.contains("did you mean `a11`?"), "{error}");
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        mistakes("a1.sources =\na1.channels = c\na1.sinks = k l\na1.sinks.l.type = null\n"),
        [
            "`a1.channels.c.type` is missing",
            "2:15",
            "`a1.sinks.k.type` is missing",
            "3:12",
            "`a1.sinks.k.channel` is missing",
            "3:12",
            "`a1.sinks.l.channel` is missing",
            "3:14",
        ]
    );
    assert_eq!(
        mistakes("a1.sources = s\na1.sources.s.type = taildir\n"),
        [
            "the agent `a1` has no channels",
            "the agent `a1` has no sinks",
            "`a1.sources.s.channels` is missing",
            "1:14",
            "`a1.sources.s.filegroups` is missing",
            "1:14",
        ]
    );
}

#[test]
fn two_channels_in_one_directory_are_a_mistake() {
    let text = SMALL.replace("a1.channels = c1", "a1.channels = c1 c2")
        + "a1.channels.c2.type = file\na1.channels.c2.directory = /var/lib/./flumen/c1/\n";
    assert_eq!(
        mistakes(&text),
        ["the value of `a1.channels.c2.directory` cannot be used", "14:28"]
    );
}

#[test]
fn a_batch_larger_than_a_transaction_is_a_mistake() {
    let text = format!("{SMALL}a1.channels.c1.transactionCapacity = 50\n");
    let title = "a batch is larger than a transaction of its channel";
    assert_eq!(mistakes(&text), [title, "5:26", title, "11:23"]);
}

#[test]
fn colours_are_only_for_those_who_ask() {
    let error = Config::parse("x", "agent.conf", "a1").expect_err("there is nothing");
    assert!(!error.render(false).contains('\x1b'));
    assert!(error.render(true).contains('\x1b'));
    assert_eq!(error.count(), 1);
}

const WRONG: &str = "\
# Every line of this is wrong.
a1.sources = s1 s2 s1
a1.channels = c1 c2 c3
a1.sinks = k1 k2 k.3
a1.sinkgroups = g1
a1.source.s1.type = TAILDIR
nonsense
a1.sources.s1.type = TAILDRI
a1.sources.s1.channels = c1 c2
a1.sources.s2.type = TAILDIR
a1.sources.s2.channels = c4
a1.sources.s2.filegroups = f g h
a1.sources.s2.filegroups.f = access.log
a1.sources.s2.filegroups.g = /var/log/(access
a1.sources.s2.filegroups.x = /var/log/x
a1.sources.s2.interceptors = i1
a1.sources.s2.batchsize = 100
a1.sources.s2.idleTimeout = soon
a1.sources.s2.skipToEnd = maybe
a1.sources.s2.skipToEnd = true
a1.sources.s9.type = TAILDIR
a1.channels.c1.type = spillablememory
a1.channels.c2.type = memory
a1.channels.c2.capacity = -1
a1.channels.c2.transactionCapacity = 101
a1.channels.c2.byteCapacity = \\u12
a1.channels.c3.type = file
a1.channels.c3.dataDirs = /disk1/c3,/disk2/c3
a1.channels.c3.encryption.activeKey = k
a1.sinks.k1.type = file_roll
a1.sinks.k1.channels = c2
a1.sinks.k1.sink.directory = ${env:HOME}
a1.sinks.k1.sink.pathManager.prefix = a/b
a1.sinks.k2.type = hdfs
a1.sinks.k2.channel = c2
";

#[test]
fn every_mistake_is_shown_at_once_with_line_column_caret_and_cure() {
    let error = parse(WRONG).expect_err("every line is wrong");
    let expected = include_str!("data/wrong.conf.txt");
    assert_eq!(error.trim_end(), expected.trim_end(), "\n{error}");
}

/// Every key that the agent knows is in `docs/CONFIGURATION.md`.
#[test]
#[allow(clippy::disallowed_methods, reason = "compares a document with the sources")]
fn every_key_is_documented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| std::fs::read_to_string(root.join(file)).expect("part of the tree");
    let document = read("docs/CONFIGURATION.md");
    let mut keys = 0;
    for file in ["channels", "sources", "sinks"] {
        let source = read(&format!("src/agent/config/{file}.rs"));
        for rest in source.split("Key(").skip(1) {
            let Some(key) = rest.trim_start().strip_prefix('"') else { continue };
            let key = key.split('"').next().expect("it ends");
            assert!(document.contains(&format!("`{key}`")), "{key} of {file} is not documented");
            keys += 1;
        }
    }
    assert!(keys > 50, "{keys}");
}
