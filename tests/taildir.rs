//! The taildir source, by what it leaves in its channel. Named after Flume's tests of it, and after the
//! complaints about it.
#![cfg(feature = "agent")]
#![allow(clippy::disallowed_methods, reason = "tests make and change the files that are followed")]

#[path = "support/agent.rs"]
mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use flumen::source::taildir::{FileGroup, TaildirOptions};
use flumen::source::{Source, SourceError, Taildir};
use flumen::{Channel, ChannelOptions, MemoryChannel, Shutdown};
use support::{append, bodies, channel, drain, eventually, read, rename, run, tail};
use tempfile::{TempDir, tempdir};

/// Longer than anything takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn dir() -> TempDir {
    tempdir().expect("the system has room for temporary files")
}

fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::options().append(true).open(path);
    file.and_then(|file| file.set_modified(time)).expect("the test's directory is writable");
}

/// A source that runs on while the test changes its files.
struct Live {
    channel: Arc<dyn Channel>,
    shutdown: Shutdown,
    thread: JoinHandle<Result<(), SourceError>>,
}

impl Live {
    fn start(mut options: TaildirOptions, channel: &Arc<dyn Channel>) -> Live {
        options.until_idle = false;
        options.back_off_step = Duration::from_millis(1);
        options.back_off_limit = Duration::from_millis(1);
        let shutdown = Shutdown::new();
        let source = Box::new(Taildir::new("s", options));
        let (to, stop) = (Arc::clone(channel), shutdown.clone());
        Live {
            channel: Arc::clone(channel),
            shutdown,
            thread: thread::spawn(move || source.run(to, stop)),
        }
    }

    /// The next `count` lines.
    fn lines(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count && self.channel.wait(PATIENCE) {
            lines.extend(bodies(&*self.channel));
        }
        lines
    }

    /// Stops the source; what it delivered since.
    fn stop(self) -> Vec<String> {
        self.shutdown.stop();
        let result = self.thread.join().expect("the source does not panic");
        result.expect("the source does not fail");
        bodies(&*self.channel)
    }
}

#[test]
fn existing_lines_then_appended_lines_are_read() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    append(&log, "a\nb\n");
    let live = Live::start(tail(dir.path(), "log"), &channel);
    assert_eq!(live.lines(2), ["a", "b"]);
    append(&log, "c\n");
    assert_eq!(live.lines(1), ["c"]);
    append(&log, "d\n");
    assert_eq!(live.lines(1), ["d"]);
    assert!(live.stop().is_empty());
}

#[test]
fn a_start_with_an_empty_directory_finds_files_that_come_later() {
    let (dir, channel) = (dir(), channel());
    let live = Live::start(tail(dir.path(), ".*"), &channel);
    append(&dir.path().join("log"), "a\n");
    assert_eq!(live.lines(1), ["a"]);
    append(&dir.path().join("other"), "b\n");
    assert_eq!(live.lines(1), ["b"]);
    live.stop();
}

#[test]
fn deletion_is_tolerated_and_what_was_written_before_is_read() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    append(&log, "a\n");
    let live = Live::start(tail(dir.path(), ".*"), &channel);
    assert_eq!(live.lines(1), ["a"]);
    append(&log, "b\n");
    fs::remove_file(&log).expect("the test's directory is writable");
    append(&log, "c\n");
    assert_eq!(live.lines(2), ["b", "c"]);
    live.stop();
}

#[test]
fn a_vanished_file_is_forgotten_and_so_is_its_position() {
    let (dir, channel) = (dir(), channel());
    let mut options = tail(dir.path(), ".*");
    append(&dir.path().join("log"), "a\n");
    assert_eq!(read(&options, &channel), ["a"]);
    assert_eq!(channel.cursors("taildir/s/").len(), 1);
    fs::remove_file(dir.path().join("log")).expect("the test's directory is writable");
    options.idle_timeout = Duration::ZERO;
    assert!(read(&options, &channel).is_empty());
    assert_eq!(channel.cursors("taildir/s/").len(), 0);
}

#[test]
fn a_file_made_in_the_place_of_a_deleted_one_is_read_from_its_start() {
    // Most file systems give the new file the old inode number. Both begin with the same line, and the new
    // one is longer, so that nothing but the time of its making tells them apart.
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    let options = tail(dir.path(), ".*");
    append(&log, "same\n");
    assert_eq!(read(&options, &channel), ["same"]);
    fs::remove_file(&log).expect("the test's directory is writable");
    append(&log, "same\nnew\n");
    assert_eq!(read(&options, &channel), ["same", "new"]);
}

/// Whether this process has the file open.
fn is_open(path: &Path) -> bool {
    let handles = fs::read_dir("/proc/self/fd").expect("Linux tells");
    handles.flatten().any(|handle| fs::read_link(handle.path()).is_ok_and(|open| open == path))
}

/// The cursor of the new file is the old one's too: to forget the old one must not forget it.
#[test]
fn i2_a_file_made_meanwhile_in_the_place_of_a_deleted_one_keeps_its_position() {
    for skip_to_end in [false, true] {
        let (dir, channel) = (dir(), channel());
        let log = fs::canonicalize(dir.path()).expect("it is there").join("log");
        let mut options = tail(dir.path(), "log");
        options.idle_timeout = Duration::from_millis(1);
        options.skip_to_end = skip_to_end;
        append(&log, "");
        let live = Live::start(options.clone(), &channel);
        // What comes before the first look is skipped.
        eventually(|| !skip_to_end || !channel.cursors("taildir/s/").is_empty());
        append(&log, "old\n");
        assert_eq!(live.lines(1), ["old"]);
        eventually(|| !is_open(&log));
        // Most file systems give the new file the old inode number.
        fs::remove_file(&log).expect("the test's directory is writable");
        append(&log, "new 1\nnew 2\n");
        assert_eq!(live.lines(2), ["new 1", "new 2"]);
        eventually(|| !is_open(&log));
        assert!(live.stop().is_empty());
        append(&log, "while down\n");
        assert_eq!(read(&options, &channel), ["while down"], "skipping {skip_to_end}");
    }
}

/// Stops the source after each number of events, in a full channel, and goes on with another batch size.
#[test]
fn a_stop_at_every_event_loses_and_doubles_nothing() {
    let total = 12;
    for delivered in 1..total {
        let dir = dir();
        for file in ["a", "b", "c"] {
            let lines: Vec<String> = (0..4).map(|line| format!("{file}{line}\n")).collect();
            append(&dir.path().join(file), &lines.concat());
            set_modified(&dir.path().join(file), u64::from(file.as_bytes()[0]));
        }
        let options =
            ChannelOptions::new().capacity_events(delivered).put_wait(Duration::from_millis(20));
        let channel = MemoryChannel::open(options).expect("the options are good");
        let channel: Arc<dyn Channel> = Arc::new(channel);
        let mut options = tail(dir.path(), ".*");
        options.batch_size = 5;
        let live = Live::start(options.clone(), &channel);
        eventually(|| channel.stats().events == delivered);
        let mut lines = live.stop();
        assert_eq!(lines.len() as u64, delivered);
        options.batch_size = 3;
        let live = Live::start(options, &channel);
        lines.extend(live.lines((total - delivered) as usize));
        lines.extend(live.stop());
        let expected: Vec<String> = ["a", "b", "c"]
            .iter()
            .flat_map(|file| (0..4).map(move |line| format!("{file}{line}")))
            .collect();
        assert_eq!(lines, expected, "after {delivered}");
    }
}

#[test]
fn an_empty_file_is_no_event_and_an_empty_line_is_one() {
    let (dir, channel) = (dir(), channel());
    append(&dir.path().join("empty"), "");
    append(&dir.path().join("lines"), "\n\na\n");
    assert_eq!(read(&tail(dir.path(), ".*"), &channel), ["", "", "a"]);
}

#[test]
fn the_partial_last_line_is_withheld_until_its_newline() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    let options = tail(dir.path(), "log");
    append(&log, "a\nhal");
    assert_eq!(read(&options, &channel), ["a"]);
    append(&log, "f a line");
    assert!(read(&options, &channel).is_empty());
    append(&log, "\nb\n");
    assert_eq!(read(&options, &channel), ["half a line", "b"]);
}

#[test]
fn the_partial_last_line_is_delivered_when_the_file_goes_idle() {
    let (dir, channel) = (dir(), channel());
    let mut options = tail(dir.path(), "log");
    options.idle_timeout = Duration::ZERO;
    append(&dir.path().join("log"), "a\nrest");
    assert_eq!(read(&options, &channel), ["a", "rest"]);
    append(&dir.path().join("log"), " and more\n");
    assert_eq!(read(&options, &channel), [" and more"]);
}

#[test]
fn batches_cross_files() {
    let (dir, channel) = (dir(), channel());
    for file in 0..10 {
        append(&dir.path().join(format!("log{file}")), "a\n");
    }
    run(&tail(dir.path(), ".*"), &channel).expect("the source does not fail");
    assert_eq!(channel.stats().puts_committed, 1);
    assert_eq!(channel.cursors("taildir/s/").len(), 10);
}

#[test]
fn a_thousand_files_are_read() {
    let (dir, channel) = (dir(), channel());
    for file in 0..1000 {
        append(&dir.path().join(format!("log{file}")), "a\nb\n");
    }
    let options = tail(dir.path(), ".*");
    assert_eq!(read(&options, &channel).len(), 2000);
    append(&dir.path().join("log500"), "c\n");
    assert_eq!(read(&options, &channel), ["c"]);
}

#[test]
fn a_position_behind_the_end_means_truncated_and_read_from_the_start() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    let options = tail(dir.path(), "log");
    append(&log, "a\nb\nc\n");
    assert_eq!(read(&options, &channel).len(), 3);
    fs::write(&log, "d\n").expect("the test's directory is writable");
    assert_eq!(read(&options, &channel), ["d"]);
}

#[test]
fn a_truncated_file_that_has_grown_beyond_the_position_is_noticed_by_its_first_bytes() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    let options = tail(dir.path(), "log");
    append(&log, "a\n");
    assert_eq!(read(&options, &channel), ["a"]);
    fs::write(&log, "b\nc\nd\n").expect("the test's directory is writable");
    assert_eq!(read(&options, &channel), ["b", "c", "d"]);
}

#[test]
fn a_file_truncated_under_a_running_source_is_read_from_its_start() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    append(&log, "one\ntwo\n");
    let live = Live::start(tail(dir.path(), "log"), &channel);
    assert_eq!(live.lines(2), ["one", "two"]);
    File::create(&log).expect("the test's directory is writable");
    append(&log, "three\n");
    assert_eq!(live.lines(1), ["three"]);
    append(&log, "four\n");
    assert_eq!(live.lines(1), ["four"]);
    live.stop();
}

#[test]
fn a_short_file_that_grows_is_the_same_file() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    let options = tail(dir.path(), "log");
    for line in 0..300 {
        append(&log, &format!("{line}\n"));
        assert_eq!(read(&options, &channel), [line.to_string()]);
    }
}

#[test]
fn skip_to_end_leaves_out_what_is_there_at_the_first_start_only() {
    let (dir, channel) = (dir(), channel());
    let mut options = tail(dir.path(), ".*");
    options.skip_to_end = true;
    append(&dir.path().join("log"), "old\n");
    assert!(read(&options, &channel).is_empty());
    append(&dir.path().join("log"), "new\n");
    assert_eq!(read(&options, &channel), ["new"]);
}

#[test]
fn the_byte_offset_header_says_where_a_line_begins() {
    let (dir, channel) = (dir(), channel());
    let mut options = tail(dir.path(), "log");
    options.byte_offset_header = true;
    append(&dir.path().join("log"), "a\nbcd\r\n\ne\n");
    run(&options, &channel).expect("the source does not fail");
    let offsets: Vec<String> =
        drain(&*channel).iter().map(|event| event.headers["byteoffset"].clone()).collect();
    assert_eq!(offsets, ["0", "2", "7", "8"]);
}

#[test]
fn lines_end_with_lf_or_crlf_and_a_lone_cr_is_a_byte() {
    let (dir, channel) = (dir(), channel());
    append(&dir.path().join("log"), "a\nb\r\nc\rd\n\r\n\re\r\r\n");
    let lines = read(&tail(dir.path(), "log"), &channel);
    assert_eq!(lines, ["a", "b", "c\rd", "", "\re\r"]);
}

#[test]
fn news_with_the_same_time_of_change_are_still_read() {
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    append(&log, "a\n");
    set_modified(&log, 1000);
    let mut options = tail(dir.path(), "log");
    options.idle_timeout = Duration::ZERO;
    let live = Live::start(options, &channel);
    assert_eq!(live.lines(1), ["a"]);
    append(&log, "b\n");
    set_modified(&log, 1000);
    assert_eq!(live.lines(1), ["b"]);
    live.stop();
}

#[test]
fn each_group_has_its_pattern_and_its_headers_and_directories_are_no_files() {
    let (dir, channel) = (dir(), channel());
    fs::create_dir(dir.path().join("a.dir")).expect("the test's directory is writable");
    for name in ["a.log", "b.log", "a.log.gz", "xa.log"] {
        append(&dir.path().join(name), &format!("{name}\n"));
    }
    let group = |pattern| FileGroup::new(dir.path(), pattern).expect("the pattern is good");
    let mut options = TaildirOptions::new(vec![
        group(r"a\.(log|dir)").header("group", "one"),
        group(r"b.*").header("group", "two").header("more", "yes"),
    ]);
    options.until_idle = true;
    options.file_header = Some("path".to_string());
    run(&options, &channel).expect("the source does not fail");
    let mut found: Vec<(String, String)> = drain(&*channel)
        .into_iter()
        .map(|event| {
            let body = String::from_utf8_lossy(&event.body).into_owned();
            assert!(event.headers["path"].ends_with(&body));
            assert_eq!(event.headers.contains_key("more"), body == "b.log");
            (body, event.headers["group"].clone())
        })
        .collect();
    found.sort();
    let expected = [("a.log", "one"), ("b.log", "two")];
    assert_eq!(found, expected.map(|(a, b)| (a.to_string(), b.to_string())));
}

#[test]
fn a_missing_directory_is_an_error_that_names_it() {
    let dir = dir();
    let missing = dir.path().join("missing");
    let error = run(&tail(&missing, ".*"), &channel()).expect_err("there is no directory");
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_pipe_with_a_matching_name_is_not_opened() {
    let (dir, channel) = (dir(), channel());
    let made = Command::new("mkfifo").arg(dir.path().join("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()));
    append(&dir.path().join("log"), "a\n");
    assert_eq!(read(&tail(dir.path(), ".*"), &channel), ["a"]);
}

#[test]
fn files_found_together_are_read_in_the_order_of_their_last_change() {
    let (dir, channel) = (dir(), channel());
    for (name, time) in [("a", 30), ("b", 10), ("c", 20)] {
        append(&dir.path().join(name), &format!("{name}1\n{name}2\n"));
        set_modified(&dir.path().join(name), time);
    }
    let lines = read(&tail(dir.path(), ".*"), &channel);
    assert_eq!(lines, ["b1", "b2", "c1", "c2", "a1", "a2"]);
}

#[test]
fn a_batch_count_lets_other_files_have_their_turn() {
    let (dir, channel) = (dir(), channel());
    for (name, time) in [("a", 1), ("b", 2)] {
        append(&dir.path().join(name), &format!("{name}1\n{name}2\n{name}3\n"));
        set_modified(&dir.path().join(name), time);
    }
    let mut options = tail(dir.path(), ".*");
    (options.batch_size, options.max_batch_count) = (1, 2);
    assert_eq!(read(&options, &channel), ["a1", "a2", "b1", "b2", "a3", "b3"]);
}

#[test]
fn a_line_longer_than_the_limit_is_cut_and_nothing_of_it_is_lost() {
    let (dir, channel) = (dir(), channel());
    let mut options = tail(dir.path(), "log");
    options.line_max = 10;
    append(&dir.path().join("log"), "0123456789\n0123456789abc\n\nxy\r\n");
    let lines = read(&options, &channel);
    assert_eq!(lines, ["0123456789", "0123456789", "abc", "", "xy"]);
}

#[test]
fn a_line_longer_than_what_is_read_at_once_is_one_event() {
    let (dir, channel) = (dir(), channel());
    let long = "x".repeat(300_000);
    append(&dir.path().join("log"), &format!("a\n{long}\nb\n"));
    assert_eq!(read(&tail(dir.path(), "log"), &channel), ["a", &long, "b"]);
}

#[test]
fn an_event_that_can_never_fit_is_an_error_and_not_an_endless_loop() {
    let dir = dir();
    let channel = MemoryChannel::open(ChannelOptions::new().capacity_bytes(50));
    let channel: Arc<dyn Channel> = Arc::new(channel.expect("the options are good"));
    append(&dir.path().join("log"), &format!("a\n{}\n", "x".repeat(100)));
    let error = run(&tail(dir.path(), "log"), &channel);
    assert!(matches!(error, Err(SourceError::TooLarge { size: 108 })));
}

#[test]
fn a_renamed_file_that_still_matches_is_not_read_again() {
    let (dir, channel) = (dir(), channel());
    let (log, old) = (dir.path().join("log"), dir.path().join("log.1"));
    append(&log, "a\n");
    let live = Live::start(tail(dir.path(), "log.*"), &channel);
    assert_eq!(live.lines(1), ["a"]);
    append(&log, "b\n");
    rename(&log, &old);
    append(&log, "c\n");
    assert_eq!(live.lines(2), ["b", "c"]);
    append(&log, "d\n");
    assert_eq!(live.lines(1), ["d"]);
    assert!(live.stop().is_empty());
    assert!(read(&tail(dir.path(), "log.*"), &channel).is_empty());
}

#[test]
fn a_file_renamed_to_a_name_that_does_not_match_is_read_to_its_end() {
    let (dir, channel) = (dir(), channel());
    let (log, old) = (dir.path().join("log"), dir.path().join("log.1"));
    append(&log, "a\n");
    let live = Live::start(tail(dir.path(), "log"), &channel);
    assert_eq!(live.lines(1), ["a"]);
    append(&log, "b\n");
    rename(&log, &old);
    append(&log, "d\n");
    assert_eq!(live.lines(2), ["b", "d"]);
    // A writer that has not noticed the rotation yet.
    append(&old, "c\n");
    assert_eq!(live.lines(1), ["c"]);
    live.stop();
}

#[test]
fn a_file_closed_as_idle_and_then_renamed_is_found_by_its_identity() {
    let (dir, channel) = (dir(), channel());
    let (log, old) = (dir.path().join("log"), dir.path().join("old"));
    let mut options = tail(dir.path(), "log");
    options.idle_timeout = Duration::ZERO;
    append(&log, "a\n");
    let live = Live::start(options, &channel);
    assert_eq!(live.lines(1), ["a"]);
    append(&log, "b\n");
    rename(&log, &old);
    append(&log, "c\n");
    assert_eq!(live.lines(2), ["b", "c"]);
    live.stop();
}

#[test]
fn a_file_renamed_while_the_source_was_down_is_finished_first() {
    let (dir, channel) = (dir(), channel());
    let (log, old) = (dir.path().join("log"), dir.path().join("old"));
    let options = tail(dir.path(), "log");
    append(&log, "a\n");
    assert_eq!(read(&options, &channel), ["a"]);
    append(&log, "b\n");
    rename(&log, &old);
    append(&log, "c\n");
    assert_eq!(read(&options, &channel), ["b", "c"]);
    append(&old, "late\n");
    assert_eq!(read(&options, &channel), ["late"]);
}

#[test]
fn a_pattern_made_narrower_leaves_files_alone() {
    let (dir, channel) = (dir(), channel());
    append(&dir.path().join("a"), "a\n");
    append(&dir.path().join("b"), "b\n");
    assert_eq!(read(&tail(dir.path(), ".*"), &channel).len(), 2);
    append(&dir.path().join("a"), "more\n");
    append(&dir.path().join("b"), "more\n");
    assert_eq!(read(&tail(dir.path(), "b"), &channel), ["more"]);
    assert_eq!(read(&tail(dir.path(), ".*"), &channel), ["more"]);
}

/// Every history of six steps, each to append a line (A), to rotate as logrotate does (R), or to run the
/// source as a new process (S): all lines come once and in order.
#[test]
fn every_history_of_lines_rotations_and_restarts_is_in_order() {
    for history in 0..3_usize.pow(6) {
        let steps: Vec<usize> = (0..6).map(|step| history / 3_usize.pow(step) % 3).collect();
        for pattern in ["log.*", "log"] {
            if pattern == "log.*" || every_file_is_seen(&steps) {
                replay(&steps, pattern);
            }
        }
    }
}

/// A file that comes and goes while nobody looks, and leaves no name that matches, cannot be read.
fn every_file_is_seen(steps: &[usize]) -> bool {
    let mut unseen = false;
    let mut seen = false;
    for step in steps {
        match step {
            0 => unseen = !seen,
            1 if unseen => return false,
            1 => seen = false,
            _ => (seen, unseen) = (seen || unseen, false),
        }
    }
    true
}

fn replay(steps: &[usize], pattern: &str) {
    let (dir, channel) = (dir(), channel());
    let name = |number: usize| match number {
        0 => dir.path().join("log"),
        _ => dir.path().join(format!("log.{number}")),
    };
    let options = tail(dir.path(), pattern);
    let mut written = Vec::new();
    let mut found = Vec::new();
    for step in steps {
        match step {
            0 => {
                written.push(written.len().to_string());
                append(&name(0), &format!("{}\n", written.len() - 1));
            }
            1 => {
                for number in (0..6).rev().filter(|number| name(*number).exists()) {
                    rename(&name(number), &name(number + 1));
                }
            }
            _ => found.extend(read(&options, &channel)),
        }
    }
    found.extend(read(&options, &channel));
    assert_eq!(found, written, "pattern {pattern}, history {steps:?}");
}

#[test]
fn a_running_source_follows_many_rotations_in_order() {
    for pattern in ["log", "log.*"] {
        let (dir, channel) = (dir(), channel());
        let log = dir.path().join("log");
        let live = Live::start(tail(dir.path(), pattern), &channel);
        let mut expected = Vec::new();
        let mut found = Vec::new();
        for round in 0..60 {
            for line in 0..5 {
                expected.push(format!("{round} {line}"));
                append(&log, &format!("{round} {line}\n"));
            }
            // The pattern that leaves rotated files out needs the source to have seen the file.
            if pattern == "log" {
                found.extend(live.lines(expected.len() - found.len() - round % 5));
            }
            rename(&log, &dir.path().join(format!("log.17000000{round:02}")));
        }
        found.extend(live.lines(expected.len() - found.len()));
        found.extend(live.stop());
        assert_eq!(found, expected, "pattern {pattern}");
    }
}

/// A writer that rotates at full speed beside a source that is stopped and started all the time.
#[test]
fn restarts_beside_a_busy_writer_keep_every_line_once_and_in_order() {
    const LINES: usize = 4000;
    let (dir, channel) = (dir(), channel());
    let log = dir.path().join("log");
    let writer = {
        let (log, dir) = (log.clone(), dir.path().to_path_buf());
        thread::spawn(move || {
            for line in 0..LINES {
                append(&log, &format!("{line}\n"));
                if line % 37 == 36 {
                    rename(&log, &dir.join(format!("log.{}", 1_700_000_000 + line)));
                }
            }
        })
    };
    let mut options = tail(dir.path(), "log.*");
    options.batch_size = 10;
    options.idle_timeout = Duration::from_millis(1);
    let mut found = Vec::new();
    while found.len() < LINES {
        let live = Live::start(options.clone(), &channel);
        let lines = live.lines(1);
        assert!(!lines.is_empty(), "no news after {}", found.len());
        found.extend(lines);
        found.extend(live.stop());
    }
    writer.join().expect("the writer does not panic");
    let expected: Vec<String> = (0..LINES).map(|line| line.to_string()).collect();
    assert_eq!(found, expected);
}
