//! `flumen dump`: the records of the log, one a line.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use flumen::tools::{self, DumpedRecord, RecordContent};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::{findings, out};

const EXAMPLE: &str = "\
Example: the last records of a channel's log
  $ flumen dump /var/spool/queue | tail";

/// Write the records of a channel's log, one a line, for people who debug
///
/// Works on damaged channels, and without the lock: beside a running owner, what is just being written looks
/// like a flaw. `flumen verify` judges what is damage.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct DumpArgs {
    /// The channel's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command on stdout.
pub(crate) fn run(args: &DumpArgs) -> Result<Exit, Failure> {
    let mut data = out::stdout()?;
    let mut outcome = Ok(());
    tools::dump(&args.directory, &mut |record| {
        outcome = match args.json {
            true => serde_json::to_writer(&mut data, &to_json(&record))
                .map_err(io::Error::from)
                .and_then(|()| writeln!(data)),
            false => write_line(&record, &mut data),
        };
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome.and_then(|()| data.flush()).map_err(|error| Failure::io("write to stdout", &error))?;
    Ok(Exit::Done)
}

fn write_line(record: &DumpedRecord, out: &mut dyn Write) -> io::Result<()> {
    match record {
        DumpedRecord::Segment { segment, lsn, first_sequence, capacity, epoch } => {
            writeln!(
                out,
                "{segment}:0 segment lsn={lsn} sequence={first_sequence} capacity={capacity} \
                 epoch={epoch}"
            )
        }
        DumpedRecord::Record {
            segment,
            offset,
            lsn,
            kind,
            sequence,
            watermark,
            payload_size,
            content,
        } => {
            write!(
                out,
                "{segment}:{offset} {kind} lsn={lsn} sequence={sequence} watermark={watermark} \
                 payload={payload_size}"
            )?;
            write_content(content, out)?;
            writeln!(out)
        }
        DumpedRecord::Flaw { segment, offset, size, expected, found } => {
            writeln!(out, "{segment}:{offset} FLAW size={size}: expected {expected}, found {found}")
        }
        DumpedRecord::Remains { segment, offset, size } => {
            writeln!(out, "{segment}:{offset} remains size={size}")
        }
        _ => Ok(()),
    }
}

fn write_content(content: &RecordContent, out: &mut dyn Write) -> io::Result<()> {
    match content {
        RecordContent::Put { events, bytes, cursors } => {
            write!(out, " events={events} bytes={bytes}")?;
            write_cursors(cursors, out)
        }
        RecordContent::Ack { ranges, bytes, cursors } => {
            write!(out, " bytes={bytes} ranges=")?;
            for (index, range) in ranges.iter().enumerate() {
                let comma = if index > 0 { "," } else { "" };
                write!(out, "{comma}{}..{}", range.start, range.end)?;
            }
            write_cursors(cursors, out)
        }
        RecordContent::State { events, bytes, oldest_sequence, segments, cursors } => {
            write!(out, " events={events} bytes={bytes} oldest={oldest_sequence}")?;
            write!(out, " segments={} cursors={}", segments.len(), cursors.len())
        }
        RecordContent::Malformed(problem) => write!(out, " MALFORMED: {problem}"),
        _ => Ok(()),
    }
}

fn write_cursors(cursors: &[(String, Option<Vec<u8>>)], out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in cursors {
        match value {
            Some(value) => write!(out, " cursor {:?}={}", name, value.escape_ascii())?,
            None => write!(out, " cursor {name:?} cleared")?,
        }
    }
    Ok(())
}

fn to_json(record: &DumpedRecord) -> Value {
    match record {
        DumpedRecord::Segment { segment, lsn, first_sequence, capacity, epoch } => json!({
            "segment": segment, "offset": 0, "kind": "segment", "lsn": lsn,
            "sequence": first_sequence, "capacity": capacity, "epoch": epoch,
        }),
        DumpedRecord::Record {
            segment,
            offset,
            lsn,
            kind,
            sequence,
            watermark,
            payload_size,
            content,
        } => {
            let mut value = json!({
                "segment": segment, "offset": offset, "kind": kind, "lsn": lsn,
                "sequence": sequence, "watermark": watermark, "payload_size": payload_size,
            });
            if let (Value::Object(all), Value::Object(more)) = (&mut value, content_json(content)) {
                all.extend(more);
            }
            value
        }
        DumpedRecord::Flaw { segment, offset, size, expected, found } => json!({
            "segment": segment, "offset": offset, "kind": "flaw", "size": size,
            "expected": expected, "found": found,
        }),
        DumpedRecord::Remains { segment, offset, size } => json!({
            "segment": segment, "offset": offset, "kind": "remains", "size": size,
        }),
        _ => Value::Null,
    }
}

fn content_json(content: &RecordContent) -> Value {
    match content {
        RecordContent::Put { events, bytes, cursors } => {
            json!({"events": events, "bytes": bytes, "cursors": cursors_json(cursors)})
        }
        RecordContent::Ack { ranges, bytes, cursors } => {
            let ranges: Vec<Value> = ranges.iter().map(findings::range).collect();
            json!({"ranges": ranges, "bytes": bytes, "cursors": cursors_json(cursors)})
        }
        RecordContent::State { events, bytes, oldest_sequence, segments, cursors } => json!({
            "events": events, "bytes": bytes, "oldest_sequence": oldest_sequence,
            "segments": segments, "cursors": cursors,
        }),
        RecordContent::Malformed(problem) => json!({"malformed": problem}),
        _ => json!({}),
    }
}

fn cursors_json(cursors: &[(String, Option<Vec<u8>>)]) -> Value {
    let value = |value: &Vec<u8>| value.escape_ascii().to_string();
    cursors.iter().map(|(name, bytes)| (name.clone(), json!(bytes.as_ref().map(value)))).collect()
}
