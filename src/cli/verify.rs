//! `flumen verify`: is every byte of a channel as it was written?

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use flumen::tools::{self, FindingKind, Verification};

use super::exit::{Exit, Failure};
use super::report::{self, Report};
use super::{findings, out};

const EXAMPLE: &str = "\
Example: look at a channel after a disk has reported errors
  $ flumen verify /var/spool/queue && echo intact";

/// Read every byte of a channel that counts, and list all damage
///
/// Exits with 0 when the channel is intact and with 1 when it is damaged. A note is no damage: a write that
/// was cut off before it was acknowledged, or a file that nothing needs. Writes nothing; while it runs, the
/// channel cannot be opened. Names the cure: `flumen salvage`, which copies everything intact to a new
/// channel, or nothing, where an opening mends what is damaged: a checkpoint beside events that are intact.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct VerifyArgs {
    /// The channel's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write one JSON object instead of lines and a table
    #[arg(long)]
    json: bool,
}

/// Runs the command on stdout.
pub(crate) fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let mut data = out::stdout()?;
    let found =
        findings::with_progress("read", |progress| tools::verify(&args.directory, progress))?;
    let report = report_of(&found);
    let written = match args.json {
        true => report.write_json(&mut data),
        false => findings::write(&found.findings, &mut data)
            .and_then(|()| report.write_table(&mut data))
            .and_then(|()| write_cure(&found, &mut data)),
    };
    written.and_then(|()| data.flush()).map_err(|error| Failure::io("write to stdout", &error))?;
    Ok(if found.is_intact() { Exit::Done } else { Exit::Difference })
}

fn write_cure(found: &Verification, out: &mut dyn Write) -> io::Result<()> {
    if found.is_intact() {
        return Ok(());
    }
    match found.is_mended_by_opening {
        true => writeln!(
            out,
            "cure: every event is intact; the next opening (take, put, agent) writes the checkpoint anew"
        ),
        false => writeln!(
            out,
            "cure: a backup, or `flumen salvage {} --to NEW`: it copies everything intact to a new channel",
            found.location
        ),
    }
}

fn report_of(found: &Verification) -> Report {
    let mut report = Report::new();
    report.row("channel", "channel", &found.location, found.location.as_str());
    let verdict = if found.is_intact() { "intact" } else { "damaged" };
    report.row("verdict", "intact", verdict, found.is_intact());
    report.count("damage", "damage", findings::count(&found.findings, FindingKind::Damage));
    report.count("notes", "notes", findings::count(&found.findings, FindingKind::Note));
    report.count("events", "events", found.events);
    report.row("size of the events", "bytes", report::bytes(found.bytes), found.bytes);
    report.count("segments", "segments", found.segments);
    report.row("read", "bytes_read", report::bytes(found.bytes_read), found.bytes_read);
    let clean = if found.clean { "yes" } else { "no" };
    report.row("closed in good order", "clean", clean, found.clean);
    report.value("mended_by_opening", found.is_mended_by_opening);
    report.value("findings", findings::to_json(&found.findings));
    report
}
