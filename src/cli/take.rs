//! `flumen take`: events become lines of stdout.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flumen::{
    AckDurability, Channel, ChannelOptions, CommitError, FileChannel, TRANSACTION_EVENTS_MAX,
    TakeError, TakeTransaction,
};

use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{args, out};

const EXAMPLE: &str = "\
Example: move at most a million events to a compressed file
  $ flumen take /var/spool/queue --max 1000000 | gzip > events.gz";

/// Take events out of a channel and write their bodies to stdout
///
/// Each body is followed by a newline, in the order of the puts. Stdout is written before a transaction
/// commits: what a closed stdout did not take stays in the channel, and a crash between the two writes the
/// transaction's events again. Ends when the channel is empty. Never makes a channel.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct TakeArgs {
    /// The channel's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Take so many events and no more [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max: Option<u64>,
    /// Most events to a transaction
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=TRANSACTION_EVENTS_MAX as u64))]
    batch: u64,
    /// When the channel is empty, wait so long for another event
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true,
        default_value = "0", value_parser = args::seconds)]
    wait: Duration,
    /// When a commit is done: after a sync (sync), or at once, written within so many milliseconds
    /// (lazy=MS); a crash within these gives the same events again
    #[arg(long, value_name = "WHEN", default_value = "sync", value_parser = args::ack_durability)]
    ack_durability: AckDurability,
    /// Size of further segment files, from 16K to 1G [default: 32M]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true,
        value_parser = args::segment_size)]
    segment_size: Option<u64>,
}

impl TakeArgs {
    fn options(&self) -> ChannelOptions {
        let mut options = ChannelOptions::new().create(false).ack_durability(self.ack_durability);
        if self.batch > 100_000 {
            options = options.transaction_events(self.batch as usize);
        }
        if let Some(bytes) = self.segment_size {
            options = options.segment_size(bytes);
        }
        options
    }
}

/// Runs the command on stdout.
pub(crate) fn run(args: &TakeArgs) -> Result<Exit, Failure> {
    let data = out::stdout_that_keeps()?;
    let channel = FileChannel::open(&args.directory, args.options())?;
    out::warn_of(channel.recovery());
    let mut progress = Progress::spinner();
    if io::stdout().is_terminal() {
        progress.hide();
    }
    let mut take = Take {
        channel: &channel,
        max: args.max.unwrap_or(u64::MAX),
        batch: args.batch,
        wait: args.wait,
        data,
        taken: 0,
        bytes: 0,
        progress,
    };
    let outcome = take.all();
    let Take { data, taken, .. } = take;
    // What a failed write left in the buffer was rolled back: it must not be written after all.
    let (_, _) = data.into_parts();
    let closed = channel.close().map_err(Failure::from);
    outcome.map_err(Failure::from).and(closed).map_err(|failure| {
        failure.with(format_args!("events taken for good by this run: {taken}"))
    })?;
    Ok(Exit::Done)
}

/// Why not all events were taken.
#[derive(Debug)]
enum TakeFailure {
    Take(TakeError),
    /// So many events were taken and not written, or only in part.
    Write(u64, io::Error),
    /// The commit of so many events failed, after they were written.
    Commit(u64, CommitError),
}

impl From<TakeFailure> for Failure {
    fn from(failure: TakeFailure) -> Failure {
        match failure {
            TakeFailure::Take(error) => error.into(),
            TakeFailure::Write(events, error) => {
                Failure::io("write to stdout", &error).with(format_args!(
                    "rolled back; the last transaction's events ({events}) stay in the channel"
                ))
            }
            TakeFailure::Commit(events, error) => Failure::from(error).with(format_args!(
                "the last transaction ({events} events) was written to stdout and may come again"
            )),
        }
    }
}

/// One run of the command.
struct Take<'a, W> {
    channel: &'a dyn Channel,
    max: u64,
    batch: u64,
    wait: Duration,
    data: W,
    /// Events written and committed so far.
    taken: u64,
    /// Bytes of their bodies.
    bytes: u64,
    progress: Progress,
}

/// What a transaction has in hand.
#[derive(Default)]
struct Batch {
    events: u64,
    bytes: u64,
    /// Why there are no more. What came before is still to be written and committed.
    failure: Option<TakeError>,
}

impl<W: Write> Take<'_, W> {
    /// Takes until nothing comes for as long as it may wait, or as many were taken as wanted.
    fn all(&mut self) -> Result<(), TakeFailure> {
        while self.taken < self.max {
            let mut transaction = self.channel.begin_take();
            let batch = self.fill(&mut transaction)?;
            if batch.events > 0 {
                self.data.flush().map_err(|error| TakeFailure::Write(batch.events, error))?;
                transaction.commit().map_err(|error| TakeFailure::Commit(batch.events, error))?;
                self.taken += batch.events;
                self.bytes += batch.bytes;
                self.progress.events("taken", self.taken, self.bytes);
            }
            if let Some(failure) = batch.failure {
                return Err(TakeFailure::Take(failure));
            }
            if batch.events == 0 && (self.wait.is_zero() || !self.channel.wait(self.wait)) {
                break;
            }
        }
        Ok(())
    }

    /// Takes and writes the events of one transaction.
    fn fill(&mut self, transaction: &mut TakeTransaction) -> Result<Batch, TakeFailure> {
        let mut batch = Batch::default();
        let most = self.batch.min(self.max - self.taken);
        while batch.events < most {
            let event = match transaction.take() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(TakeError::TransactionFull) if batch.events > 0 => break,
                Err(error) => {
                    batch.failure = Some(error);
                    break;
                }
            };
            batch.events += 1;
            batch.bytes += event.body.len() as u64;
            self.data
                .write_all(&event.body)
                .and_then(|()| self.data.write_all(b"\n"))
                .map_err(|error| TakeFailure::Write(batch.events, error))?;
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flumen::{Event, MemoryChannel};

    fn channel(bodies: &[&str], options: ChannelOptions) -> MemoryChannel {
        let channel = MemoryChannel::open(options).expect("the options are right");
        for body in bodies {
            let mut transaction = channel.begin_put();
            transaction.put(Event::new(*body)).expect("room");
            transaction.commit().expect("memory");
        }
        channel
    }

    fn take<W: Write>(
        channel: &MemoryChannel,
        max: u64,
        batch: u64,
        data: W,
    ) -> (Result<(), TakeFailure>, u64) {
        let mut take = Take {
            channel,
            max,
            batch,
            wait: Duration::ZERO,
            data,
            taken: 0,
            bytes: 0,
            progress: Progress::spinner(),
        };
        (take.all(), take.taken)
    }

    #[test]
    fn bodies_come_in_order_each_with_its_newline() {
        let channel = channel(&["a", "", "b c"], ChannelOptions::new());
        let mut data = Vec::new();
        let (outcome, taken) = take(&channel, u64::MAX, 2, &mut data);
        outcome.expect("memory");
        assert_eq!((data.as_slice(), taken), (&b"a\n\nb c\n"[..], 3));
        assert_eq!(channel.stats().takes_committed, 2);
        assert_eq!(channel.stats().events, 0);
    }

    #[test]
    fn no_more_than_wanted_are_taken() {
        let channel = channel(&["a", "b", "c", "d"], ChannelOptions::new());
        let mut data = Vec::new();
        let (outcome, taken) = take(&channel, 3, 2, &mut data);
        outcome.expect("memory");
        assert_eq!((data.as_slice(), taken), (&b"a\nb\nc\n"[..], 3));
        let (outcome, taken) = take(&channel, 0, 2, &mut data);
        outcome.expect("memory");
        assert_eq!((taken, channel.stats().events), (0, 1));
    }

    #[test]
    fn a_full_transaction_is_committed_early() {
        let channel = channel(&["a", "b", "c"], ChannelOptions::new().transaction_events(2));
        let (outcome, taken) = take(&channel, u64::MAX, 100, io::sink());
        outcome.expect("memory");
        assert_eq!((taken, channel.stats().takes_committed), (3, 2));
    }

    /// Takes `room` bytes and then no more, as a closed pipe.
    struct Closing {
        room: usize,
    }

    impl Write for Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_closed_stdout_did_not_take_stays_in_the_channel() {
        let channel = channel(&["a", "b", "c", "d", "e"], ChannelOptions::new());
        let (outcome, taken) = take(&channel, u64::MAX, 2, Closing { room: 6 });
        let failure = Failure::from(outcome.expect_err("stdout is closed"));
        assert_eq!(failure.exit, Exit::Io);
        assert_eq!((taken, channel.stats().events), (2, 3));
        let mut data = Vec::new();
        take(&channel, u64::MAX, 100, &mut data).0.expect("memory");
        assert_eq!(data, b"c\nd\ne\n");
    }
}
