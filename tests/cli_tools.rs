//! The offline commands: exit codes, JSON, tables.
#![cfg(feature = "cli")]
#![allow(clippy::disallowed_methods, reason = "tests damage plain files and run a program")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flumen::{Channel, ChannelOptions, Event, FileChannel};
use serde_json::Value;

fn flumen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flumen")).args(arguments).output().expect("the program runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A closed channel of ten events in one record, three of them taken, and its only segment.
fn channel(place: &Path) -> (PathBuf, PathBuf) {
    let directory = place.join("queue");
    let options = ChannelOptions::new().segment_size(64 << 10);
    let channel = FileChannel::open(&directory, options).expect("opens");
    let mut put = channel.begin_put();
    for number in 0..10 {
        put.put(Event::new(format!("event {number}"))).expect("room");
    }
    put.set_cursor("source", b"at 10").expect("valid");
    put.commit().expect("commits");
    let mut take = channel.begin_take();
    for _ in 0..3 {
        take.take().expect("reads").expect("there is one");
    }
    take.commit().expect("commits");
    channel.close().expect("closes");
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(&directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            segments.push(path);
        }
    }
    assert_eq!(segments.len(), 1);
    (directory, segments.remove(0))
}

/// Flips a bit in the last event's body.
fn damage(segment: &Path) {
    let mut bytes = std::fs::read(segment).expect("readable");
    let at = bytes.windows(7).position(|window| window == b"event 9").expect("it is there");
    bytes[at] ^= 1;
    std::fs::write(segment, bytes).expect("writable");
}

#[test]
fn a_whole_channel() {
    let place = tempfile::tempdir().expect("a directory");
    let (directory, _) = channel(place.path());
    let output = flumen(&["inspect", text(&directory), "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let found = json(&output);
    for (key, wanted) in
        [("events", 7), ("oldest_sequence", 3), ("next_sequence", 10), ("segments", 1)]
    {
        assert_eq!(found[key], wanted, "{key}");
    }
    assert_eq!((&found["clean"], &found["in_use"]), (&true.into(), &false.into()));
    assert_eq!((&found["replay_bytes"], &found["bytes"]), (&0.into(), &(7 * 15).into()));
    assert_eq!(found["cursors"]["source"], "at 10");
    assert!(found["disk_bytes"].as_u64().is_some_and(|bytes| bytes > 65_536));
    let table = flumen(&["inspect", text(&directory)]).stdout;
    assert!(String::from_utf8_lossy(&table).contains("next sequence"));
    let output = flumen(&["verify", text(&directory), "--json"]);
    assert_eq!((output.status.code(), &json(&output)["intact"]), (Some(0), &true.into()));
    let output = flumen(&["dump", text(&directory), "--json"]);
    let lines = String::from_utf8(output.stdout).expect("text");
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["kind"].to_string())
        .collect();
    assert_eq!(kinds, ["\"segment\"", "\"state\"", "\"put\"", "\"ack\"", "\"close\""]);
    let new = place.path().join("new");
    let output = flumen(&["salvage", text(&directory), "--to", text(&new), "--json"]);
    assert_eq!((output.status.code(), &json(&output)["events"]), (Some(0), &7.into()));
    let output = flumen(&["take", text(&new)]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("event 3\nevent 4\n"));
}

#[test]
fn a_damaged_channel() {
    let place = tempfile::tempdir().expect("a directory");
    let (directory, segment) = channel(place.path());
    damage(&segment);
    let output = flumen(&["verify", text(&directory), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found = json(&output);
    assert_eq!(found["intact"], false);
    assert_eq!(found["findings"][0]["kind"], "damage");
    assert_eq!(found["findings"][0]["sequences"], serde_json::json!([0, 10]));
    assert_eq!(found["mended_by_opening"], false);
    let output = flumen(&["verify", text(&directory)]);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let cure = format!("`flumen salvage {} --to NEW`", text(&directory));
    assert!(lines.contains("cure: ") && lines.contains(&cure), "{lines}");
    let new = place.path().join("new");
    let output = flumen(&["salvage", text(&directory), "--to", text(&new), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["lost"], serde_json::json!([[3, 10]]));
    let output = flumen(&["salvage", text(&directory), "--to", text(&place.path().join("other"))]);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(lines.contains("lost: events 3..10"), "{lines}");
    let output = flumen(&["dump", text(&directory)]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("FLAW"));
}

/// Runs an agent on the channel until nothing is left in it.
fn drain(place: &Path, directory: &Path) -> Output {
    let file = place.join("agent.properties");
    let configuration = format!(
        "a1.channels = c\na1.sinks = k\na1.channels.c.type = file\na1.channels.c.dataDirs = {}\n\
         a1.sinks.k.type = null\na1.sinks.k.channel = c\n",
        directory.display()
    );
    std::fs::write(&file, configuration).expect("writable");
    flumen(&["agent", "--conf-file", text(&file), "--name", "a1", "--until-idle"])
}

/// An opening mends them in passing; whoever opens must hear that something is wrong with the place.
#[test]
fn lost_checkpoints_are_said_when_they_are_mended_and_what_they_witnessed_too() {
    for lost in [&["checkpoint-a"][..], &["checkpoint-b"], &["checkpoint-a", "checkpoint-b"]] {
        let place = tempfile::tempdir().expect("a directory");
        let (directory, _) = channel(place.path());
        let openings: [&dyn Fn() -> Output; 3] = [
            &|| flumen(&["take", text(&directory), "--max", "1"]),
            &|| flumen(&["put", text(&directory)]),
            &|| drain(place.path(), &directory),
        ];
        for open in openings {
            for slot in lost {
                std::fs::remove_file(directory.join(slot)).expect("it is there");
            }
            let output = flumen(&["verify", text(&directory)]);
            let lines = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(1), "{lines}");
            let is_one = lost.len() == 1;
            assert_eq!(
                lines.contains("every event is intact; the next opening"),
                is_one,
                "{lines}"
            );
            let output = flumen(&["verify", text(&directory), "--json"]);
            assert_eq!(json(&output)["mended_by_opening"], is_one);
            let output = open();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{message}");
            for slot in lost {
                let said = message.lines().find(|line| line.contains(slot)).unwrap_or(&message);
                assert!(said.contains("The opening has written it anew"), "{lost:?}: {message}");
                assert_eq!(said.contains("no event is concerned"), is_one, "{lost:?}: {message}");
            }
            let output = flumen(&["verify", text(&directory)]);
            let lines = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(0), "{lines}");
            assert!(!lines.contains("cure"), "{lines}");
        }
        let output = flumen(&["take", text(&directory)]);
        assert!(output.stderr.is_empty(), "once is enough");
    }
}

#[test]
fn usage_and_a_channel_in_use() {
    let place = tempfile::tempdir().expect("a directory");
    let (directory, _) = channel(place.path());
    let nowhere = place.path().join("nowhere");
    for command in ["inspect", "verify", "dump"] {
        assert_eq!(flumen(&[command, text(&nowhere)]).status.code(), Some(2), "{command}");
    }
    let to = ["salvage", text(&directory), "--to", text(&directory)];
    assert_eq!(flumen(&to).status.code(), Some(2), "the target is the channel");
    let new = place.path().join("new");
    let to = ["salvage", text(&nowhere), "--to", text(&new)];
    assert_eq!(flumen(&to).status.code(), Some(2), "no channel");
    assert!(!new.exists());
    let owner = FileChannel::open(&directory, ChannelOptions::new()).expect("opens");
    assert_eq!(flumen(&["verify", text(&directory)]).status.code(), Some(3));
    let output = flumen(&["inspect", text(&directory), "--json"]);
    assert_eq!((output.status.code(), &json(&output)["in_use"]), (Some(0), &true.into()));
    drop(owner);
    for command in ["inspect", "verify", "salvage", "dump"] {
        let output = flumen(&[command, "--help"]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{command}");
    }
}

#[test]
fn an_agent_that_meets_damage_says_so_with_its_exit_code() {
    let place = tempfile::tempdir().expect("a directory");
    let (directory, segment) = channel(place.path());
    damage(&segment);
    let output = drain(place.path(), &directory);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("damaged"), "{message}");
}
