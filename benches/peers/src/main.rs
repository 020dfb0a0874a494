//! The same workloads, at the same guarantee, through the raw disk, Flumen and its peers. See `README.md`.

mod body;
mod machine;
mod measure;
mod peer;
mod peers;
mod report;
mod syncs;
mod workload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use peer::{Contestant, Result};
use workload::w6;

/// Runs the same workloads through the raw disk, Flumen and its peers, in interleaved rounds.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Step>,
    /// Contestants to run; all when not given. What is compared with needs "raw" and "sketch"
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Workloads to run, W1 to W6; all when not given
    #[arg(long, value_delimiter = ',')]
    workload: Vec<String>,
    /// Rounds; each contestant runs once in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a contestant runs in a round
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Events of the backlog of W6
    #[arg(long, default_value_t = 1_000_000)]
    backlog: u64,
    /// Where the files go; the system's directory for temporary files may be memory, which shows nothing
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Writes all figures there
    #[arg(long)]
    json: Option<PathBuf>,
    /// Counts the calls that sync, under strace, instead of measuring
    #[arg(long)]
    strace: bool,
    /// Names the contestants that were built
    #[arg(long)]
    list: bool,
}

/// What this program starts itself as.
#[derive(Subcommand)]
enum Step {
    /// A step of W6
    #[command(hide = true)]
    Step {
        step: String,
        peer: String,
        place: PathBuf,
        #[arg(long, default_value_t = 0)]
        events: u64,
    },
    /// What --strace looks at
    #[command(hide = true)]
    Count { case: String, peer: String, place: PathBuf },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Step::Step { step, peer, place, events }) => {
            println!("{}", w6::step(step, named(peer)?, place, *events));
            return Ok(());
        }
        Some(Step::Count { case, peer, place }) => {
            println!("{}", syncs::child(case, named(peer)?, place));
            return Ok(());
        }
        None => {}
    }
    let contestants: Vec<&'static Contestant> = match arguments.only.is_empty() {
        true => peers::ALL.iter().collect(),
        false => arguments.only.iter().map(|name| named(name)).collect::<Result<_>>()?,
    };
    if arguments.list {
        print!("{}", report::notes(&contestants).trim_start());
        return Ok(());
    }
    let directory = tempfile::Builder::new().prefix("peers-").tempdir_in(&arguments.dir)?;
    if arguments.strace {
        let (table, as_told) = syncs::report(&contestants, directory.path());
        print!("{table}");
        return if as_told { Ok(()) } else { Err("a guarantee is not what is told here".into()) };
    }
    compare(&arguments, &contestants, directory.path())
}

fn named(name: &str) -> Result<&'static Contestant> {
    peers::named(name).ok_or_else(|| format!("no contestant {name}; see --list").into())
}

fn compare(arguments: &Arguments, contestants: &[&'static Contestant], at: &Path) -> Result<()> {
    let wanted = |workload: &str| {
        let mut names = arguments.workload.iter();
        arguments.workload.is_empty() || names.any(|name| name.eq_ignore_ascii_case(workload))
    };
    let machine = machine::describe(at);
    print!("{}", report::machine(&machine));
    println!("{} rounds of {} s.", arguments.rounds, arguments.seconds);
    let mut figures = Vec::new();
    let time = Duration::try_from_secs_f64(arguments.seconds)?;
    for (number, cell) in workload::cells().iter().enumerate() {
        if !wanted(cell.workload) {
            continue;
        }
        eprintln!("{}", cell.title);
        let place = at.join(number.to_string());
        let rows = measure::cell(cell, contestants, &place, arguments.rounds, time)?;
        print!("{}", report::table(cell, &rows));
        figures.push(report::json(cell, &rows));
    }
    if wanted("W6") {
        eprintln!("W6");
        let rows = backlog(contestants, at, arguments.rounds, arguments.backlog);
        print!("{}", report::backlog_table(&rows));
        figures.push(report::backlog_json(&rows));
    }
    print!("{}", report::notes(contestants));
    write(
        arguments,
        &json!({ "machine": machine, "rounds": arguments.rounds,
        "seconds": arguments.seconds, "workloads": figures }),
    )
}

fn write(arguments: &Arguments, figures: &Value) -> Result<()> {
    match &arguments.json {
        Some(path) => Ok(std::fs::write(path, serde_json::to_string_pretty(figures)?)?),
        None => Ok(()),
    }
}

/// W6: rounds over all contestants. Who failed once is not asked again.
fn backlog(
    contestants: &[&'static Contestant],
    directory: &Path,
    rounds: usize,
    events: u64,
) -> Vec<report::Backlog> {
    let begin = |contestant: &&'static Contestant| {
        let refused = w6::refuses(contestant).map(str::to_string);
        (*contestant, refused.map_or_else(|| Ok(Vec::new()), Err))
    };
    let mut rows: Vec<report::Backlog> = contestants.iter().map(begin).collect();
    for round in 0..rounds {
        for turn in 0..rows.len() {
            let at = (round + turn) % rows.len();
            let (contestant, outcome) = &mut rows[at];
            let Ok(samples) = outcome else { continue };
            match w6::round(contestant, directory, events) {
                Ok(sample) => samples.push(sample),
                Err(error) => *outcome = Err(error.to_string()),
            }
        }
    }
    rows
}
