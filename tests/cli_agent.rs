//! `flumen agent` as a shell sees it, with channels in memory: nothing here needs a disk that lasts.
#![cfg(feature = "cli")]
#![allow(clippy::disallowed_methods, reason = "a test looks at plain files")]

#[path = "support/signals.rs"]
mod signals;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A directory with a log of `lines`, an empty directory for the files of a sink, and the properties file
/// of an agent `a1` that connects the two, or a sink of another type.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new(lines: &str, sink: &str) -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("text");
        fs::create_dir(directory.path().join("logs")).expect("room");
        fs::create_dir(directory.path().join("delivered")).expect("room");
        fs::write(directory.path().join("logs/app.log"), lines).expect("room");
        let text = format!(
            "\
a1.sources = s
a1.channels = c
a1.sinks = k
a1.sources.s.type = TAILDIR
a1.sources.s.channels = c
a1.sources.s.filegroups = g
a1.sources.s.filegroups.g = {path}/logs/app.log.*
a1.channels.c.type = memory
a1.sinks.k.type = {sink}
a1.sinks.k.channel = c
"
        );
        let place = Place { directory };
        fs::write(place.file(), text).expect("room");
        place
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("agent.properties")
    }

    fn append(&self, line: &str) {
        let mut text = fs::read_to_string(self.file()).expect("it was written");
        text.push_str(line);
        fs::write(self.file(), text).expect("room");
    }

    fn with_files(lines: &str) -> Place {
        let place = Place::new(lines, "file_roll");
        let path = place.directory.path().display().to_string();
        place.append(&format!(
            "a1.sinks.k.sink.directory = {path}/delivered\na1.sinks.k.sink.rollInterval = 0\n"
        ));
        place
    }

    fn delivered(&self) -> String {
        let mut all = String::new();
        for file in fs::read_dir(self.directory.path().join("delivered")).expect("it was made") {
            let path = file.expect("it was listed").path();
            all.push_str(&fs::read_to_string(path).expect("text"));
        }
        all
    }
}

fn agent(file: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.arg("agent").arg("--conf-file").arg(file).args(["--name", name]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Asserts exit code 2 and a message with each of `words`.
fn assert_refused(file: &Path, name: &str, words: &[&str]) {
    let output = agent(file, name).output().expect("it can be started");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
}

#[test]
fn until_idle_delivers_everything_and_ends() {
    let place = Place::with_files("one\ntwo\n\nthree\n");
    let output = agent(&place.file(), "a1").arg("--until-idle").output().expect("it ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(output.stdout.is_empty());
    assert_eq!(place.delivered(), "one\ntwo\n\nthree\n");
    for word in [
        "channel c is open and holds 0 events",
        "started; sources: s -> c; sinks: c -> k",
        "stopped",
    ] {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
}

#[test]
fn the_log_says_which_component_speaks() {
    let place = Place::new("one\n", "logger");
    let output = agent(&place.file(), "a1").arg("--until-idle").output().expect("it ends");
    let message = String::from_utf8_lossy(&output.stderr);
    let line = message.lines().find(|line| line.contains("Event:")).expect("it is logged");
    assert!(line.contains("sink{name=k}"), "{line}");
}

#[test]
fn a_pattern_that_matches_nothing_is_said() {
    let place = Place::new("one\n", "logger");
    let text = fs::read_to_string(place.file()).expect("it was written");
    fs::write(place.file(), text.replace("app.log", "ap.log")).expect("room");
    let output = agent(&place.file(), "a1").arg("--until-idle").output().expect("it ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("logs matches ap.log.* yet"), "{message}");
}

#[test]
fn every_mistake_is_named_and_nothing_is_started() {
    let place = Place::with_files("one\n");
    place.append(
        "a1.sources.s.batchSize = many\na1.channels.c.capacity = -1\na1.sinks.k.colour = red\n",
    );
    assert_refused(
        &place.file(),
        "a1",
        &[
            "agent.properties:13",
            "many",
            "agent.properties:14",
            "-1",
            "agent.properties:15",
            "colour",
        ],
    );
    assert_eq!(place.delivered(), "");
}

#[test]
fn an_agent_that_is_not_in_the_file_is_refused() {
    let place = Place::with_files("one\n");
    assert_refused(&place.file(), "a2", &["a2"]);
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let place = Place::with_files("one\n");
    assert_refused(&place.directory.path().join("none"), "a1", &["none"]);
    assert_refused(place.directory.path(), "a1", &[]);
    assert_refused(Path::new("/dev/zero"), "a1", &["/dev/zero"]);
    fs::write(place.file(), b"# one\n# two\na1.sources = \xff\n").expect("room");
    assert_refused(&place.file(), "a1", &["line 3", "UTF-8"]);
}

#[test]
fn a_mark_of_the_encoding_is_no_part_of_the_first_key() {
    let place = Place::with_files("one\n");
    let text = fs::read_to_string(place.file()).expect("it was written");
    fs::write(place.file(), format!("\u{feff}{text}")).expect("room");
    let output = agent(&place.file(), "a1").arg("--until-idle").output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An agent that logs its events, and has logged the first.
fn running(place: &Place) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = agent(&place.file(), "a1").spawn().expect("it can be started");
    let mut log = BufReader::new(child.stderr.take().expect("it was piped"));
    let mut line = String::new();
    while !line.contains("first line") {
        line.clear();
        assert!(log.read_line(&mut line).expect("text") > 0, "it ended early");
    }
    (child, log)
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.expect("there is a shell").success());
}

#[test]
fn a_signal_ends_it_well() {
    for name in ["TERM", "INT", "HUP"] {
        if name == "HUP" && signals::hang_ups_are_ignored() {
            continue;
        }
        let place = Place::new("first line\n", "logger");
        let (mut child, _log) = running(&place);
        signal(&child, name);
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{name}");
    }
}

#[test]
fn a_terminal_that_went_away_does_not_end_it() {
    let place = Place::new(&"a line\n".repeat(1000), "logger");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = agent(&place.file(), "a1");
    let status = command.arg("--until-idle").stderr(writer).status();
    assert_eq!(status.expect("it ends").code(), Some(0));
}
