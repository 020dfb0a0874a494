//! From the text of a properties file to a configuration that can be run, or to all its mistakes.

mod channels;
mod section;
mod sections;
mod sinks;
mod sources;

use std::ops::Range;
use std::path::PathBuf;

use self::section::{Section, Sheet};
use super::problem::{ConfigError, Problem, did_you_mean};
use super::properties::{self, Property};

pub use self::channels::ChannelConfig;
pub use self::sinks::{SinkConfig, SinkKind};
pub use self::sources::SourceConfig;

/// What an agent consists of. There is no wrong one: [`Config::parse`] is the way to it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The channels, at least one.
    pub channels: Vec<ChannelConfig>,
    /// The sources; each feeds one of the channels.
    pub sources: Vec<SourceConfig>,
    /// The sinks; each empties one of the channels.
    pub sinks: Vec<SinkConfig>,
    /// Keys that were accepted and mean less than one might expect, and why.
    pub notes: Vec<String>,
}

impl Config {
    /// Reads the part of `text` that is about `agent`. `path` is only for messages. Other agents in
    /// the same file are not looked at.
    pub fn parse(text: &str, path: &str, agent: &str) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        let properties = properties::parse(text, &mut problems);
        let sheet = Sheet::new(&properties, problems);
        sections::refuse_lookups(&sheet, agent);
        let (channels, sources, sinks) = match sections::agent_is_there(&sheet, agent) {
            true => read(&sheet, agent),
            false => (Vec::new(), Vec::new(), Vec::new()),
        };
        let (problems, notes) = sheet.finish();
        if !problems.is_empty() {
            return Err(ConfigError::new(path, text, problems));
        }
        Ok(Config { channels, sources, sinks, notes })
    }
}

type Components = (Vec<ChannelConfig>, Vec<SourceConfig>, Vec<SinkConfig>);

fn read(sheet: &Sheet<'_>, agent: &str) -> Components {
    let channel_sections = sections::of(sheet, agent, "channels");
    let source_sections = sections::of(sheet, agent, "sources");
    let sink_sections = sections::of(sheet, agent, "sinks");
    sections::refuse_strays(sheet, agent);

    let channels: Vec<ChannelConfig> = channel_sections
        .iter()
        .filter_map(|(name, section)| channels::read(section, name))
        .collect();
    let sources: Vec<SourceConfig> =
        source_sections.iter().filter_map(|(name, section)| sources::read(section, name)).collect();
    let sinks: Vec<SinkConfig> =
        sink_sections.iter().filter_map(|(name, section)| sinks::read(section, name)).collect();

    let names: Vec<&str> = channel_sections.iter().map(|(name, _)| *name).collect();
    let links = Links { names, channels: &channels };
    for (name, section) in &source_sections {
        let source = sources.iter().find(|source| source.name == *name);
        let batch = source.map_or(0, |source| source.options.batch_size as u64);
        links.check(section, "channels", ("batchSize", batch));
    }
    for (name, section) in &sink_sections {
        let sink = sinks.iter().find(|sink| sink.name == *name);
        let batch = sink.map_or(0, |sink| sink.batch_size);
        let key = match sink.map(|sink| &sink.kind) {
            Some(SinkKind::FileRoll(_)) => "sink.batchSize",
            _ => "batchSize",
        };
        links.check(section, "channel", (key, batch));
    }
    refuse_shared_directories(&channels, &channel_sections);
    note_forgetful(&sources, &source_sections, &channels);
    (channels, sources, sinks)
}

/// What sources and sinks may refer to.
struct Links<'a> {
    names: Vec<&'a str>,
    channels: &'a [ChannelConfig],
}

impl Links<'_> {
    /// Whether the channel exists and its transactions can hold the component's batches: in Flume a
    /// batch that is too large is rolled back and delivered again for ever.
    fn check(&self, section: &Section<'_>, key: &str, (batch_key, batch): (&str, u64)) {
        let Some(property) = section.get(key) else {
            return;
        };
        for (word, span) in property.words() {
            if !self.names.contains(&word) {
                section.sheet.report(self.unknown(word, span));
            }
            let channel = self.channels.iter().find(|channel| channel.name == word);
            let limit = channel.map_or(u64::MAX, |channel| channel.transaction_capacity);
            if batch > limit {
                let place = section.get(batch_key).unwrap_or(property).value_span();
                let key = section.name(batch_key);
                let problem =
                    Problem::new(place, "a batch is larger than a transaction of its channel")
                        .label(format!("{batch} events, but `{word}` takes {limit} at once"))
                        .cure(format!("lower `{key}`, or raise `transactionCapacity` of `{word}`"));
                section.sheet.report(problem);
            }
        }
    }

    fn unknown(&self, word: &str, span: Range<usize>) -> Problem {
        let cure = match did_you_mean(word, self.names.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("the channels are: {}", self.names.join(", ")),
        };
        Problem::new(span, format!("there is no channel `{word}`"))
            .label("not in the list of channels")
            .cure(cure)
    }
}

/// Two channels in one directory: the second could not be opened, and in Flume neither would work.
fn refuse_shared_directories(channels: &[ChannelConfig], sections: &[(&str, Section<'_>)]) {
    let mut seen: Vec<(PathBuf, &str)> = Vec::new();
    for channel in channels {
        let Some(directory) = &channel.directory else {
            continue;
        };
        let place = directory.canonicalize().unwrap_or_else(|_| directory.components().collect());
        let Some((_, section)) = sections.iter().find(|(name, _)| *name == channel.name) else {
            continue;
        };
        let own = section.get("directory").or_else(|| section.get("dataDirs"));
        match (seen.iter().find(|(other, _)| *other == place), own) {
            (Some((_, other)), Some(property)) => section
                .wrong(property, &format!("this is the directory of channel `{other}` too"))
                .cure("give each channel a directory of its own")
                .tell(section.sheet),
            _ => seen.push((place, &channel.name)),
        }
    }
}

/// Positions live in the channel; a channel in memory forgets them with the events.
fn note_forgetful(
    sources: &[SourceConfig],
    sections: &[(&str, Section<'_>)],
    channels: &[ChannelConfig],
) {
    for (name, section) in sections {
        let source = sources.iter().find(|source| source.name == *name);
        let in_memory = source.is_some_and(|source| {
            channels
                .iter()
                .any(|channel| channel.name == source.channel && channel.directory.is_none())
        });
        if in_memory {
            section.note(
                "channels",
                "a channel in memory keeps no positions, so every start reads all files again \
                 (or, with skipToEnd, none of what is there); \
                 use a file channel to go on where it stopped",
            );
        }
    }
}
