//! The commands, one file each. Data goes to stdout, messages to stderr, the verdict to the exit code.
//!
//! `Arguments` holds what was typed, already validated: every option is parsed once, into the type that
//! the command works with.
#![allow(
    clippy::disallowed_methods,
    reason = "a command deals with plain files, child processes and the clock, which the engine may not"
)]

mod agent;
mod args;
mod bench;
mod demo;
mod dump;
mod exit;
mod findings;
mod input;
mod inspect;
mod lines;
mod out;
mod progress;
mod put;
mod report;
mod salvage;
mod signals;
mod take;
mod verify;

use std::io::IsTerminal;

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};
pub(crate) use out::say;

const ABOUT: &str = "\
A durable queue in a directory, and an agent that moves event streams through it.

Try `flumen demo` first: it shows what the rest is for, in about half a minute.";

/// What was typed.
#[derive(Parser)]
#[command(name = "flumen", version, about = ABOUT, after_help = exit::HELP)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Also report what is only of interest when something is wrong
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

/// One variant per command; each command's file has its options and what it does.
#[derive(Subcommand)]
enum Command {
    Put(put::PutArgs),
    Take(take::TakeArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::VerifyArgs),
    Salvage(salvage::SalvageArgs),
    Dump(dump::DumpArgs),
    Agent(agent::AgentArgs),
    Demo(demo::DemoArgs),
    Bench(bench::BenchArgs),
}

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Put(args) => put::run(&args),
        Command::Take(args) => take::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Salvage(args) => salvage::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Agent(args) => agent::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// Sends the log of the sources, sinks and channels to stderr, where it cannot mix with data.
pub(crate) fn start_log(arguments: &Arguments) {
    let level = if arguments.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // The default reports a failed write to stderr on stderr, with a macro that panics when that fails
        // too: a terminal that goes away would take the agent with it.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
}
