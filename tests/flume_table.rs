//! The table in `docs/FLUME.md` and the tests it names: neither may have what the other has not.
#![allow(clippy::disallowed_methods, reason = "the test reads the tests' sources")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../docs/FLUME.md");

/// The names of the tests in `tests/flume_*/`.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut names = BTreeSet::new();
    for part in ["weaknesses", "measured", "behaviours"] {
        let listing = fs::read_dir(root.join(format!("flume_{part}")));
        for entry in listing.expect("the directory is part of the package") {
            let path = entry.expect("the directory is readable").path();
            let source = fs::read_to_string(path).expect("a source file");
            let tests = source.split("#[test]\n").skip(1);
            names.extend(tests.filter_map(|test| {
                let (_, rest) = test.split_once("fn ")?;
                let (name, _) = rest.split_once('(')?;
                Some(name.to_string())
            }));
        }
    }
    names
}

/// The names in the table that look like those of such tests.
fn named() -> BTreeSet<String> {
    let is_ours = |word: &&str| {
        let (prefix, rest) = word.split_once('_').unwrap_or_default();
        let is_row = prefix.len() == 3
            && prefix.starts_with(['c', 'p', 'm'])
            && prefix[1..].bytes().all(|byte| byte.is_ascii_digit());
        !rest.is_empty() && (is_row || prefix == "test")
    };
    let quoted = TABLE.split('`').skip(1).step_by(2);
    quoted.filter(is_ours).map(str::to_string).collect()
}

#[test]
fn every_test_is_in_the_table_and_every_name_in_the_table_is_a_test() {
    let (tests, named) = (tests(), named());
    assert!(tests.len() > 100, "{} tests found", tests.len());
    let unnamed: Vec<_> = tests.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&tests).collect();
    assert!(unnamed.is_empty(), "not in the table: {unnamed:?}");
    assert!(unknown.is_empty(), "no such tests: {unknown:?}");
}

#[test]
fn every_weakness_has_its_row() {
    let rows = (1..=18).map(|row| format!("| C{row} |"));
    for row in rows.chain((1..=12).map(|row| format!("| P{row} |"))) {
        assert!(TABLE.contains(&row), "{row} is missing");
    }
}
