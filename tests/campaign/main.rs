//! The campaigns: everything that proves the channel, in one command, with its figures.
//!
//! ```sh
//! cargo test --test campaign                    # the short form, as in continuous integration
//! cargo test --test campaign -- long            # hours: larger bounds, more of everything random
//! cargo test --test campaign -- --only shuttle --seed 7
//! cargo test --test campaign -- --write         # and writes the figures into docs/VERIFICATION.md
//! ```
//!
//! It builds the tests optimised and with all assertions, runs them at the size that was asked for, and
//! gathers the lines `figure NAME VALUE FLOOR` that they print. A figure below its floor fails its test; a
//! stage that prints none of the figures it owes fails here. What a stage printed is in `target/campaign/logs`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "runs programs, in threads, timed"
)]

mod build;
mod planted;
mod report;
mod run;
mod stages;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use report::Report;
use stages::Stage;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Size {
    Short,
    Long,
}

impl Size {
    fn name(self) -> &'static str {
        match self {
            Size::Short => "short",
            Size::Long => "long",
        }
    }
}

/// Runs everything that proves the channel, and gathers the figures.
#[derive(Parser)]
#[command(bin_name = "cargo test --test campaign --")]
struct Arguments {
    #[arg(value_enum, default_value = "short")]
    size: Size,
    /// Only these stages; `fuzzing` is all of them that fuzz
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<String>,
    /// All but these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    skip: Vec<String>,
    /// What everything random begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures into docs/VERIFICATION.md
    #[arg(long)]
    write: bool,
    /// Say what the stages are
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match campaign(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("campaign: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn campaign(arguments: &Arguments) -> Result<bool, String> {
    let all = stages::all();
    if arguments.list {
        for stage in &all {
            println!("{:16} {}", stage.name, stage.about);
        }
        return Ok(true);
    }
    for name in arguments.only.iter().chain(&arguments.skip) {
        if !all.iter().any(|stage| stage.is(name)) {
            return Err(format!("there is no stage \"{name}\"; --list says which there are"));
        }
    }
    let is_chosen = |stage: &Stage| {
        let is_in = |names: &[String]| names.iter().any(|name| stage.is(name));
        !is_in(&arguments.skip) && (arguments.only.is_empty() || is_in(&arguments.only))
    };
    let chosen: Vec<Stage> = all.into_iter().filter(is_chosen).collect();
    let begin = Instant::now();
    let programs = build::build(&chosen)?;
    let mut report = Report::new(arguments.size, arguments.seed);
    let result = run::run(&chosen, &programs, arguments, &mut report);
    println!("{}", report.table());
    println!("{} s in all, building included", begin.elapsed().as_secs());
    // At the very end, where a log that was cut still shows it.
    print!("{}", report.problems());
    let is_good = result?;
    if arguments.write && is_good {
        report.write_page()?;
    }
    Ok(is_good)
}
