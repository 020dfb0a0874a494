//! `flumen salvage`: everything intact is copied into a new channel.

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use clap::Args;
use flumen::ChannelOptions;
use flumen::tools::{self, Salvage, SalvageError};
use serde_json::Value;

use super::exit::{self, Exit, Failure};
use super::report::{self, Report};
use super::{args, findings, out};

const EXAMPLE: &str = "\
Example: save what is intact, look at what is lost, and put the new channel in the old one's place
  $ flumen salvage /var/spool/queue --to /var/spool/queue.new
  $ mv /var/spool/queue /var/spool/queue.damaged && mv /var/spool/queue.new /var/spool/queue";

/// Copy everything intact of a damaged channel into a new one
///
/// The damaged channel is only read, and stays as it is. What is lost is told as ranges of sequences, each
/// from its first event to before its last number. Exits with 0 when nothing is lost and with 1 when
/// something is. Events whose taking was noted in a record that is lost come again.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct SalvageArgs {
    /// The damaged channel's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The new channel's directory, which is not there yet or empty
    #[arg(long, value_name = "NEW")]
    to: PathBuf,
    /// Size of the new segment files, from 16K to 1G [default: 32M, and up to 128M for a large copy]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true,
        value_parser = args::segment_size)]
    segment_size: Option<u64>,
    /// Write one JSON object instead of lines and a table
    #[arg(long)]
    json: bool,
}

/// Runs the command on stdout.
pub(crate) fn run(args: &SalvageArgs) -> Result<Exit, Failure> {
    let mut data = out::stdout()?;
    let mut options = ChannelOptions::new();
    if let Some(bytes) = args.segment_size {
        options = options.segment_size(bytes);
    }
    let saved = findings::with_progress("read", |progress| {
        tools::salvage(&args.directory, &args.to, options, progress)
    })?;
    let report = report_of(&saved);
    let written = match args.json {
        true => report.write_json(&mut data),
        false => findings::write(&saved.findings, &mut data)
            .and_then(|()| write_lost(&saved, &mut data))
            .and_then(|()| report.write_table(&mut data)),
    };
    written.and_then(|()| data.flush()).map_err(|error| Failure::io("write to stdout", &error))?;
    Ok(if saved.is_complete() { Exit::Done } else { Exit::Difference })
}

impl From<SalvageError> for Failure {
    fn from(error: SalvageError) -> Failure {
        let text = error.to_string();
        let exit = match error {
            SalvageError::Open(error) => return error.into(),
            SalvageError::Place { .. } => Exit::Usage,
            SalvageError::Create(error) => {
                let begun = exit::is_no_space(&error);
                let failure = Failure::new(Failure::from(error).exit, text);
                return match begun {
                    true => failure.with(
                        "free space, or make the segments smaller (--segment-size); \
                         remove what is left of the new channel first",
                    ),
                    false => failure,
                };
            }
            _ => Exit::Io,
        };
        Failure::new(exit, text)
    }
}

fn write_lost(saved: &Salvage, out: &mut dyn Write) -> std::io::Result<()> {
    for range in &saved.lost {
        writeln!(out, "lost: events {}..{}", range.start, range.end)?;
    }
    for range in &saved.unconfirmed {
        let (start, end) = (range.start, range.end);
        writeln!(out, "lost, and most likely never acknowledged: events {start}..{end}")?;
    }
    if let Some(from) = saved.lost_from {
        writeln!(
            out,
            "lost: whatever was put from sequence {from} on; nothing tells how much it was"
        )?;
    }
    if let Some(before) = saved.lost_before {
        writeln!(
            out,
            "lost: whatever was left of the events before sequence {before}; nothing tells"
        )?;
    }
    if saved.possibly_again > 0 {
        let most = saved.possibly_again;
        writeln!(
            out,
            "a record of taken events is lost: up to {most} salvaged events may have been taken before"
        )?;
    }
    if saved.are_cursors_in_doubt {
        writeln!(
            out,
            "a record that set a cursor may be lost: cursors may be older than they were"
        )?;
    }
    Ok(())
}

fn report_of(saved: &Salvage) -> Report {
    let length = |ranges: &[Range<u64>]| ranges.iter().map(|range| range.end - range.start).sum();
    let ranges =
        |ranges: &[Range<u64>]| -> Vec<Value> { ranges.iter().map(findings::range).collect() };
    let mut report = Report::new();
    report.count("events salvaged", "events", saved.events);
    report.row("size of the events", "bytes", report::bytes(saved.bytes), saved.bytes);
    report.count("transactions", "transactions", saved.transactions);
    report.count("cursors", "cursors", saved.cursors);
    report.count("events lost", "events_lost", length(&saved.lost));
    report.count("never acknowledged", "events_unconfirmed", length(&saved.unconfirmed));
    report.count("possibly again", "possibly_again", saved.possibly_again);
    report.value("complete", saved.is_complete());
    report.value("lost", ranges(&saved.lost));
    report.value("unconfirmed", ranges(&saved.unconfirmed));
    report.value("lost_from", saved.lost_from);
    report.value("lost_before", saved.lost_before);
    report.value("cursors_in_doubt", saved.are_cursors_in_doubt);
    report.value("findings", findings::to_json(&saved.findings));
    report
}
