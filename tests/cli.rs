//! The program as a shell sees it: help, exit codes, stdout and stderr. Nothing here needs a channel;
//! see `cli_channel.rs` for the rest.
#![cfg(feature = "cli")]
#![allow(clippy::disallowed_methods, reason = "a test looks at plain files")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

const COMMANDS: [&str; 4] = ["put", "take", "agent", "demo"];

fn flumen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started")
}

/// Asserts wrong usage: exit code 2, nothing on stdout, and a message that names each of `names`.
fn assert_usage(arguments: &[&str], names: &[&str]) {
    let output = flumen(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    for name in names {
        assert!(message.contains(name), "{arguments:?}: {name} is not in: {message}");
    }
}

#[test]
fn help_lists_each_command_and_the_exit_codes() {
    let output = flumen(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).expect("text");
    for command in COMMANDS {
        assert!(help.contains(&format!("  {command} ")), "{command} is not in: {help}");
    }
    for code in ["  0  done", "  1  ", "  2  usage", "  3  ", "  4  "] {
        assert!(help.contains(code), "{code} is not in: {help}");
    }
}

#[test]
fn each_command_has_help_with_an_example() {
    for command in COMMANDS {
        let output = flumen(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let help = String::from_utf8(output.stdout).expect("text");
        let example = format!("flumen {command} ");
        let examples = help.split_once("Example: ").expect(command).1;
        assert!(examples.contains(example.trim_end()), "{command}: {examples}");
    }
}

#[test]
fn wrong_usage_exits_with_2_and_names_what_is_wrong() {
    assert_usage(&[], &["Usage"]);
    assert_usage(&["fetch"], &["fetch"]);
    assert_usage(&["-v"], &["requires a subcommand", "put, take"]);
    assert_usage(&["put"], &["DIR"]);
    assert_usage(&["put", "q", "--batch", "0"], &["--batch", "0"]);
    assert_usage(&["put", "q", "--batch", "1000001"], &["--batch", "1000000"]);
    assert_usage(&["put", "q", "--header", "novalue"], &["--header", "KEY=VALUE"]);
    assert_usage(&["put", "q", "--durability", "often"], &["--durability", "interval="]);
    assert_usage(&["put", "q", "--segment-size", "15K"], &["--segment-size", "16 KiB"]);
    assert_usage(&["put", "q", "--segment-size", "64KB"], &["--segment-size", "K, M"]);
    assert_usage(&["put", "q", "--capacity", "0"], &["--capacity"]);
    assert_usage(&["put", "q", "--capacity-bytes", "0"], &["--capacity-bytes", "1 byte"]);
    assert_usage(&["put", "q", "--put-wait=-1"], &["--put-wait", "seconds"]);
    assert_usage(&["put", "q", "--batch-timeout", "soon"], &["--batch-timeout", "seconds"]);
    assert_usage(&["put", "q", "--batch", "-5"], &["'-5' for '--batch"]);
    assert_usage(&["put", "q", "--segment-size", "-1"], &["'-1' for '--segment-size", "64K"]);
    assert_usage(&["take", "q", "--wait", "-1"], &["'-1' for '--wait", "seconds"]);
    assert_usage(&["take", "q", "--max", "-1"], &["'-1' for '--max"]);
    assert_usage(&["take", "q", "--wait", "soon"], &["--wait", "seconds"]);
    assert_usage(&["take", "q", "--ack-durability", "os"], &["--ack-durability", "lazy="]);
    assert_usage(&["agent", "--name", "a1"], &["--conf-file"]);
    assert_usage(&["agent", "--conf-file", "f"], &["--name"]);
    assert_usage(&["demo", "--lines", "0"], &["--lines"]);
    assert_usage(&["demo", "--lines", "5", "--kills", "5"], &["--lines", "--kills"]);
    assert!(!Path::new("q").exists(), "wrong usage makes no channel");
}

/// What the benchmark tells its child processes is nobody else's business.
#[test]
fn no_message_names_a_command_that_is_none() {
    for arguments in [&["-v"][..], &["bench-chil"], &["help"], &["bench", "--help"]] {
        let output = flumen(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace("bench-chil'", "");
        assert!(!said.contains("child"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_demo_leaves_a_directory_with_other_things_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let note = directory.path().join("note");
    std::fs::write(&note, "mine").expect("room");
    let path = directory.path().to_str().expect("text");
    assert_usage(&["demo", "--dir", path], &[path, "not empty"]);
    let names = std::fs::read_dir(directory.path()).expect("it is there");
    assert_eq!(names.count(), 1);
    assert_eq!(std::fs::read(note).expect("it is there"), b"mine");
}

#[test]
fn the_demo_needs_a_place_it_can_make() {
    let output = flumen(&["demo", "--dir", "/dev/null/demo"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("/dev/null/demo"), "{message}");
}

#[test]
fn a_stderr_that_went_away_is_no_reason_to_panic() {
    // The reading end is closed before the program can say what is wrong with its arguments.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.args(["demo", "--dir", "/dev/null/demo"]);
    drop(reader);
    let status = command.stderr(writer).status();
    assert_eq!(status.expect("it can be started").code(), Some(3));
}
