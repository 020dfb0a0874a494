//! Whole agents, from the text of a configuration to the files at the other end.
#![cfg(feature = "agent")]
#![allow(clippy::disallowed_methods, reason = "tests make and change the files that are followed")]

#[path = "support/agent.rs"]
mod support;

use std::path::Path;
use std::thread;

use flumen::Shutdown;
use flumen::agent::{self, AgentError, Config, RunOptions};
use flumen::sink::SinkError;
use flumen::source::SourceError;
use support::{append, eventually, files, rename};
use tempfile::{TempDir, tempdir};

const UNTIL_IDLE: RunOptions = RunOptions { until_idle: true };

/// A directory with an empty `in` and an empty `out`.
fn place() -> TempDir {
    let dir = tempdir().expect("the system has room for temporary files");
    for part in ["in", "out"] {
        std::fs::create_dir(dir.path().join(part)).expect("the test's directory is writable");
    }
    dir
}

/// `in/log.*` through a memory channel to `out`, with more lines.
fn config(dir: &Path, more: &str) -> Config {
    let text = format!(
        "a.sources = s\na.channels = c\na.sinks = k\n\
         a.sources.s.type = taildir\na.sources.s.channels = c\na.sources.s.filegroups = g\n\
         a.sources.s.filegroups.g = {0}/in/log.*\n\
         a.sources.s.backoffSleepIncrement = 1\na.sources.s.maxBackoffSleep = 1\n\
         a.channels.c.type = memory\n\
         a.sinks.k.type = file_roll\na.sinks.k.channel = c\na.sinks.k.sink.directory = {0}/out\n\
         a.sinks.k.sink.rollInterval = 0\n{more}",
        dir.display()
    );
    Config::parse(&text, "agent.conf", "a").unwrap_or_else(|error| panic!("{error}"))
}

fn out(dir: &Path) -> String {
    files(&dir.join("out")).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn until_idle_moves_everything_in_order_and_ends() {
    let dir = place();
    let log = dir.path().join("in/log");
    let mut expected = String::new();
    for line in 0..5000 {
        expected.push_str(&format!("line {line}\n"));
    }
    let (old, new) = expected.split_at(expected.len() / 3);
    append(&log, old);
    rename(&log, &dir.path().join("in/log.1"));
    append(&log, new);
    agent::run(config(dir.path(), ""), UNTIL_IDLE, &Shutdown::new()).expect("nothing fails");
    // The cut was in the middle of a line, which a writer does not do: the first file ends with a part.
    let cut = old.rfind('\n').map_or(0, |end| end + 1);
    assert_eq!(out(dir.path()), [&old[..cut], new].concat());
}

#[test]
fn an_agent_with_nothing_to_do_ends_at_once_when_asked_to() {
    let dir = place();
    agent::run(config(dir.path(), ""), UNTIL_IDLE, &Shutdown::new()).expect("nothing fails");
    assert_eq!(out(dir.path()), "");
}

#[test]
fn a_stop_ends_the_agent_after_what_it_has_in_hand() {
    let dir = place();
    let shutdown = Shutdown::new();
    append(&dir.path().join("in/log"), "a\nb\n");
    let running = {
        let (config, shutdown) = (config(dir.path(), ""), shutdown.clone());
        thread::spawn(move || agent::run(config, RunOptions::default(), &shutdown))
    };
    eventually(|| out(dir.path()) == "a\nb\n");
    append(&dir.path().join("in/log"), "c\n");
    eventually(|| out(dir.path()) == "a\nb\nc\n");
    shutdown.stop();
    let result = running.join().expect("the agent does not panic");
    result.expect("a stop is no failure");
    assert_eq!(out(dir.path()), "a\nb\nc\n");
}

#[test]
fn a_stop_before_the_start_reads_nothing() {
    let dir = place();
    append(&dir.path().join("in/log"), "a\n");
    let shutdown = Shutdown::new();
    shutdown.stop();
    agent::run(config(dir.path(), ""), RunOptions::default(), &shutdown).expect("nothing fails");
}

#[test]
fn a_sink_that_cannot_start_ends_the_agent() {
    let dir = place();
    let config = config(dir.path(), "a.sinks.k.sink.pathManager.prefix = x\n");
    std::fs::remove_dir(dir.path().join("out")).expect("the directory is empty");
    let error = agent::run(config, RunOptions::default(), &Shutdown::new());
    let is_right = matches!(
        &error,
        Err(AgentError::Sink { sink, error })
            if sink == "k" && matches!(**error, SinkError::Foreign { .. })
    );
    assert!(is_right, "{error:?}");
}

#[test]
fn a_source_that_fails_ends_the_agent() {
    let dir = place();
    let config = config(dir.path(), "");
    std::fs::remove_dir(dir.path().join("in")).expect("the directory is empty");
    let error = agent::run(config, RunOptions::default(), &Shutdown::new());
    let is_right = matches!(
        &error,
        Err(AgentError::Source { source, error: SourceError::Io { .. } }) if source == "s"
    );
    assert!(is_right, "{error:?}");
}

#[test]
fn several_sinks_share_a_channel_and_nothing_comes_twice() {
    let dir = place();
    let more =
        "a.sources.s2.type = taildir\na.sources.s2.channels = c\na.sources.s2.filegroups = h\n";
    let text = format!("{more}a.sources.s2.filegroups.h = {}/in/other\n", dir.path().display());
    let config = {
        let base = format!(
            "a.sources = s s2\na.channels = c\na.sinks = k l\n\
             a.sources.s.type = taildir\na.sources.s.channels = c\na.sources.s.filegroups = g\n\
             a.sources.s.filegroups.g = {0}/in/log\n{text}\
             a.channels.c.type = memory\n\
             a.sinks.k.type = file_roll\na.sinks.k.channel = c\na.sinks.k.sink.directory = {0}/out\n\
             a.sinks.l.type = file_roll\na.sinks.l.channel = c\na.sinks.l.sink.directory = {0}/out\n\
             a.sinks.l.sink.pathManager.prefix = l\n",
            dir.path().display()
        );
        Config::parse(&base, "agent.conf", "a").unwrap_or_else(|error| panic!("{error}"))
    };
    let lines = |name: &str| (0..1000).map(|line| format!("{name} {line}\n")).collect::<String>();
    append(&dir.path().join("in/log"), &lines("log"));
    append(&dir.path().join("in/other"), &lines("other"));
    agent::run(config, UNTIL_IDLE, &Shutdown::new()).expect("nothing fails");
    let text = out(dir.path());
    let mut found: Vec<&str> = text.lines().collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((found.len(), text.lines().count()), (2000, 2000));
}
