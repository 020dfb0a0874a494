//! Findings of the offline tools, for people and for programs, and the progress of those tools.

use std::io::{self, Write};
use std::ops::Range;

use flumen::tools::{Finding, FindingKind};
use serde_json::{Value, json};

use super::progress::Progress;
use super::report;

/// A list of findings as JSON.
pub(crate) fn to_json(findings: &[Finding]) -> Vec<Value> {
    let one = |finding: &Finding| {
        json!({
            "file": finding.file,
            "offset": finding.offset,
            "kind": finding.kind.name(),
            "expected": finding.expected,
            "found": finding.found,
            "sequences": finding.sequences.as_ref().map(range),
        })
    };
    findings.iter().map(one).collect()
}

/// A range as two numbers, the second one behind the last; it is absent in a range without an end.
pub(crate) fn range(range: &Range<u64>) -> Value {
    match range.end {
        u64::MAX => json!([range.start]),
        end => json!([range.start, end]),
    }
}

/// One line for each finding.
pub(crate) fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))
}

/// How many of a kind there are.
pub(crate) fn count(findings: &[Finding], kind: FindingKind) -> u64 {
    findings.iter().filter(|finding| finding.kind == kind).count() as u64
}

/// Runs `work` with a progress bar for bytes.
pub(crate) fn with_progress<T>(done: &str, work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let mut bar: Option<Progress> = None;
    work(&mut |at, total| {
        let bar = bar.get_or_insert_with(|| Progress::bar(total));
        bar.step(at, || format!("{} of {} {done}", report::bytes(at), report::bytes(total)));
    })
}
