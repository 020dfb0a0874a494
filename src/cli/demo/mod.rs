//! `flumen demo`: what Flumen is for, shown on this machine. A log is written and rotated, an agent that
//! delivers it is killed at random while it works, and at the end every line is accounted for.

mod child;
mod compare;
mod place;
mod sample;
mod storm;
mod writer;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use flumen::Shutdown;

use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::report::Report;
use super::{out, report, signals};
use crate::random::Random;
use compare::Tally;
use place::Place;
use sample::Sample;
use storm::{Plan, Storm, Weather};
use writer::Writer;

/// Lines per second: 2 MB/s, with the default number of lines for about 25 seconds.
const PACE: u64 = 12_000;
const LINES: u64 = 320_000;
/// How often the log is rotated.
const ROTATIONS: u64 = 6;
/// Most kills: each costs a restart, and a thousand take a while.
const KILLS_MAX: u64 = 1000;

const EXAMPLE: &str = "\
Example: see it once, then again with the same kills, keeping all files
  $ flumen demo
  $ flumen demo --seed 42 --dir /tmp/demo --json";

/// Show that a log is delivered exactly once while the agent is killed, again and again
///
/// Writes an access log (a real one, repeated, each line behind its number) and rotates it by renaming.
/// Meanwhile `flumen agent` tails it into a file channel and from there into files, is killed with SIGKILL
/// at random moments of its work, and restarted. At the end the delivered files are held against what was
/// written, line by line. Takes about half a minute; exits with 1 unless nothing is lost, duplicated,
/// out of order or altered.
///
/// "Slowest restart" is the longest time from the start of the agent's process after a kill until the
/// delivered files grew. The rate is that of the whole run, restarts included, and limited by the writer,
/// which keeps a steady pace of 12,000 lines a second.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct DemoArgs {
    /// How many lines to write
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = LINES,
        value_parser = clap::value_parser!(u64).range(1..sample::LINES_MAX))]
    lines: u64,
    /// How often to kill the agent
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 12,
        value_parser = clap::value_parser!(u64).range(0..=KILLS_MAX))]
    kills: u64,
    /// Where chance begins: the same seed kills at the same lines [default: another each time]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// An empty or new directory to work in and to leave everything in [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    if args.lines <= args.kills {
        let text = "each life of the agent needs a line: --lines must be above --kills";
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut out = out::stdout()?;
    let shutdown = Shutdown::new();
    let signal = signals::stop_on_signal(shutdown.clone())?;
    let place = Place::new(args.dir.as_deref())?;
    let seed = args.seed.unwrap_or_else(Random::any_seed);
    out::say(format_args!(
        "writing a log and killing the agent that delivers it {} times (seed {seed}) ...",
        args.kills
    ));
    let outcome = show(args, &place, seed, &shutdown);
    if let Ok(number) = signal.try_recv() {
        // However the run ended, it was told to: a temporary directory goes.
        return Err(Failure::new(Exit::Signal(number), "the demo was interrupted"));
    }
    let exact = matches!(&outcome, Ok(outcome) if outcome.delivered.is_exact());
    if !exact {
        let kept = place.keep();
        out::say(format_args!("all files are kept in {}", kept.display()));
    }
    let outcome = outcome?;
    outcome
        .write(args.json, &mut out)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("write to stdout", &error))?;
    Ok(if exact { Exit::Done } else { Exit::Difference })
}

/// The run and its judgement.
fn show(
    args: &DemoArgs,
    place: &Place,
    seed: u64,
    shutdown: &Shutdown,
) -> Result<Outcome, Failure> {
    let sample = Sample::new();
    let plan = Plan { lines: args.lines, kills: args.kills };
    let logs = place.logs();
    // One generator each, so that the kills do not depend on how the writer's time was cut.
    let writer_random = Random::new(seed ^ u64::MAX);
    // A bit more than an even share, so that the last rotation does not come with the last line.
    let rotate_after = args.lines / (ROTATIONS + 1) + 1;
    let writer = Writer::new(&logs, &sample, writer_random, PACE, rotate_after)
        .map_err(|error| Failure::io("begin the log", &error))?;
    let storm = Storm::new(&plan, place, writer, Random::new(seed), shutdown);
    let (weather, rotations) = storm.pass()?;

    let ages = (0..=rotations).rev();
    let written: Vec<PathBuf> = ages.map(|age| writer::log_file(&logs, age)).collect();
    let written = judge(&written, &sample, args.lines)?;
    if !written.is_exact() {
        let text = format!("the demo's own log is not what it should be: {written:?}");
        return Err(Failure::new(Exit::Io, text));
    }
    let delivered = delivered_files(&place.delivered())?;
    let delivered = judge(&delivered, &sample, args.lines)?;
    Ok(Outcome { seed, rotations, weather, written, delivered })
}

fn delivered_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    compare::delivered_files(directory)
        .map_err(|error| Failure::io("list the delivered files", &error))
}

fn judge(files: &[PathBuf], sample: &Sample, lines: u64) -> Result<Tally, Failure> {
    let mut progress = Progress::bar(lines);
    compare::compare(files, sample, lines, |line| {
        progress.step(line, || "lines compared".into());
    })
    .map_err(|error| Failure::io("compare the files", &error))
}

/// What the demo found.
struct Outcome {
    seed: u64,
    rotations: u64,
    weather: Weather,
    written: Tally,
    delivered: Tally,
}

impl Outcome {
    fn write(&self, json: bool, out: &mut dyn Write) -> io::Result<()> {
        let report = self.report();
        if json {
            return report.write_json(out);
        }
        report.write_table(out)?;
        writeln!(out)?;
        let kills = report::thousands(self.weather.kills);
        if self.delivered.is_exact() {
            writeln!(
                out,
                "Every line was delivered exactly once and in order, although the agent was killed \
                 {kills} times."
            )
        } else {
            writeln!(out, "The delivered files are NOT what was written.")
        }
    }

    fn report(&self) -> Report {
        let (weather, delivered) = (&self.weather, &self.delivered);
        let seconds = weather.took.as_secs_f64();
        let rate = delivered.bytes as f64 / 1e6 / seconds;
        let mut report = Report::new();
        report.count("lines written", "lines_written", self.written.lines);
        report.count("lines delivered", "lines_delivered", delivered.lines);
        report.count("lost", "lost", delivered.lost);
        report.count("duplicated", "duplicated", delivered.duplicated);
        report.count("out of order", "out_of_order", delivered.out_of_order);
        report.count("altered", "altered", delivered.altered);
        report.count("kills", "kills", weather.kills);
        report.count("rotations", "rotations", self.rotations);
        let slowest = weather.slowest_restart.map(milliseconds);
        let text = slowest.map_or("none".into(), |ms| format!("{} ms", report::thousands(ms)));
        report.row("slowest restart", "slowest_restart_ms", text, slowest);
        let size = report::bytes(delivered.bytes);
        report.row("bytes delivered", "bytes_delivered", size, delivered.bytes);
        report.row("time", "seconds", format!("{seconds:.1} s"), round(seconds));
        report.row("rate", "mb_per_second", format!("{rate:.1} MB/s"), round(rate));
        report.row("seed", "seed", self.seed.to_string(), self.seed);
        report
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Three decimals are more than the measurement is worth.
fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(delivered: Tally) -> Outcome {
        Outcome {
            seed: 42,
            rotations: 6,
            weather: Weather {
                kills: 12,
                slowest_restart: Some(Duration::from_millis(1234)),
                took: Duration::from_secs(20),
            },
            written: Tally { lines: 1000, ..Tally::default() },
            delivered,
        }
    }

    #[test]
    fn the_report_has_all_that_was_promised() {
        let exact = Tally { lines: 1000, bytes: 40_000_000, ..Tally::default() };
        let mut out = Vec::new();
        outcome(exact).write(false, &mut out).expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("slowest restart  1,234 ms"), "{text}");
        assert!(text.contains("2.0 MB/s"), "{text}");
        assert!(text.contains("exactly once"), "{text}");

        let lossy = Tally { lines: 999, lost: 1, ..Tally::default() };
        let mut out = Vec::new();
        outcome(lossy).write(true, &mut out).expect("memory");
        let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(value["lost"], 1);
        assert_eq!(value["kills"], 12);
        assert_eq!(value["slowest_restart_ms"], 1234);
        assert_eq!(value["seconds"], 20.0);
    }
}
