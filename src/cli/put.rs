//! `flumen put`: lines of stdin become events.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use flumen::{
    Channel, ChannelOptions, CommitError, Durability, EVENT_SIZE_MAX, Event, FileChannel, PutError,
    Shutdown, TRANSACTION_EVENTS_MAX,
};

use super::exit::{Exit, Failure};
use super::input::Input;
use super::lines::{LineError, Lines};
use super::progress::Progress;
use super::{args, out, signals};

const EXAMPLE: &str = "\
Example: keep what a program says, and see how much of it is safe by now
  $ journalctl -f -o json | flumen put /var/spool/queue --ack --header host=web1";

/// Put the lines of stdin into a channel, as events
///
/// The newline is not part of an event; a last line without one counts; an empty line is an empty event.
/// The channel is made when there is none. After an error stderr says how many events of this run are
/// durable: these are the first lines of the input, and an unfinished transaction is rolled back.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct PutArgs {
    /// The channel's directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Events to a transaction; fewer when the capacity is smaller or the events are very large, and when
    /// --batch-timeout has passed
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=TRANSACTION_EVENTS_MAX as u64))]
    batch: u64,
    /// Commit a transaction so long after its first line, though it could hold more; 0: with the lines that
    /// came with that one
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true,
        default_value = "3", value_parser = args::seconds)]
    batch_timeout: Duration,
    /// After each commit, write the number of events durable by this run so far to stdout, one a line
    #[arg(long)]
    ack: bool,
    /// A header for each event; may be given more than once
    #[arg(long = "header", value_name = "K=V", value_parser = args::header)]
    headers: Vec<(String, String)>,
    /// When a commit is done: after a sync (sync), at once with a sync every so many milliseconds
    /// (interval=MS), or at once (os). A crash of the program alone loses nothing in any case
    #[arg(long, value_name = "WHEN", default_value = "sync", value_parser = args::durability)]
    durability: Durability,
    /// Size of a segment file, from 16K to 1G [default: 32M]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true,
        value_parser = args::segment_size)]
    segment_size: Option<u64>,
    /// Most events the channel may hold [default: no limit]
    #[arg(long, value_name = "EVENTS", allow_negative_numbers = true,
        value_parser = clap::value_parser!(u64).range(1..))]
    capacity: Option<u64>,
    /// Most bytes the channel may hold, such as 512M [default: no limit]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true,
        value_parser = args::size_of_some)]
    capacity_bytes: Option<u64>,
    /// How long to wait for room in a full channel [default: 3]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true,
        value_parser = args::seconds)]
    put_wait: Option<Duration>,
}

impl PutArgs {
    /// Events to a transaction. One that the channel cannot hold at all would wait for room in vain.
    fn batch(&self) -> usize {
        self.capacity.map_or(self.batch, |most| most.min(self.batch)) as usize
    }

    /// What stderr says after an error, beside the error.
    fn count(&self, events: u64) -> String {
        match self.durability {
            Durability::Sync => format!("durable events of this run: {events}"),
            // After a failed sync the last of them may be gone with the next power cut.
            _ => format!("committed events of this run, not all of them synced: {events}"),
        }
    }

    fn options(&self) -> ChannelOptions {
        let mut options = ChannelOptions::new().durability(self.durability);
        // The default bounds the memory of those who do not say what they want; who asks for more gets it.
        if self.batch() > 100_000 {
            options = options.transaction_events(self.batch());
        }
        if let Some(bytes) = self.segment_size {
            options = options.segment_size(bytes);
        }
        if let Some(events) = self.capacity {
            options = options.capacity_events(events);
        }
        if let Some(bytes) = self.capacity_bytes {
            options = options.capacity_bytes(bytes);
        }
        if let Some(wait) = self.put_wait {
            options = options.put_wait(wait);
        }
        options
    }
}

/// Runs the command on stdin and stdout.
pub(crate) fn run(args: &PutArgs) -> Result<Exit, Failure> {
    let shutdown = Shutdown::new();
    let signal = signals::stop_on_signal(shutdown.clone())?;
    let input = Input::new(out::stdin()?, shutdown)
        .map_err(|error| Failure::io("start a thread for stdin", &error))?;
    let acks = if args.ack { Some(out::stdout_that_keeps()?) } else { None };
    let channel = FileChannel::open(&args.directory, args.options())
        .map_err(|error| Failure::from(error).with(args.count(0)))?;
    out::warn_of(channel.recovery());
    let mut put = Put {
        channel: &channel,
        headers: args.headers.iter().cloned().collect(),
        batch: args.batch(),
        batch_timeout: args.batch_timeout,
        acks,
        durable: 0,
        bytes: 0,
        progress: Progress::spinner(),
    };
    let outcome = put.all(&mut Lines::new(input, EVENT_SIZE_MAX as usize));
    let durable = put.durable;
    drop(put);
    // A channel that stopped refuses to close, for the reason that `outcome` gives: it goes first.
    let closed = channel.close().map_err(Failure::from);
    outcome
        .map_err(Failure::from)
        .and(closed)
        .map_err(|failure| failure.with(args.count(durable)))?;
    match signal.try_recv() {
        Ok(number) => Err(Failure::new(
            Exit::Signal(number),
            format!("ended by signal {number}; the lines in hand are put"),
        )
        .with(args.count(durable))),
        Err(_) => Ok(Exit::Done),
    }
}

/// Why not all lines became events.
#[derive(Debug)]
enum PutFailure {
    Line(LineError),
    /// The event of this line was refused.
    Put(u64, PutError),
    /// The commit of so many events failed.
    Commit(usize, CommitError),
    /// The disk had no room for a commit; the text says for what.
    NoSpace(CommitError, String),
    Ack(io::Error),
}

impl From<PutFailure> for Failure {
    fn from(failure: PutFailure) -> Failure {
        match failure {
            PutFailure::Line(error) => Failure::new(Exit::Io, error.to_string()),
            PutFailure::Put(line, error) => {
                let text = format!("line {line} was not put: {error}");
                Failure::new(Failure::from(error).exit, text)
            }
            PutFailure::Commit(events, error) => {
                let stopped = matches!(error, CommitError::Stopped(_));
                let failure = Failure::from(error);
                if !stopped {
                    return failure;
                }
                failure.with(format_args!(
                    "whether the last transaction ({events} events) is durable too is unknown: all of it \
                     is or nothing, and opening the channel again tells"
                ))
            }
            PutFailure::NoSpace(error, missing) => Failure::from(error).with(missing),
            PutFailure::Ack(error) => Failure::io("write to stdout, which --ack needs", &error),
        }
    }
}

/// One run of the command.
struct Put<'a, W> {
    channel: &'a dyn Channel,
    headers: BTreeMap<String, String>,
    batch: usize,
    batch_timeout: Duration,
    acks: Option<W>,
    /// Events committed so far.
    durable: u64,
    /// Bytes of their bodies.
    bytes: u64,
    progress: Progress,
}

impl<W: Write> Put<'_, W> {
    /// Puts all lines, a batch to a transaction, or as many as have come in time, and the rest at the end.
    fn all<R: Read>(&mut self, lines: &mut Lines<R>) -> Result<(), PutFailure> {
        let mut carried = None;
        loop {
            let mut transaction = self.channel.begin_put();
            let mut bytes = 0;
            // Counted from the first event, not from the last: a stream that trickles on is committed too.
            let mut due = None;
            while transaction.len() < self.batch {
                let wanted = self.batch - transaction.len();
                let Some(event) = self.next_event(&mut carried, lines, wanted, due)? else {
                    break;
                };
                due.get_or_insert_with(|| Instant::now() + self.batch_timeout);
                let length = event.body.len() as u64;
                match transaction.put(event) {
                    Ok(()) => bytes += length,
                    Err(PutError::TransactionFull(event)) if !transaction.is_empty() => {
                        carried = Some(event);
                        break;
                    }
                    Err(error) => return Err(PutFailure::Put(lines.count(), error)),
                }
            }
            let events = transaction.len();
            if events == 0 {
                return Ok(());
            }
            transaction.commit().map_err(|error| match error {
                CommitError::NoSpace(_) => {
                    PutFailure::NoSpace(error, self.channel.stats().missing_space())
                }
                error => PutFailure::Commit(events, error),
            })?;
            self.durable += events as u64;
            self.bytes += bytes;
            self.acknowledge().map_err(PutFailure::Ack)?;
            self.progress.events("put", self.durable, self.bytes);
        }
    }

    /// The event that the transaction before had no room for, or that of the next line. The first one is
    /// waited for alone, and for as long as it takes: only then is it known when the others are due.
    fn next_event<R: Read>(
        &self,
        carried: &mut Option<Event>,
        lines: &mut Lines<R>,
        wanted: usize,
        due: Option<Instant>,
    ) -> Result<Option<Event>, PutFailure> {
        if carried.is_some() {
            return Ok(carried.take());
        }
        let wanted = if due.is_some() { wanted } else { 1 };
        let line = lines.next(wanted, due).map_err(PutFailure::Line)?;
        Ok(line.map(|body| Event { headers: self.headers.clone(), body }))
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        let Some(acks) = &mut self.acks else {
            return Ok(());
        };
        writeln!(acks, "{}", self.durable)?;
        acks.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::lines::tests::Parts;
    use flumen::MemoryChannel;

    fn channel(options: ChannelOptions) -> MemoryChannel {
        MemoryChannel::open(options.put_wait(Duration::ZERO)).expect("the options are right")
    }

    /// Puts `input`, and gives the outcome, the acknowledgements and the number of durable events.
    fn put(
        channel: &MemoryChannel,
        batch: usize,
        input: &[u8],
    ) -> (Result<(), PutFailure>, String, u64) {
        put_within(channel, batch, DAY, input)
    }

    /// Longer than any test may take.
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn put_within<R: Read>(
        channel: &MemoryChannel,
        batch: usize,
        batch_timeout: Duration,
        input: R,
    ) -> (Result<(), PutFailure>, String, u64) {
        let mut acks = Vec::new();
        let mut put = Put {
            channel,
            headers: [("host".into(), "web1".into())].into(),
            batch,
            batch_timeout,
            acks: Some(&mut acks),
            durable: 0,
            bytes: 0,
            progress: Progress::spinner(),
        };
        let outcome = put.all(&mut Lines::new(input, 100));
        let durable = put.durable;
        drop(put);
        (outcome, String::from_utf8(acks).expect("digits"), durable)
    }

    fn bodies(channel: &MemoryChannel) -> Vec<String> {
        let mut bodies = Vec::new();
        while channel.stats().events > 0 {
            let mut transaction = channel.begin_take();
            let event = transaction.take().expect("memory").expect("an event");
            transaction.commit().expect("memory");
            assert_eq!(event.headers["host"], "web1");
            bodies.push(String::from_utf8_lossy(&event.body).into_owned());
        }
        bodies
    }

    #[test]
    fn lines_become_events_a_batch_to_a_transaction_and_the_rest_at_the_end() {
        let channel = channel(ChannelOptions::new());
        let (outcome, acks, durable) = put(&channel, 2, b"a\n\nb\nc\nd");
        outcome.expect("room");
        assert_eq!(acks, "2\n4\n5\n");
        assert_eq!(durable, 5);
        assert_eq!(channel.stats().puts_committed, 3);
        assert_eq!(bodies(&channel), ["a", "", "b", "c", "d"]);
    }

    #[test]
    fn lines_that_wait_for_others_are_committed_when_it_is_time() {
        let parts: [&[u8]; 6] = [b"a\nb\nc", b"", b"", b"d\n", b"", b"e\n"];
        for (timeout, expected) in [(Duration::ZERO, "2\n3\n4\n"), (DAY, "4\n")] {
            let channel = channel(ChannelOptions::new());
            let (outcome, acks, _) = put_within(&channel, 100, timeout, Parts(parts.into()));
            outcome.expect("room");
            assert_eq!(acks, expected);
            assert_eq!(bodies(&channel), ["a", "b", "cd", "e"]);
        }
    }

    #[test]
    fn a_transaction_that_is_full_is_committed_early() {
        let channel = channel(ChannelOptions::new().transaction_events(2));
        let (outcome, acks, _) = put(&channel, 100, b"a\nb\nc\n");
        outcome.expect("room");
        assert_eq!(acks, "2\n3\n");
        assert_eq!(bodies(&channel), ["a", "b", "c"]);
    }

    #[test]
    fn a_full_channel_ends_the_run_and_rolls_the_unfinished_transaction_back() {
        let channel = channel(ChannelOptions::new().capacity_events(3));
        let (outcome, acks, durable) = put(&channel, 2, b"a\nb\nc\nd\ne\n");
        match outcome {
            Err(PutFailure::Put(4, PutError::Full(_))) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!((acks.as_str(), durable), ("2\n", 2));
        assert_eq!(bodies(&channel), ["a", "b"]);
    }

    #[test]
    fn a_long_line_is_named_and_nothing_before_it_is_lost() {
        let channel = channel(ChannelOptions::new());
        let mut input = b"a\nb\nc\n".to_vec();
        input.extend([b'x'; 101]);
        let (outcome, _, durable) = put(&channel, 3, &input);
        let failure = Failure::from(outcome.expect_err("the line is too long"));
        assert_eq!(failure.exit, Exit::Io);
        assert!(failure.to_string().starts_with("line 4 is longer"), "{failure}");
        assert_eq!(durable, 3);
    }

    #[test]
    fn an_ack_that_nobody_reads_ends_the_run_after_the_commit() {
        let channel = channel(ChannelOptions::new());
        let mut put = Put {
            channel: &channel,
            headers: BTreeMap::new(),
            batch: 1,
            batch_timeout: DAY,
            acks: Some(&mut [][..]),
            durable: 0,
            bytes: 0,
            progress: Progress::spinner(),
        };
        let outcome = put.all(&mut Lines::new(&b"a\nb\n"[..], 100));
        assert!(matches!(outcome, Err(PutFailure::Ack(_))));
        assert_eq!(put.durable, 1);
        assert_eq!(channel.stats().events, 1);
    }
}
