//! Directories of format version 1 as they were once written (`tests/golden/v1`), opened for ever: a new, a
//! closed, a killed channel, a torn end, a recycled segment, a rest carried over, and so on. What must be
//! found was written down with them, from what the channel had promised (I1 to I5). Each is also verified,
//! opened by a reader in another language, and used further.
//!
//! A directory is stored as text; it is laid out on the real disk before it is opened. The files are never
//! written again: one that is there stays as it is, whatever the engine writes today. After a change of the
//! format, or of what the engine writes within it, add a directory with a new name:
//! `cargo test --test golden -- --ignored` writes those of `tests/golden/scenes.rs` that are missing.
//!
//! Not covered: what an *older* program makes of a newer directory, except that an unknown version is
//! refused.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "directories on the real disk; a skipped test must be heard"
)]

#[path = "golden/scenes.rs"]
mod scenes;
mod support;
#[path = "golden/text.rs"]
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use flumen::{Channel, ChannelOptions, Event, FileChannel, OpenError};
use scenes::{SCENES, cursor_line, event_line};
use support::effort::figure;
use text::{Golden, decode, encode};

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// All that are stored, by name.
fn stored() -> BTreeMap<String, Golden> {
    let files = fs::read_dir(home()).expect("it is committed").map(|file| file.expect("readable"));
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, Golden::from_text(&fs::read_to_string(path).expect("readable")))
    };
    files.map(|file| read(file.path())).collect()
}

impl Golden {
    /// On the real disk.
    fn lay_out(&self, directory: &Path) {
        fs::create_dir(directory).expect("room for tests");
        for (name, bytes) in &self.files {
            fs::write(directory.join(name), bytes).expect("room for tests");
        }
    }

    fn events(&self) -> Vec<&str> {
        self.expected.iter().map(String::as_str).filter(|line| line.starts_with("event")).collect()
    }
}

fn open(directory: &Path) -> Result<FileChannel, OpenError> {
    let options = ChannelOptions::new().create(false).background(false).segment_size(64 << 10);
    FileChannel::open(directory, options)
}

/// What a channel says and delivers; nothing of it is committed.
fn found(opened: &Result<FileChannel, OpenError>) -> Vec<String> {
    let channel = match opened {
        Ok(channel) => channel,
        Err(OpenError::Corrupt(_)) => return vec!["verdict damage".into()],
        Err(OpenError::Unsupported { .. }) => return vec!["verdict unsupported".into()],
        Err(other) => panic!("opening: {other}"),
    };
    let verdict = if channel.recovery().clean { "verdict clean" } else { "verdict unclean" };
    let mut lines = vec![verdict.to_string(), format!("next {}", channel.stats().next_sequence)];
    let cursors = channel.cursors("");
    lines.extend(cursors.iter().map(|(name, value)| cursor_line(name, value)));
    let mut take = channel.begin_take();
    while let Some(event) = take.take().expect("readable") {
        lines.push(event_line(&event));
    }
    lines
}

/// What verifying says, in a word; it must agree with what is found otherwise.
fn verify(golden: &Golden, directory: &Path, name: &str) -> String {
    let verification = flumen::tools::verify(directory, &mut |_, _| {}).expect("verifying works");
    if verification.is_intact() {
        assert_eq!(verification.events, golden.events().len() as u64, "{name}");
        assert_eq!(verification.clean, golden.expected[0] == "verdict clean", "{name}");
    }
    format!("verify {}", if verification.is_intact() { "intact" } else { "damage" })
}

/// An old directory is a channel like any other: puts, takes, a checkpoint, a close.
fn use_further(golden: &Golden, channel: FileChannel, directory: &Path, name: &str) {
    let next = channel.stats().next_sequence;
    let cursors = channel.cursors("");
    let new: Vec<Event> = (0..6).map(|index| Event::new(vec![index; 20_000])).collect();
    for event in &new {
        let mut put = channel.begin_put();
        put.put(event.clone()).expect("there is room");
        put.commit().expect("commits");
    }
    let mut lines = Vec::new();
    let mut take = channel.begin_take();
    while let Some(event) = take.take().expect("readable") {
        lines.push(event_line(&event));
    }
    take.commit().expect("commits");
    let mut expected: Vec<String> = golden.events().iter().map(ToString::to_string).collect();
    expected.extend(new.iter().map(event_line));
    assert_eq!(lines, expected, "{name}: I3, I4");
    channel.checkpoint().expect("works");
    channel.close().expect("closes");
    drop(channel);
    let channel = open(directory).expect("opens again");
    assert!(channel.recovery().clean, "{name}");
    assert_eq!(channel.stats().next_sequence, next + 6, "{name}");
    assert_eq!(channel.stats().events, 0, "{name}: I5");
    assert_eq!(channel.cursors(""), cursors, "{name}");
}

#[test]
fn i1_to_i5_every_directory_of_version_1_holds_what_was_promised() {
    let root = tempfile::tempdir().expect("a directory for tests");
    let stored = stored();
    for (name, golden) in &stored {
        let directory = root.path().join(name);
        golden.lay_out(&directory);
        let verified = verify(golden, &directory, name);
        let opened = open(&directory);
        let mut lines = found(&opened);
        lines.push(verified);
        assert_eq!(lines, golden.expected, "{name}: {}", golden.about);
        if let Ok(channel) = opened {
            use_further(golden, channel, &directory, name);
        }
    }
    figure("golden.directories", stored.len() as u64, 25);
}

/// A line of the other program's, as it stands in a stored file. It says more: sequences, and which unclean
/// end.
fn as_stored(line: &str) -> String {
    let again = |hex: &str| encode(&decode(hex));
    if let Some((verdict, _reason)) = line.split_once(": ") {
        return verdict.to_string();
    }
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["verdict", "blank" | "torn"] => "verdict unclean".to_string(),
        ["cursor", name, value] => format!("cursor {} {}", again(name), again(value)),
        ["event", _, body, headers @ ..] => {
            let pair = |pair: &&str| {
                let (key, value) = pair.split_once('=').expect("a pair");
                format!(" {}={}", again(key), again(value))
            };
            format!("event {}{}", again(body), headers.iter().map(pair).collect::<String>())
        }
        _ => line.to_string(),
    }
}

#[test]
fn a_reader_in_another_language_finds_the_same() {
    let root = tempfile::tempdir().expect("a directory for tests");
    let stored = stored();
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/reader.py"));
    for (name, golden) in &stored {
        golden.lay_out(&root.path().join(name));
        command.arg(root.path().join(name));
    }
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "SKIPPED: there is no python3, so the stored directories were read by us only"
            );
            return;
        }
        output => output.expect("python3 runs"),
    };
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("plain text");
    let blocks: Vec<&str> = text.split("directory ").skip(1).collect();
    assert_eq!(blocks.len(), stored.len());
    for ((name, golden), block) in stored.iter().zip(blocks) {
        let lines: Vec<String> = block.lines().skip(1).map(as_stored).collect();
        let expected = golden.expected.iter().filter(|line| !line.starts_with("verify"));
        assert!(lines.iter().eq(expected), "{name}: {}: {lines:?}", golden.about);
    }
}

/// The segments of these scenes are determined by the format: one segment, written once.
const DETERMINED: [&str; 6] = ["new", "shapes", "closed", "killed", "cursors", "ranges"];

/// A change of the format that nobody meant shows here, before it is in anybody's directory.
#[test]
fn the_segments_of_version_1_are_still_written_so() {
    let stored = stored();
    for name in DETERMINED {
        let scene = SCENES.iter().find(|scene| scene.name == name).expect("a scene");
        let today = scene.directory();
        let file = "00000000000000000001.seg";
        let (today, then) = (&today.files[file], &stored[name].files[file]);
        let first = today.iter().zip(then).position(|(today, then)| today != then);
        assert!(
            first.is_none() && today.len() == then.len(),
            "{name}: {file} differs from {first:?} on. Has the format changed? Then it needs a new version \
             and new directories beside these; these stay."
        );
    }
}

#[test]
fn text_and_bytes_are_the_same() {
    for scene in &SCENES {
        let golden = scene.directory();
        assert_eq!(Golden::from_text(&golden.to_text()), golden, "{}", scene.name);
    }
}

#[test]
#[ignore = "writes the stored directories that are missing; run by hand when a scene is added"]
fn write_what_is_missing() {
    fs::create_dir_all(home()).expect("writable");
    for scene in &SCENES {
        let path = home().join(scene.name).with_extension("txt");
        if !path.exists() {
            fs::write(path, scene.directory().to_text()).expect("writable");
        }
    }
}
