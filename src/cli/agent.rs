//! `flumen agent`: sources, channels and sinks as a Flume properties file wires them.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use flumen::Shutdown;
use flumen::agent::{self, AgentError, Config, RunOptions};
use flumen::sink::SinkError;

use super::exit::{self, Exit, Failure};
use super::signals;

/// No configuration is larger; a device or a log given by mistake is.
const FILE_MAX: u64 = 16 << 20;

const EXAMPLE: &str = "\
Example: run the agent that a file describes under the name a1, until Ctrl-C
  $ flumen agent --conf-file web.properties --name a1";

/// Run an agent from a Flume properties file
///
/// SIGTERM, SIGINT and SIGHUP stop the sources, let the sinks finish what is in hand, close the channels
/// and end the agent with 0. A second signal ends it at once with 128 + its number, which loses nothing
/// either: what is in a file channel stays there, and the next start goes on from it.
///
/// Every mistake in the file is reported, with line and column and what would be right; then nothing is
/// started.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct AgentArgs {
    /// The properties file
    #[arg(long, short = 'f', value_name = "FILE")]
    conf_file: PathBuf,
    /// The name of the agent in the file
    #[arg(long, short = 'n', value_name = "NAME")]
    name: String,
    /// End when the sources have nothing more and the channels are empty
    #[arg(long)]
    until_idle: bool,
}

/// Runs the command until it is stopped or, when asked to, idle.
pub(crate) fn run(args: &AgentArgs) -> Result<Exit, Failure> {
    let file = args.conf_file.display();
    let text = read(&args.conf_file)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {file}: {error}")))?;
    let config = Config::parse(&text, &file.to_string(), &args.name).map_err(|errors| {
        let shown = errors.render(io::stderr().is_terminal());
        let text = format!("{file} cannot be used, so nothing was started\n\n{shown}\n");
        Failure::new(Exit::Usage, text)
    })?;
    let shutdown = Shutdown::new();
    signals::stop_on_signal(shutdown.clone())?;
    let options = RunOptions { until_idle: args.until_idle };
    agent::run(config, options, &shutdown).map_err(failure)?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let size = File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if size as u64 > FILE_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let problem = format!("line {line} is not UTF-8; save the file as UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })?;
    // Some editors begin a file with a mark of its encoding, which is no part of the first key.
    Ok(text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text))
}

/// What ended the agent, and its code: that of the channel's error where one is behind it.
fn failure(error: AgentError) -> Failure {
    let mut text = error.to_string();
    if let AgentError::Open { error, .. } = &error
        && exit::is_no_space(error)
    {
        text += "\nfree space, or make the segments smaller: maxFileSize, in bytes";
    }
    let exit = match error {
        AgentError::Open { error, .. } => Failure::from(*error).exit,
        AgentError::ChannelStopped { .. } => Exit::Stopped,
        AgentError::Sink { error, .. } => match *error {
            SinkError::Take(error) => Failure::from(error).exit,
            _ => Exit::Io,
        },
        _ => Exit::Io,
    };
    Failure::new(exit, text)
}
