//! `flumen put`, `take` and `demo` on real channels, as a shell sees them, and killed.
#![cfg(feature = "cli")]
#![allow(clippy::disallowed_methods, reason = "a test looks at plain files")]

#[path = "support/signals.rs"]
mod signals;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

fn command(name: &str, directory: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.arg(name).arg(directory).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the command with `input` on stdin.
fn run(name: &str, directory: &Path, options: &[&str], input: &[u8]) -> Output {
    let mut command = command(name, directory, options);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it can be started");
    let mut stdin = child.stdin.take().expect("it was piped");
    thread::scope(|scope| {
        // A command that fails early does not read all of it.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("it can be waited for")
    })
}

fn put(directory: &Path, options: &[&str], input: &[u8]) -> Output {
    run("put", directory, options, input)
}

fn take(directory: &Path, options: &[&str]) -> Output {
    run("take", directory, options, b"")
}

/// Asserts the exit code, and that stderr has each of `words`.
fn assert_ends(output: &Output, code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
}

/// In seconds: longer than any test may take.
const DAY: &str = "86400";

fn place() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory");
    let queue = place.path().join("queue");
    (place, queue)
}

#[test]
fn what_was_put_is_taken_byte_for_byte() {
    let (_place, queue) = place();
    let mut input = Vec::new();
    for number in 0..25_000u32 {
        let text = [b'x'; 300];
        let length = (number as usize * 7) % 300;
        writeln!(input, "{number} {}", String::from_utf8_lossy(&text[..length])).expect("memory");
        input.extend(if number % 100 == 0 { "\n" } else { "" }.as_bytes());
    }
    input.extend(b"\xff\x00 the last line has no newline");
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    let options = ["--ack", "--batch", "1000", "--batch-timeout", DAY, "--segment-size", "64K"];
    let output = put(&queue, &options, &input);
    assert_ends(&output, 0, &[]);
    let mut expected: Vec<usize> = (1..=lines / 1000).map(|batch| batch * 1000).collect();
    expected.push(lines);
    let acks = String::from_utf8(output.stdout).expect("digits");
    let acks: Vec<usize> = acks.lines().map(|ack| ack.parse().expect("a number")).collect();
    assert_eq!(acks, expected);

    let first = take(&queue, &["--max", "1", "--batch", "10"]);
    assert_ends(&first, 0, &[]);
    assert_eq!(first.stdout, b"0 \n");
    let rest = take(&queue, &["--wait", "0.01"]);
    assert_ends(&rest, 0, &[]);
    assert!(rest.stderr.is_empty());
    input.push(b'\n');
    assert!(rest.stdout == input[3..]);
    assert!(take(&queue, &[]).stdout.is_empty());
}

#[test]
fn nothing_put_is_nothing_done() {
    let (_place, queue) = place();
    let output = put(&queue, &["--ack"], b"");
    assert_ends(&output, 0, &[]);
    assert!(output.stdout.is_empty());
}

#[test]
fn take_makes_no_channel() {
    let (place, queue) = place();
    assert_ends(&take(&queue, &[]), 2, &["queue", "no channel"]);
    assert!(!queue.exists());
    std::fs::write(place.path().join("note"), "mine").expect("room");
    assert_ends(&take(place.path(), &[]), 2, &["no channel"]);
    let names = std::fs::read_dir(place.path()).expect("it is there");
    assert_eq!(names.count(), 1);
}

#[test]
fn a_file_is_no_channel_and_stays_what_it_is() {
    let (place, _) = place();
    let file = place.path().join("file");
    std::fs::write(&file, "mine").expect("room");
    for output in [put(&file, &[], b"a\n"), take(&file, &[])] {
        assert_ends(&output, 2, &["file", "not a directory"]);
    }
    assert_eq!(std::fs::read(&file).expect("it is there"), b"mine");
}

/// Started with `nohup`, it goes on when the terminal goes away.
#[cfg(unix)]
#[test]
fn a_hang_up_that_is_ignored_stays_so() {
    let (_place, queue) = place();
    let line = "trap '' HUP; exec \"$0\" put \"$1\" --batch 1 --ack";
    let mut shell = Command::new("sh");
    shell.args(["-c", line, env!("CARGO_BIN_EXE_flumen")]).arg(&queue);
    let mut child = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut stdin = child.stdin.take().expect("it was piped");
    let mut acks = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    stdin.write_all(b"first\n").expect("it reads");
    assert_eq!(acks.next().expect("an ack").expect("text"), "1");
    let killed = Command::new("kill").args(["-HUP", &child.id().to_string()]).status();
    assert!(killed.expect("there is a kill").success());
    stdin.write_all(b"second\n").expect("it reads");
    assert_eq!(acks.next().expect("an ack").expect("text"), "2");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

/// Nobody waits for lines that may never come: the rest of a batch is committed after a while of its own.
#[test]
fn lines_of_a_silent_stream_are_committed() {
    let (_place, queue) = place();
    for options in [&["--ack", "--batch-timeout", "0.05"][..], &["--ack"]] {
        let mut child = command("put", &queue, options);
        let mut child = child.stdin(Stdio::piped()).spawn().expect("it can be started");
        let mut stdin = child.stdin.take().expect("it was piped");
        let mut acks = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        stdin.write_all(b"first\nsecond\nthe begin").expect("it reads");
        assert_eq!(acks.next().expect("an ack").expect("text"), "2");
        stdin.write_all(b"ning of the third\n").expect("it reads");
        assert_eq!(acks.next().expect("an ack").expect("text"), "3");
        drop(stdin);
        assert!(child.wait().expect("it ends").success());
        assert_eq!(acks.next().map(|ack| ack.expect("text")), None);
    }
    let lines = "first\nsecond\nthe beginning of the third\n".repeat(2);
    assert_eq!(take(&queue, &[]).stdout, lines.as_bytes());
}

/// A limit on the size of files stands in for a small disk.
#[test]
fn a_segment_that_does_not_fit_is_smaller() {
    let (_place, queue) = place();
    let line = "ulimit -f $2; trap '' XFSZ; echo hello | exec \"$0\" put \"$1\"";
    let put = |blocks: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, env!("CARGO_BIN_EXE_flumen")]).arg(&queue).arg(blocks);
        shell.stdin(Stdio::null()).output().expect("there is a shell")
    };
    assert_ends(&put("4"), 3, &["queue", "free space"]);
    // A MiB is room for a segment, and not for a file of the reserve.
    assert_ends(&put("2048"), 3, &["no room", "it lacks ", " of 4915200 bytes"]);
    assert_ends(&put("8192"), 0, &[]);
    assert_eq!(take(&queue, &[]).stdout, b"hello\n");
}

#[test]
fn a_channel_in_use_is_left_alone() {
    let (_place, queue) = place();
    let mut owner = command("put", &queue, &["--ack", "--batch", "1"]);
    let mut owner = owner.stdin(Stdio::piped()).spawn().expect("it can be started");
    let mut stdin = owner.stdin.take().expect("it was piped");
    stdin.write_all(b"first\n").expect("it reads");
    let mut ack = String::new();
    let stdout = owner.stdout.take().expect("it was piped");
    BufReader::new(stdout).read_line(&mut ack).expect("an ack");
    assert_eq!(ack, "1\n", "each batch is committed before the next line comes");
    assert_ends(&put(&queue, &[], b"second\n"), 3, &["in use"]);
    assert_ends(&take(&queue, &[]), 3, &["in use"]);
    drop(stdin);
    assert!(owner.wait().expect("it ends").success());
    assert_eq!(take(&queue, &[]).stdout, b"first\n");
}

#[test]
fn a_full_channel_says_how_much_is_durable() {
    let (_place, queue) = place();
    let options = ["--capacity=5", "--put-wait=0", "--batch=2", "--batch-timeout", DAY, "--ack"];
    let output = put(&queue, &options, b"a\nb\nc\nd\ne\nf\ng\n");
    assert_ends(&output, 3, &["line 6", "full", "durable events of this run: 4"]);
    assert_eq!(output.stdout, b"2\n4\n");
    let output = put(&queue, &["--capacity", "2", "--put-wait", "0"], b"x\n");
    assert_ends(&output, 3, &["line 1", "durable events of this run: 0"]);
    assert_ends(&put(&queue, &["--capacity", "6"], b"e\nf\n"), 0, &[]);
    assert_eq!(take(&queue, &[]).stdout, b"a\nb\nc\nd\ne\nf\n");
}

#[test]
fn a_batch_above_the_capacity_is_cut_to_it() {
    let (_place, queue) = place();
    let output = put(&queue, &["--capacity", "3", "--put-wait", "0"], b"a\nb\nc\nd\n");
    assert_ends(&output, 3, &["line 4", "durable events of this run: 3"]);
}

#[test]
fn a_line_larger_than_an_event_is_named() {
    let (_place, queue) = place();
    let mut input = b"a\nb\n".to_vec();
    input.resize(input.len() + flumen::EVENT_SIZE_MAX as usize + 1, b'x');
    let output = put(&queue, &["--batch", "2"], &input);
    // Not 2, which says that nothing was changed.
    assert_ends(&output, 3, &["line 3", "durable events of this run: 2"]);
    assert_eq!(take(&queue, &[]).stdout, b"a\nb\n");
}

#[test]
fn an_event_that_the_channel_can_never_hold_is_named() {
    let (_place, queue) = place();
    let options = ["--batch", "1", "--capacity-bytes", "100"];
    let output = put(&queue, &options, &[b"a\n", [b'x'; 200].as_slice(), b"\n"].concat());
    assert_ends(&output, 3, &["line 2", "larger", "durable events of this run: 1"]);
    assert_eq!(take(&queue, &[]).stdout, b"a\n");
}

#[test]
fn a_stdin_that_cannot_be_read_is_an_error() {
    let (place, queue) = place();
    let directory = std::fs::File::open(place.path()).expect("it is there");
    let output = command("put", &queue, &[]).stdin(directory).output().expect("it ends");
    assert_ends(&output, 3, &["stdin", "durable events of this run: 0"]);
}

#[test]
fn what_a_closed_stdout_did_not_take_stays_in_the_channel() {
    let (_place, queue) = place();
    assert_ends(&put(&queue, &[], b"a\nb\n"), 0, &[]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command("take", &queue, &[]).stdout(writer).output().expect("it ends");
    assert_ends(&output, 3, &["stdout", "taken for good by this run: 0", "stay in the channel"]);
    let full = std::fs::File::options().write(true).open("/dev/full");
    if let Ok(full) = full {
        let output = command("take", &queue, &[]).stdout(full).output().expect("it ends");
        assert_ends(&output, 3, &["stdout", "taken for good by this run: 0"]);
    }
    assert_eq!(take(&queue, &[]).stdout, b"a\nb\n");
}

/// A stdout that was closed before the start cannot fail: the standard library puts the null device there.
#[test]
fn a_stdout_closed_from_the_start_takes_nothing() {
    let (_place, queue) = place();
    assert_ends(&put(&queue, &[], b"a\nb\n"), 0, &[]);
    let shell = |redirection: &str| {
        let line = format!("exec \"$0\" take \"$1\" --max 1 {redirection}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_flumen")]).arg(&queue);
        shell.output().expect("there is a shell")
    };
    assert_ends(&shell(">&-"), 3, &["stdout is closed", "> /dev/null"]);
    assert_ends(&shell("> /dev/null"), 0, &[]);
    assert_eq!(take(&queue, &[]).stdout, b"b\n");
}

#[test]
fn acks_that_nobody_reads_end_the_run_after_a_commit() {
    let (_place, queue) = place();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = command("put", &queue, &["--ack", "--batch", "1"]);
    let mut child = child.stdin(Stdio::piped()).stdout(writer).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(b"a\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends without the end of stdin");
    assert_ends(&output, 3, &["stdout", "durable events of this run: 1"]);
    drop(stdin);
    assert_eq!(take(&queue, &[]).stdout, b"a\n");
}

/// What a storm of kills knows of a channel: all that came out, in order, and what must come.
struct Storm {
    queue: PathBuf,
    /// Numbers of (run, line) that came out, each once.
    taken: Vec<(usize, usize)>,
    /// For each run of `put`, how many lines were acknowledged.
    acknowledged: Vec<usize>,
    random: u64,
}

const BATCH: usize = 7;

impl Storm {
    /// A number from 0 to one less than `end` (an LCG; the seed is fixed, so a failure repeats).
    fn below(&mut self, end: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) as usize % end
    }

    /// Puts lines until a random number was acknowledged, then kills.
    fn put_and_kill(&mut self) {
        let run = self.acknowledged.len();
        let options = ["--ack", "--batch", "7", "--segment-size", "64K"];
        let mut child = command("put", &self.queue, &options);
        let mut child = child.stdin(Stdio::piped()).spawn().expect("it can be started");
        let mut stdin = child.stdin.take().expect("it was piped");
        let acks = BufReader::new(child.stdout.take().expect("it was piped"));
        let wanted = self.below(40) + 1;
        let writer = thread::spawn(move || {
            let text = "y".repeat(200);
            // Ends when the reader is killed.
            for line in 0.. {
                if writeln!(stdin, "{run} {line} {text}").is_err() {
                    break;
                }
            }
        });
        let mut lines = acks.lines();
        let mut last = lines.by_ref().take(wanted).map(|ack| ack.expect("text")).last();
        kill(&mut child);
        // What was written before the kill and is read only now is an acknowledgement like any other.
        for ack in lines.map_while(Result::ok) {
            last = Some(ack);
        }
        writer.join().expect("it does not panic");
        let last = last.unwrap_or_else(|| panic!("no ack: {}", said(&mut child)));
        self.acknowledged.push(last.parse().expect("a number"));
    }

    /// Takes until a random number of lines came out, then kills; with `None` takes all.
    fn take_and_kill(&mut self, most: Option<usize>) {
        let options = ["--batch", "7", "--segment-size", "64K"];
        let mut child = command("take", &self.queue, &options).spawn().expect("it can be started");
        let mut output = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut came = Vec::new();
        let mut line = String::new();
        while came.len() < most.unwrap_or(usize::MAX)
            && output.read_line(&mut line).expect("text") > 0
        {
            came.push(numbers(&line));
            line.clear();
        }
        if most.is_some() {
            kill(&mut child);
            let mut rest = String::new();
            output.read_to_string(&mut rest).expect("text");
            // The pipe may hold the first part of a line.
            came.extend(rest.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(numbers));
        } else {
            let status = child.wait().expect("it ends");
            assert!(status.success(), "{}", said(&mut child));
        }
        self.account_for(&came);
    }

    /// What came out must go on where the last take that committed ended.
    fn account_for(&mut self, came: &[(usize, usize)]) {
        let Some(first) = came.first() else {
            return;
        };
        let known = self.taken.iter().rposition(|taken| taken == first);
        let start = known.unwrap_or(self.taken.len());
        let again = self.taken.len() - start;
        assert!(again <= BATCH, "{again} events came again, more than one transaction");
        let overlap = again.min(came.len());
        assert_eq!(self.taken[start..start + overlap], came[..overlap]);
        self.taken.extend(&came[overlap..]);
    }

    /// Of each run the first lines, all that were acknowledged at least, without a gap, run after run.
    fn assert_complete(&self) {
        let mut next = self.taken.iter().peekable();
        for (run, acknowledged) in self.acknowledged.iter().enumerate() {
            let mut lines = 0;
            while next.next_if_eq(&&(run, lines)).is_some() {
                lines += 1;
            }
            assert!(lines >= *acknowledged, "run {run}: {lines} of {acknowledged}");
        }
        assert_eq!(next.next(), None, "out of order");
    }
}

fn numbers(line: &str) -> (usize, usize) {
    let mut words = line.split(' ').map(|word| word.parse().expect("a number"));
    let numbers = (words.next(), words.next());
    (numbers.0.expect("a run"), numbers.1.expect("a line"))
}

fn kill(child: &mut Child) {
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

fn said(child: &mut Child) -> String {
    let mut text = String::new();
    let stderr = child.stderr.as_mut().expect("it was piped");
    stderr.read_to_string(&mut text).expect("text");
    text
}

/// Each round kills a `put` and a `take`. `FLUMEN_KILL_ROUNDS=100` makes it the long form, of 200 kills.
fn rounds() -> u32 {
    let rounds = std::env::var("FLUMEN_KILL_ROUNDS").ok();
    rounds.map_or(20, |rounds| rounds.parse().expect("a number"))
}

#[test]
fn nothing_acknowledged_is_lost_when_put_and_take_are_killed() {
    let (_place, queue) = place();
    let mut storm = Storm { queue, taken: Vec::new(), acknowledged: Vec::new(), random: 1 };
    for _ in 0..rounds() {
        storm.put_and_kill();
        let most = storm.below(250) + 1;
        storm.take_and_kill(Some(most));
    }
    storm.take_and_kill(None);
    storm.assert_complete();
}

#[test]
fn the_demo_delivers_each_line_once() {
    let place = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(["demo", "--lines", "20000", "--kills", "4", "--seed", "7", "--json", "--dir"])
        .arg(place.path())
        .output()
        .expect("it can be started");
    assert_ends(&output, 0, &["seed 7"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["lines_written"], 20_000);
    assert_eq!(report["lines_delivered"], 20_000);
    assert_eq!(report["kills"], 4);
    for fault in ["lost", "duplicated", "out_of_order", "altered"] {
        assert_eq!(report[fault], 0, "{fault}");
    }
    assert!(place.path().join("logs/access.log.1").exists(), "--dir keeps the files");
}

/// `put` on a stream that is silent: a signal commits the whole lines that have come, and says how many.
#[cfg(unix)]
#[test]
fn a_signal_ends_put_with_what_has_come() {
    for (name, number) in [("TERM", 15), ("HUP", 1)] {
        if name == "HUP" && signals::hang_ups_are_ignored() {
            continue;
        }
        ends_put_with_what_has_come(name, number);
    }
}

#[cfg(unix)]
fn ends_put_with_what_has_come(name: &str, number: i32) {
    let (_place, queue) = place();
    let options = ["--batch", "100", "--batch-timeout", DAY, "--ack"];
    let mut command = command("put", &queue, &options);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it can be started");
    let mut stdin = child.stdin.take().expect("it was piped");
    // The first hundred are acknowledged, so the signals are watched and the rest has come with them.
    let lines: String = (0..130).map(|line| format!("{line}\n")).collect();
    stdin.write_all(lines.as_bytes()).expect("it reads");
    stdin.write_all(b"half a li").expect("it reads");
    let mut acks = BufReader::new(child.stdout.take().expect("it was piped")).lines();
    assert_eq!(acks.next().expect("an ack").expect("text"), "100");
    let pid = child.id().to_string();
    let killed = Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(killed.expect("there is a kill").success());
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(128 + number));
    let rest: Vec<String> = acks.map_while(Result::ok).collect();
    assert!(said(&mut child).contains("durable events of this run: 1"));
    let taken = String::from_utf8(take(&queue, &[]).stdout).expect("text");
    let count: usize = rest.last().map_or(100, |last| last.parse().expect("a number"));
    assert_eq!(taken.lines().count(), count);
    assert!(!taken.contains("half"));
    drop(stdin);
}
