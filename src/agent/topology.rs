//! Opens the channels, runs the sources and sinks, and stops them in the right order.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::config::{ChannelConfig, Config, SinkConfig, SinkKind, SourceConfig};
use crate::channel::{Channel, CloseError, FileChannel, MemoryChannel, OpenError, Stopped};
use crate::shutdown::Shutdown;
use crate::sink::runner::{self, Signals};
use crate::sink::{FileRoll, Logger, Null, Sink, SinkError};
use crate::source::{Source, SourceError, Taildir};

/// How often the stop signal is looked at while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// How to run an agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// End when the sources have nothing more and the channels that have sinks are empty.
    pub until_idle: bool,
}

/// Why an agent has ended before it was told to. Events are where they were: in the channel, or not
/// yet acknowledged to where they come from.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentError {
    /// A channel could not be opened, so nothing was started.
    Open {
        /// The channel's name.
        channel: String,
        /// Why.
        error: Box<OpenError>,
    },
    /// A channel has stopped itself after a failed write or sync; only a new process recovers.
    ChannelStopped {
        /// The channel's name.
        channel: String,
        /// Why.
        error: Stopped,
    },
    /// A source has failed.
    Source {
        /// Its name.
        source: String,
        /// Why.
        error: SourceError,
    },
    /// A sink has failed.
    Sink {
        /// Its name.
        sink: String,
        /// Why.
        error: Box<SinkError>,
    },
    /// A component's thread could not be started or has panicked: a defect, or a system out of
    /// resources.
    Thread {
        /// The component's name.
        component: String,
        /// What is known.
        problem: String,
    },
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentError::Open { channel, error } => write!(f, "channel {channel}: {error}"),
            AgentError::ChannelStopped { channel, error } => {
                write!(f, "channel {channel}: {error}")
            }
            AgentError::Source { source, error } => write!(f, "source {source}: {error}"),
            AgentError::Sink { sink, error } => write!(f, "sink {sink}: {error}"),
            AgentError::Thread { component, problem } => write!(f, "{component}: {problem}"),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AgentError::Open { error, .. } => Some(&**error),
            AgentError::ChannelStopped { error, .. } => Some(error),
            AgentError::Source { error, .. } => Some(error),
            AgentError::Sink { error, .. } => Some(&**error),
            AgentError::Thread { .. } => None,
        }
    }
}

/// Runs the agent until `shutdown` says stop, a component fails, or, if so asked, nothing is left
/// to do.
///
/// On a stop the sources end first, then each sink writes and commits the batch it has in hand,
/// then the channels are closed. The first failure of a component stops all the others the same way
/// and is returned.
pub fn run(config: Config, options: RunOptions, shutdown: &Shutdown) -> Result<(), AgentError> {
    for note in &config.notes {
        tracing::info!("{note}");
    }
    let channels = open(&config.channels)?;
    say_what_runs(&config, &channels);
    let result = Running::new(&channels, shutdown).run(config, options);
    let closed = close(&channels);
    tracing::info!("stopped");
    result.and(closed)
}

/// Tells who looks at the log that the agent is up, and what waits in its channels.
fn say_what_runs(config: &Config, channels: &Channels) {
    for (name, channel) in channels {
        tracing::info!("channel {name} is open and holds {} events", channel.stats().events);
    }
    let flows = |ends: Vec<String>| if ends.is_empty() { "none".into() } else { ends.join(", ") };
    let sources =
        config.sources.iter().map(|source| format!("{} -> {}", source.name, source.channel));
    let sinks = config.sinks.iter().map(|sink| format!("{} -> {}", sink.channel, sink.name));
    let (sources, sinks) = (flows(sources.collect()), flows(sinks.collect()));
    tracing::info!("started; sources: {sources}; sinks: {sinks}");
}

type Channels = BTreeMap<String, Arc<dyn Channel>>;

fn open(configs: &[ChannelConfig]) -> Result<Channels, AgentError> {
    let mut channels = Channels::new();
    for config in configs {
        let options = config.options.clone();
        let opened = match &config.directory {
            Some(directory) => FileChannel::open(directory, options).map(|open| {
                for warning in open.recovery().warnings() {
                    tracing::warn!("channel {}: {warning}", config.name);
                }
                Arc::new(open) as Arc<dyn Channel>
            }),
            None => MemoryChannel::open(options).map(|open| Arc::new(open) as Arc<dyn Channel>),
        };
        let channel = opened.map_err(|error| AgentError::Open {
            channel: config.name.clone(),
            error: Box::new(error),
        })?;
        channels.insert(config.name.clone(), channel);
    }
    Ok(channels)
}

fn close(channels: &Channels) -> Result<(), AgentError> {
    let mut result = Ok(());
    for (name, channel) in channels {
        match channel.close() {
            Err(CloseError::Stopped(error)) => {
                let channel = name.clone();
                result = result.and(Err(AgentError::ChannelStopped { channel, error }));
            }
            Err(error) => tracing::warn!(channel = %name, "{error}"),
            Ok(()) => {}
        }
    }
    result
}

/// The threads of an agent.
struct Running<'a> {
    channels: &'a Channels,
    shutdown: &'a Shutdown,
    /// Ends the sources; unlike `shutdown` it is ours, so a failure of one agent stops no other.
    stop_sources: Shutdown,
    signals: Signals,
    sources: usize,
    sinks: usize,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<Ended>,
    end: Sender<Ended>,
    failure: Option<AgentError>,
}

/// A component's last word.
struct Ended {
    is_source: bool,
    result: Result<(), AgentError>,
}

impl<'a> Running<'a> {
    fn new(channels: &'a Channels, shutdown: &'a Shutdown) -> Running<'a> {
        let (end, ended) = channel();
        Running {
            channels,
            shutdown,
            stop_sources: Shutdown::new(),
            signals: Signals::default(),
            sources: 0,
            sinks: 0,
            threads: Vec::new(),
            ended,
            end,
            failure: None,
        }
    }

    fn run(mut self, config: Config, options: RunOptions) -> Result<(), AgentError> {
        self.start(config, options);
        // Without sources and asked to run on, the sinks alone keep the agent alive.
        while self.sources > 0 || (!options.until_idle && self.sinks > 0) {
            self.step();
            if self.must_stop() {
                break;
            }
        }
        self.stop_sources.stop();
        while self.sources > 0 {
            self.step();
        }
        self.signals.finish.stop();
        while self.sinks > 0 {
            if self.must_stop() || !options.until_idle {
                self.signals.stop.stop();
            }
            self.step();
        }
        for thread in self.threads {
            // A panic was caught inside and reported; there is nothing else to learn here.
            let _ = thread.join();
        }
        self.failure.map_or(Ok(()), Err)
    }

    fn must_stop(&self) -> bool {
        self.failure.is_some() || self.shutdown.is_stopped()
    }

    /// Waits a moment for a component to end.
    fn step(&mut self) {
        let ended = match self.ended.recv_timeout(TICK) {
            Ok(ended) => ended,
            // `self.end` is a sender, so there always is one.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        match ended.is_source {
            true => self.sources -= 1,
            false => self.sinks -= 1,
        }
        if let Err(error) = ended.result {
            if self.failure.is_some() {
                tracing::error!("{error}");
            }
            self.failure.get_or_insert(error);
        }
    }

    fn start(&mut self, config: Config, options: RunOptions) {
        for sink in config.sinks {
            self.start_sink(sink);
        }
        for source in config.sources {
            self.start_source(source, options);
        }
    }

    fn start_sink(&mut self, config: SinkConfig) {
        let Some(channel) = self.channels.get(&config.channel).map(Arc::clone) else {
            return;
        };
        let mut sink: Box<dyn Sink> = match config.kind {
            SinkKind::FileRoll(options) => Box::new(FileRoll::new(&config.name, options)),
            SinkKind::Logger(limit) => Box::new(Logger::new(limit)),
            SinkKind::Null => Box::new(Null),
        };
        let (name, from) = (config.name, config.channel);
        let signals = self.signals.clone();
        self.sinks += 1;
        self.spawn(name.clone(), false, move || {
            let batch_size = config.batch_size as usize;
            runner::run(&mut *sink, &channel, batch_size, &signals).map_err(|error| match error {
                SinkError::Stopped(error) => AgentError::ChannelStopped { channel: from, error },
                error => AgentError::Sink { sink: name, error: Box::new(error) },
            })
        });
    }

    fn start_source(&mut self, config: SourceConfig, options: RunOptions) {
        let Some(channel) = self.channels.get(&config.channel).map(Arc::clone) else {
            return;
        };
        let mut tail = config.options;
        tail.until_idle = options.until_idle;
        let (name, to) = (config.name, config.channel);
        let source = Box::new(Taildir::new(&name, tail));
        let shutdown = self.stop_sources.clone();
        self.sources += 1;
        self.spawn(name.clone(), true, move || {
            source.run(channel, shutdown).map_err(|error| match error {
                SourceError::Stopped(error) => AgentError::ChannelStopped { channel: to, error },
                error => AgentError::Source { source: name, error },
            })
        });
    }

    fn spawn(
        &mut self,
        name: String,
        is_source: bool,
        work: impl FnOnce() -> Result<(), AgentError> + Send + 'static,
    ) {
        let end = self.end.clone();
        let component = name.clone();
        // Each line of the log that the thread writes says whose it is.
        let span = match is_source {
            true => tracing::info_span!("source", %name),
            false => tracing::info_span!("sink", %name),
        };
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let _whose = span.entered();
            let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                Err(AgentError::Thread {
                    component,
                    problem: "it has panicked; this is a defect, please report it".to_string(),
                })
            });
            // The receiver lives until all components have ended.
            let _ = end.send(Ended { is_source, result });
        });
        match thread {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                let problem = format!("its thread cannot be started: {error}");
                let result = Err(AgentError::Thread { component: name, problem });
                let _ = self.end.send(Ended { is_source, result });
            }
        }
    }
}
