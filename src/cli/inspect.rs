//! `flumen inspect`: what a channel holds.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use flumen::tools::{self, Inspection};
use serde_json::{Map, Value, json};

use super::exit::{Exit, Failure};
use super::out;
use super::report::{self, Report, thousands};

const EXAMPLE: &str = "\
Example: how many events wait in a channel, while the agent uses it
  $ flumen inspect /var/spool/queue --json | jq .events";

/// Say what a channel holds
///
/// Works beside a running owner, and then tells some moment during the call. Never writes a byte. Cursors
/// are told as text, or in hexadecimal after 0x when they are none.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct InspectArgs {
    /// The channel's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// Runs the command on stdout.
pub(crate) fn run(args: &InspectArgs) -> Result<Exit, Failure> {
    let mut data = out::stdout()?;
    let inspection = tools::inspect(&args.directory)?;
    let report = report_of(&inspection);
    let written = match args.json {
        true => report.write_json(&mut data),
        false => {
            report.write_table(&mut data).and_then(|()| write_segments(&inspection, &mut data))
        }
    };
    written.and_then(|()| data.flush()).map_err(|error| Failure::io("write to stdout", &error))?;
    Ok(Exit::Done)
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Bytes as text, when they are text that can be shown.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_string(),
        _ => bytes.iter().fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}")),
    }
}

fn report_of(found: &Inspection) -> Report {
    let mut report = Report::new();
    report.row("channel", "channel", &found.location, found.location.as_str());
    report.row("identity", "channel_id", &found.channel_id, found.channel_id.as_str());
    report.count("openings", "epoch", found.epoch);
    report.count("events", "events", found.events);
    report.row("size of the events", "bytes", report::bytes(found.bytes), found.bytes);
    report.count("oldest sequence", "oldest_sequence", found.oldest_sequence);
    report.count("next sequence", "next_sequence", found.next_sequence);
    report.count("segments", "segments", found.segments);
    report.row("on disk", "disk_bytes", report::bytes(found.disk_bytes), found.disk_bytes);
    report.row("closed in good order", "clean", yes(found.clean), found.clean);
    let replay = report::bytes(found.replay_bytes);
    report.row("to replay at opening", "replay_bytes", replay, found.replay_bytes);
    report.row("in use", "in_use", yes(found.in_use), found.in_use);
    if let Some(owner) = &found.owner {
        report.row("owner", "owner", owner, owner.as_str());
    }
    if found.as_of_checkpoint {
        report.row("as of the last checkpoint", "as_of_checkpoint", "yes", true);
    }
    let cursors: Map<String, Value> =
        found.cursors.iter().map(|(name, value)| (name.clone(), text(value).into())).collect();
    report.row("cursors", "cursors", thousands(cursors.len() as u64), cursors);
    let table: Vec<Value> = found
        .table
        .iter()
        .map(|row| {
            json!({
                "number": row.number,
                "file": row.file,
                "lsn": row.lsn,
                "record_bytes": row.record_bytes,
                "first_sequence": row.first_sequence,
                "events": row.events,
                "events_left": row.events_left,
                "tail": row.is_tail,
            })
        })
        .collect();
    report.value("segment_table", table);
    report
}

fn write_segments(found: &Inspection, out: &mut dyn Write) -> std::io::Result<()> {
    for (name, value) in &found.cursors {
        writeln!(out, "cursor {name} = {}", text(value))?;
    }
    let titles = ["segment", "lsn", "bytes", "first sequence", "events", "left"];
    writeln!(out)?;
    for title in titles {
        write!(out, "{title:>16}")?;
    }
    writeln!(out)?;
    for row in &found.table {
        let cells = [
            row.number,
            row.lsn,
            row.record_bytes,
            row.first_sequence,
            row.events,
            row.events_left,
        ];
        for cell in cells {
            write!(out, "{:>16}", thousands(cell))?;
        }
        writeln!(out, "{}", if row.is_tail { "  tail" } else { "" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_text_or_hexadecimal() {
        assert_eq!(text(b"offset 12"), "offset 12");
        assert_eq!(text(b"\x00\xff"), "0x00ff");
        assert_eq!(text(b"a\n"), "0x610a");
    }
}
