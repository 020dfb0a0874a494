//! `flumen bench`, as a shell sees it: what it reports, what it leaves, and what it refuses. In a form so
//! small that its numbers mean nothing; none is asserted.
#![cfg(feature = "cli")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at plain files and waits for a process"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

fn bench(directory: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.arg("bench").arg("--tiny").args(options).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(directory: &Path, options: &[&str]) -> Output {
    bench(directory, options).output().expect("it can be started")
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(output.stdout.is_empty(), "nothing was measured");
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("readable"))).collect();
    names.sort();
    names
}

#[track_caller]
fn assert_complete(json: &Value) {
    let rows = json["rows"].as_array().expect("rows");
    for prefix in [
        "sync/512",
        "sync/4096",
        "sync/65536",
        "sync/1048576",
        "S1",
        "S2/100",
        "S2/1000",
        "S2/10000",
        "S3/8",
        "S3/64",
        "S4/64",
        "S4/512",
        "S4/4096",
        "S5/lazy",
        "S5/durable",
        "S5/lazy/4",
        "S5/durable/4",
        "S6/clean/",
        "S6/killed/",
        "S6/growth/",
        "S7/cached/",
        "S8/S1",
        "S8/drain/",
        "S10/replay/",
        "S10/verify/",
        "S10/salvage/",
        "S11",
        "kill/lost",
        "kill/duplicated",
        "kill/reordered",
    ] {
        let of = |row: &&Value| row["id"].as_str().is_some_and(|id| id.starts_with(prefix));
        let row = rows.iter().find(of).unwrap_or_else(|| panic!("there is no row {prefix}"));
        assert!(row["value"].is_number(), "{row}");
        assert!(!row["rounds"].as_array().expect("rounds").is_empty(), "{row}");
        if prefix.starts_with("kill/") {
            assert_eq!(row["value"], 0.0, "{row}");
        }
    }
    // Past the cache: all of them, or none where the file system does not allow it.
    let ids = rows.iter().filter_map(|row| row["id"].as_str());
    let direct: Vec<_> = ids.filter_map(|id| id.strip_suffix("/direct")).collect();
    let beside = ["sync/4096", "sync/65536", "sync/1048576", "S1", "S2/100", "S2/1000", "S2/10000"];
    assert!(direct.is_empty() || direct == beside, "{direct:?}");
    assert!(json["stolen"].is_null() || json["stolen"].is_number(), "{}", json["stolen"]);
    assert!(json["machine"]["cores"].as_u64().expect("a number") > 0);
    assert!(json["date"].as_str().expect("a date").ends_with('Z'));
    assert_eq!(json["flumen"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn all_is_measured_reported_and_cleared_away() {
    let place = tempfile::tempdir().expect("a directory");
    let output = run(place.path(), &["--json", "new.json", "--html", "new.html"]);
    let (table, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{table}\n{said}");
    assert_eq!(names(place.path()), ["new.html", "new.json"], "its own directory is gone");
    assert!(said.contains("removed afterwards"), "{said}");
    for word in ["S2/100", "of raw", "targets were met", "Beware: tiny form"] {
        assert!(table.contains(word), "{word} is not in: {table}");
    }
    let text = fs::read(place.path().join("new.json")).expect("it was written");
    assert_complete(&serde_json::from_slice(&text).expect("JSON"));

    let page = fs::read_to_string(place.path().join("new.html")).expect("it was written");
    assert!(page.matches("<svg").count() >= 5, "charts");
    assert!(page.contains("prefers-color-scheme: dark"));
    for fetched in ["src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(fetched), "a page that needs nothing else has no {fetched}");
    }

    // The same file again: it is compared with before it is replaced.
    let options = ["--dir", ".", "--compare", "new.json", "--json", "new.json"];
    let output = run(place.path(), &options);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(table.contains("compared with flumen"), "{table}");
    assert!(table.contains("noise"), "{table}");
    let again = fs::read(place.path().join("new.json")).expect("it was written");
    assert_ne!(text, again);
    assert_complete(&serde_json::from_slice(&again).expect("JSON, and nothing left of the old"));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_measured() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    fs::write(place.join("file"), "text").expect("writable");
    fs::write(place.join("foreign.json"), "{\"format\": 1}").expect("writable");
    fs::write(place.join("cut.json"), "{\"format\": \"flumen-bench\", ").expect("writable");

    assert_refused(&run(place, &["--dir", "absent"]), 2, &["absent is not there", "--dir"]);
    assert_refused(&run(place, &["--dir", "file"]), 2, &["file is no directory", "--dir"]);
    assert_refused(&run(place, &["--compare", "absent"]), 2, &["cannot read absent"]);
    let foreign = run(place, &["--compare", "foreign.json"]);
    assert_refused(&foreign, 2, &["foreign.json", "flumen bench --json"]);
    assert_refused(&run(place, &["--compare", "cut.json"]), 2, &["cut.json", "line 1"]);
    let nowhere = run(place, &["--json", "absent/x.json"]);
    assert_refused(&nowhere, 2, &["absent/x.json", "name another file"]);
    let twice = run(place, &["--json", "x", "--html", "x"]);
    assert_refused(&twice, 2, &["--json and --html", "x"]);
    // A file that was made only to see whether it can be written does not stay.
    let nowhere = run(place, &["--json", "x.json", "--html", "absent/x.html"]);
    assert_refused(&nowhere, 2, &["absent/x.html"]);
    assert_refused(&run(place, &["--quick"]), 2, &["--quick"]);
    assert_eq!(names(place), ["cut.json", "file", "foreign.json"]);
}

#[test]
fn an_interrupted_benchmark_clears_away_too() {
    for signal in ["INT", "TERM"] {
        let place = tempfile::tempdir().expect("a directory");
        let child = bench(place.path(), &["--json", "x.json"]).spawn().expect("it can be started");
        // Until it is at work: it has its directory, and a child process has made a file there.
        let is_at_work = || {
            let own = names(place.path()).into_iter().find(|name| name.starts_with("flumen-"));
            own.is_some_and(|own| !names(&place.path().join(own)).is_empty())
        };
        while !is_at_work() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("kill is there");
        assert!(sent.success());
        let output = child.wait_with_output().expect("it can be waited for");
        let number = if signal == "INT" { 2 } else { 15 };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(128 + number), "{said}");
        assert!(said.contains("interrupted"), "{said}");
        assert!(names(place.path()).is_empty(), "{:?}", names(place.path()));
    }
}
