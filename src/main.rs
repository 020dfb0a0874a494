//! The `flumen` program: arguments in, exit code out. What the commands do is in `cli`; what `flumen bench`
//! measures is in `bench`.

mod bench;
mod cli;
mod random;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::start_log(&arguments);
    match cli::run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            cli::say(&failure);
            failure.exit.into()
        }
    }
}
