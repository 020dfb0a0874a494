//! What is really synced: a contestant runs a fixed number of commits in a process under strace, and the calls
//! that make data durable are counted between two marks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::body::{Batch, Checker};
use crate::peer::{Ack, Contestant, Need, Peer, Result, Setup};
use crate::workload;

/// Opening these files, which are not there, is what the trace shows as a mark.
const BEGIN: &str = "/flumen-peers-begin";
const END: &str = "/flumen-peers-end";
const CALLS: &str = "openat,open,fsync,fdatasync,msync,sync_file_range,syncfs,sync,io_uring_enter,\
                     write,pwrite64,writev,pwritev,pwritev2";
const SIZE: usize = 512;
const COMMITS: usize = 200;
const PRODUCERS: usize = 8;
const TAKEN: usize = 10;

/// What is counted: a name, what it asks for, and its commits.
const CASES: [(&str, &[Need], usize); 4] = [
    ("put", &[], COMMITS),
    ("puts", &[], COMMITS),
    ("ack", &[Need::Takes, Need::DurableAcks], COMMITS / TAKEN),
    ("unsynced", &[Need::Unsynced], COMMITS),
];

/// What was called between the marks.
#[derive(Debug, Default, PartialEq)]
struct Calls {
    /// What syncs, by name; writes to files that were opened with `O_DSYNC` or `O_SYNC` among them.
    syncs: BTreeMap<String, u64>,
    /// All writes.
    writes: u64,
}

/// The table, and whether every contestant gives what its file here says.
pub(crate) fn report(contestants: &[&'static Contestant], directory: &Path) -> (String, bool) {
    let mut text = format!(
        "| peer | {COMMITS} durable puts, 1 producer | {COMMITS} by {PRODUCERS} producers \
         | {} durable acks | {COMMITS} puts without sync | what a durable put really gives |\n\
         |---|---|---|---|---|---|\n",
        COMMITS / TAKEN
    );
    let mut as_told = true;
    for contestant in contestants {
        let mut cells = Vec::new();
        let mut put = None;
        for (case, needs, _) in CASES {
            if let Some(reason) = needs.iter().find_map(|need| contestant.lacks(*need)) {
                cells.push(format!("({reason})"));
                continue;
            }
            let counted = count(contestant, directory, case);
            cells.push(match &counted {
                Ok(calls) if case == "unsynced" && calls.writes < COMMITS as u64 => {
                    as_told = false;
                    format!("{}, **kept in its own memory**", tell(calls))
                }
                Ok(calls) => tell(calls),
                Err(error) => format!("**failed**: {error}"),
            });
            if case == "put" {
                put = counted.ok();
            }
        }
        let (verdict, right) = judge(contestant, put.as_ref());
        as_told &= right;
        let _ = writeln!(text, "| {} | {} | {verdict} |", contestant.name, cells.join(" | "));
    }
    (text, as_told)
}

/// What the calls of durable puts mean, and whether that is what was expected.
fn judge(contestant: &Contestant, calls: Option<&Calls>) -> (&'static str, bool) {
    let told = contestant.lacks(Need::Sync).is_none();
    let syncs = |calls: &Calls| -> u64 {
        let durable = |name: &str| name.ends_with("sync") || name.ends_with("(O_DSYNC)");
        calls.syncs.iter().filter(|(name, _)| durable(name)).map(|(_, count)| count).sum()
    };
    match calls.map(syncs) {
        None => ("unknown", false),
        Some(syncs) if syncs >= COMMITS as u64 => ("a sync per commit", told),
        Some(0) => ("**nothing**: no sync at all", !told),
        Some(_) => ("**less than a sync per commit**", !told),
    }
}

fn tell(calls: &Calls) -> String {
    let told: Vec<_> = calls.syncs.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if told.is_empty() { "none".into() } else { told.join(", ") }
}

fn count(contestant: &Contestant, directory: &Path, case: &str) -> Result<Calls> {
    let place = directory.join(contestant.name);
    std::fs::create_dir_all(&place)?;
    let trace = directory.join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-s", "0", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(&trace)
        .arg(std::env::current_exe()?)
        .args(["count", case, contestant.name])
        .arg(&place)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("strace: {error}"))?;
    std::fs::remove_dir_all(&place)?;
    let told = String::from_utf8_lossy(&output.stdout);
    let value: Value =
        serde_json::from_str(&told).map_err(|_| format!("{}: {told}", output.status))?;
    if let Some(error) = value["error"].as_str() {
        return Err(error.into());
    }
    parse(&std::fs::read_to_string(trace)?).ok_or_else(|| "the marks are not in the trace".into())
}

/// Counts the calls between the marks.
fn parse(trace: &str) -> Option<Calls> {
    let mut calls = Calls::default();
    let mut synced: BTreeSet<String> = BTreeSet::new();
    let (mut within, mut ended) = (false, false);
    for line in trace.lines() {
        // Without the thread; what follows "resumed" was counted when it began.
        let Some((_, call)) = line.trim_start().split_once(' ') else { continue };
        let Some((name, rest)) = call.trim_start().split_once('(') else { continue };
        if name.starts_with("open") {
            within |= rest.contains(BEGIN);
            ended |= rest.contains(END);
            if let Some((flags, file)) = rest.rsplit_once(" = ") {
                let file = file.split(' ').next().unwrap_or_default().to_string();
                match flags.contains("O_DSYNC") || flags.contains("O_SYNC") {
                    true => synced.insert(file),
                    false => synced.remove(&file),
                };
            }
            continue;
        }
        if !within || ended || name.contains("resumed") {
            continue;
        }
        if !name.contains("write") {
            *calls.syncs.entry(name.to_string()).or_default() += 1;
            continue;
        }
        calls.writes += 1;
        if synced.contains(rest.split([',', ')']).next().unwrap_or_default())
            || rest.contains("RWF_DSYNC")
        {
            *calls.syncs.entry(format!("{name} (O_DSYNC)")).or_default() += 1;
        }
    }
    (within && ended).then_some(calls)
}

fn mark(path: &str) {
    // It is not there; only the attempt counts.
    let _ = std::fs::File::open(path);
}

/// What the process under strace does, told on its standard output.
pub(crate) fn child(case: &str, contestant: &Contestant, place: &Path) -> Value {
    let done = run(case, contestant, place);
    done.map_or_else(|error| json!({ "error": error.to_string() }), |()| json!({}))
}

fn run(case: &str, contestant: &Contestant, place: &Path) -> Result<()> {
    let setup =
        Setup { sync_puts: case != "unsynced", acks: Ack::Durable, steady: true, size: SIZE };
    let peer = workload::open(contestant, place, &setup)?;
    let mut batches: Vec<_> =
        (0..PRODUCERS).map(|producer| Batch::new(producer, SIZE, 1, contestant.owns)).collect();
    // The first commits may make files.
    put(&*peer, 0, &mut batches[0], COMMITS)?;
    mark(BEGIN);
    match case {
        "puts" => std::thread::scope(|scope| {
            let threads: Vec<_> = batches
                .iter_mut()
                .enumerate()
                .map(|(producer, batch)| {
                    let peer = &*peer;
                    scope.spawn(move || put(peer, producer, batch, COMMITS / PRODUCERS))
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panics"))
        })?,
        "ack" => {
            let mut checker = Checker::default();
            for _ in 0..COMMITS / TAKEN {
                peer.take(TAKEN, Ack::Durable, &mut |body| checker.see(body))?;
            }
            checker.verdict()?;
        }
        _ => put(&*peer, 0, &mut batches[0], COMMITS)?,
    }
    mark(END);
    peer.close()
}

fn put(peer: &dyn Peer, producer: usize, batch: &mut Batch, commits: usize) -> Result<()> {
    for _ in 0..commits {
        batch.stamp();
        peer.put(producer, batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_counted_between_its_marks() {
        let trace = "\
7 openat(AT_FDCWD, \"/x\", O_RDWR|O_DSYNC) = 5
7 openat(AT_FDCWD, \"/y\", O_RDWR) = 6
7 fsync(6) = 0
7 openat(AT_FDCWD, \"/flumen-peers-begin\", O_RDONLY) = -1 ENOENT (No such file or directory)
7 pwrite64(5, \"\"..., 8, 0) = 8
7 pwrite64(6, \"\"..., 8, 0) = 8
8 fdatasync(6 <unfinished ...>
7 fdatasync(6) = 0
8 <... fdatasync resumed>) = 0
7 openat(AT_FDCWD, \"/flumen-peers-end\", O_RDONLY) = -1 ENOENT (No such file or directory)
7 fsync(6) = 0
";
        let calls = parse(trace).expect("both marks");
        let syncs = [("fdatasync".to_string(), 2), ("pwrite64 (O_DSYNC)".to_string(), 1)];
        assert_eq!(calls, Calls { syncs: BTreeMap::from(syncs), writes: 2 });
        assert_eq!(parse("7 fsync(6) = 0\n"), None);
    }
}
