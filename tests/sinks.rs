//! The sinks and their loop, by what they leave outside and in the channel.
#![cfg(feature = "agent")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests look at and damage the files that sinks write"
)]

#[path = "support/agent.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flumen::sink::file_roll::{FileRollOptions, PathManager};
use flumen::sink::runner::{self, Signals};
use flumen::sink::{Cursor, FileRoll, Null, Sink, SinkError};
use flumen::{Channel, ChannelOptions, Event, MemoryChannel};
use support::{append, bodies, channel, files};
use tempfile::{TempDir, tempdir};

fn dir() -> TempDir {
    tempdir().expect("the system has room for temporary files")
}

fn options(directory: &Path) -> FileRollOptions {
    let mut options = FileRollOptions::new(directory);
    options.roll_interval = None;
    options
}

fn rolling(directory: &Path) -> FileRollOptions {
    let mut options = FileRollOptions::new(directory);
    options.roll_interval = Some(Duration::ZERO);
    options
}

fn put(channel: &Arc<dyn Channel>, bodies: &[&str]) {
    let mut put = channel.begin_put();
    for body in bodies {
        put.put(Event::new(*body)).expect("there is room");
    }
    put.commit().expect("memory does not fail");
}

/// Signals that end a loop when the channel is empty.
fn until_empty() -> Signals {
    let signals = Signals::default();
    signals.finish.stop();
    signals
}

fn empty(channel: &Arc<dyn Channel>, options: &FileRollOptions) -> Result<(), SinkError> {
    let mut sink = FileRoll::new("k", options.clone());
    runner::run(&mut sink, channel, 2, &until_empty())
}

/// What was written, in order of the files' numbers.
fn written(directory: &Path) -> String {
    let mut files = files(directory);
    files.sort_by_key(|(path, _)| {
        let name = path.to_string_lossy().into_owned();
        let number = name.rsplit('-').next().and_then(|number| number.parse::<u64>().ok());
        number.expect("the sink's files end with their number")
    });
    files.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn events_become_lines_of_one_file_when_it_never_rolls() {
    let (dir, channel) = (dir(), channel());
    put(&channel, &["a", "", "c"]);
    empty(&channel, &options(dir.path())).expect("the sink does not fail");
    put(&channel, &["d"]);
    empty(&channel, &options(dir.path())).expect("the sink does not fail");
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(written(dir.path()), "a\n\nc\nd\n");
    assert_eq!(channel.stats().events, 0);
}

#[test]
fn an_empty_channel_makes_no_file() {
    let (dir, channel) = (dir(), channel());
    empty(&channel, &rolling(dir.path())).expect("the sink does not fail");
    assert!(files(dir.path()).is_empty());
}

#[test]
fn each_interval_begins_a_new_file_and_the_numbers_go_on_after_a_restart() {
    let (dir, channel) = (dir(), channel());
    put(&channel, &["a", "b", "c"]);
    empty(&channel, &rolling(dir.path())).expect("the sink does not fail");
    put(&channel, &["d"]);
    empty(&channel, &rolling(dir.path())).expect("the sink does not fail");
    let numbers: Vec<String> = files(dir.path())
        .iter()
        .map(|(path, _)| path.to_string_lossy().rsplit('-').next().unwrap_or("").to_string())
        .collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(written(dir.path()), "a\nb\nc\nd\n");
}

#[test]
fn names_have_prefix_and_extension_and_roll_time_names_hold_the_time() {
    let (dir, channel) = (dir(), channel());
    let mut options = options(dir.path());
    (options.prefix, options.extension) = ("web-".to_string(), "log".to_string());
    options.path_manager = PathManager::RollTime;
    put(&channel, &["a"]);
    empty(&channel, &options).expect("the sink does not fail");
    let (path, _) = files(dir.path()).remove(0);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let time = name.strip_prefix("web-").and_then(|name| name.strip_suffix("-1.log"));
    assert!(time.is_some_and(|time| time.len() == 14 && time.starts_with("20")), "{name}");
}

#[test]
fn without_newlines_bodies_follow_each_other() {
    let (dir, channel) = (dir(), channel());
    let mut options = options(dir.path());
    options.append_newline = false;
    put(&channel, &["a\n", "b"]);
    empty(&channel, &options).expect("the sink does not fail");
    assert_eq!(written(dir.path()), "a\nb");
}

/// Crashes after each write, before its commit, with batches of every size: each line is there once.
#[test]
fn a_crash_between_write_and_commit_doubles_and_loses_nothing() {
    for make in [options, rolling] {
        for crash in 0..6 {
            for again in 1..4 {
                let (dir, channel) = (dir(), channel());
                put(&channel, &["0", "1", "2", "3", "4", "5"]);
                let mut sink = FileRoll::new("k", make(dir.path()));
                sink.open(&channel).expect("the directory is there");
                for _ in 0..crash {
                    step(&mut sink, &channel, 1, true);
                }
                step(&mut sink, &channel, again, false);
                drop(sink);
                let mut sink = FileRoll::new("k", make(dir.path()));
                runner::run(&mut sink, &channel, 2, &until_empty())
                    .expect("the sink does not fail");
                assert_eq!(written(dir.path()), "0\n1\n2\n3\n4\n5\n", "{crash} {again}");
            }
        }
    }
}

/// One batch as the loop does it, up to a crash before the commit.
fn step(sink: &mut FileRoll, channel: &Arc<dyn Channel>, count: usize, commits: bool) {
    let mut take = channel.begin_take();
    let mut batch = Vec::new();
    while let Some(event) = take.take().expect("memory does not fail") {
        batch.push(event);
        if batch.len() == count {
            break;
        }
    }
    let cursors = sink.write(&batch).expect("the sink does not fail");
    if commits {
        for (name, value) in cursors {
            take.set_cursor(&name, &value).expect("a good cursor");
        }
        take.commit().expect("memory does not fail");
        sink.committed();
    }
}

#[test]
fn a_batch_that_was_rolled_back_is_cut_off_before_it_is_written_again() {
    let (dir, channel) = (dir(), channel());
    put(&channel, &["a", "b", "c"]);
    let mut sink = FileRoll::new("k", options(dir.path()));
    sink.open(&channel).expect("the directory is there");
    step(&mut sink, &channel, 1, true);
    step(&mut sink, &channel, 2, false);
    step(&mut sink, &channel, 1, false);
    step(&mut sink, &channel, 2, true);
    assert_eq!(written(dir.path()), "a\nb\nc\n");
}

#[test]
fn a_file_shorter_than_what_was_committed_is_an_error_and_left_as_it_is() {
    let (dir, channel) = (dir(), channel());
    put(&channel, &["one", "two"]);
    empty(&channel, &options(dir.path())).expect("the sink does not fail");
    let (path, _) = files(dir.path()).remove(0);
    fs::write(&path, "one\n").expect("the test's directory is writable");
    put(&channel, &["three"]);
    let error = empty(&channel, &options(dir.path())).expect_err("bytes are missing");
    let text = error.to_string();
    assert!(text.contains("8 bytes") && text.contains("has 4"), "{text}");
    assert_eq!(written(dir.path()), "one\n");
    assert_eq!(bodies(&*channel), ["three"]);
}

#[test]
fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
    let (dir, channel) = (dir(), channel());
    put(&channel, &["a"]);
    empty(&channel, &options(dir.path())).expect("the sink does not fail");
    let (path, _) = files(dir.path()).remove(0);
    fs::remove_file(path).expect("the test's directory is writable");
    put(&channel, &["b"]);
    empty(&channel, &options(dir.path())).expect("the sink does not fail");
    assert_eq!(written(dir.path()), "b\n");
}

#[test]
fn files_of_others_are_never_touched_even_under_the_next_name() {
    let (dir, channel) = (dir(), channel());
    put(&channel, &["a"]);
    empty(&channel, &options(dir.path())).expect("the sink does not fail");
    let (first, _) = files(dir.path()).remove(0);
    let name = first.to_string_lossy().into_owned();
    let second = name.strip_suffix('1').map(|stem| format!("{stem}2"));
    let second = second.expect("the first file has the number 1");
    append(Path::new(&second), "somebody else's\n");
    put(&channel, &["b"]);
    empty(&channel, &rolling(dir.path())).expect("the sink does not fail");
    put(&channel, &["c"]);
    empty(&channel, &rolling(dir.path())).expect("the sink does not fail");
    assert_eq!(written(dir.path()), "a\nsomebody else's\nb\nc\n");
}

#[test]
fn a_missing_directory_is_an_error_with_a_cure() {
    let dir = dir();
    let error = empty(&channel(), &options(&dir.path().join("missing")));
    let text = error.expect_err("there is no directory").to_string();
    assert!(text.contains("missing") && text.contains("create it"), "{text}");
}

/// Fails once, and says stop so that the loop does not wait to try again.
struct FailsOnce {
    signals: Signals,
    seen: Vec<usize>,
}

impl Sink for FailsOnce {
    fn write(&mut self, batch: &[Event]) -> Result<Vec<Cursor>, SinkError> {
        self.seen.push(batch.len());
        self.signals.stop.stop();
        Err(SinkError::Io {
            operation: "write",
            path: "nowhere".into(),
            source: std::io::ErrorKind::Other.into(),
        })
    }
}

#[test]
fn what_a_sink_cannot_write_stays_in_the_channel_in_its_order() {
    let channel = channel();
    put(&channel, &["a", "b", "c"]);
    let signals = Signals::default();
    let mut sink = FailsOnce { signals: signals.clone(), seen: Vec::new() };
    runner::run(&mut sink, &channel, 2, &signals).expect("a failed write is no end");
    assert_eq!(sink.seen, [2]);
    assert_eq!(channel.stats().in_flight, 0);
    assert_eq!(bodies(&*channel), ["a", "b", "c"]);
}

#[test]
fn the_loop_stops_after_the_batch_in_hand() {
    struct Stops(Signals);
    impl Sink for Stops {
        fn write(&mut self, _batch: &[Event]) -> Result<Vec<Cursor>, SinkError> {
            self.0.stop.stop();
            Ok(Vec::new())
        }
    }
    let channel = channel();
    put(&channel, &["a", "b", "c"]);
    let signals = Signals::default();
    runner::run(&mut Stops(signals.clone()), &channel, 2, &signals).expect("nothing fails");
    assert_eq!(bodies(&*channel), ["c"]);
}

#[test]
fn batches_are_cut_to_what_a_transaction_may_hold() {
    let options = ChannelOptions::new().transaction_events(2);
    let opened = MemoryChannel::open(options).expect("the options are good");
    let channel: Arc<dyn Channel> = Arc::new(opened);
    put(&channel, &["a", "b"]);
    put(&channel, &["c"]);
    runner::run(&mut Null, &channel, 100, &until_empty()).expect("nothing fails");
    assert_eq!(channel.stats().takes_committed, 2);
}
