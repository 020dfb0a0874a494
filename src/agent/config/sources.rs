//! Sources: Flume's `TAILDIR`.

use std::path::Path;
use std::time::Duration;

use super::section::{Fate, Key, Section};
use crate::source::taildir::{FileGroup, TaildirOptions};

/// A source to run.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name in the file.
    pub name: String,
    /// The channel it feeds.
    pub channel: String,
    /// What it reads.
    pub options: TaildirOptions,
}

const TYPES: [&str; 1] = ["TAILDIR"];
const TYPES_LATER: [&str; 14] = [
    "avro",
    "thrift",
    "exec",
    "jms",
    "spooldir",
    "netcat",
    "netcatudp",
    "seq",
    "syslogtcp",
    "multiport_syslogtcp",
    "syslogudp",
    "http",
    "stress",
    "scribe",
];

const KEYS: &[Key] = &[
    Key("type", Fate::Read),
    Key("channels", Fate::Read),
    Key("filegroups", Fate::Read),
    Key("filegroups.*", Fate::Read),
    Key("headers.*", Fate::Read),
    Key("batchSize", Fate::Read),
    Key("maxBatchCount", Fate::Read),
    Key("fileHeader", Fate::Read),
    Key("fileHeaderKey", Fate::Unused("only used when fileHeader is true")),
    Key("byteOffsetHeader", Fate::Read),
    Key("skipToEnd", Fate::Read),
    Key("idleTimeout", Fate::Read),
    Key("backoffSleepIncrement", Fate::Read),
    Key("maxBackoffSleep", Fate::Read),
    Key("maxLineLength", Fate::Read),
    Key(
        "positionFile",
        Fate::Unused(
            "not used: the positions are in the channel, in the same commits as the lines",
        ),
    ),
    Key("writePosInterval", Fate::Unused("not used: every commit records its positions")),
    Key("cachePatternMatching", Fate::Unused("not used: the directory is listed at every look")),
    Key("interceptors", Fate::Later),
    Key("interceptors.*", Fate::Later),
    Key("selector.*", Fate::Later),
    Key("deserializer", Fate::Later),
    Key("deserializer.*", Fate::Later),
];

/// Reads a source. `None` when it is too wrong to be made; every mistake is reported.
pub(super) fn read(section: &Section<'_>, name: &str) -> Option<SourceConfig> {
    let kind = section.required("type", "this source has no type", "TAILDIR");
    let known =
        kind.and_then(|kind| section.choice(kind, "this type of source", &TYPES, &TYPES_LATER));
    let channel = channel(section);
    // Of a source of another type no key is known: saying so for each of them helps nobody.
    known?;
    let options = taildir(section);
    section.finish(KEYS);
    Some(SourceConfig { name: name.to_string(), channel: channel?, options: options? })
}

fn channel(section: &Section<'_>) -> Option<String> {
    let property = section.required("channels", "this source feeds no channel", "CHANNEL")?;
    match property.words()[..] {
        [(channel, _)] => Some(channel.to_string()),
        _ => {
            section
                .wrong(property, "more than one channel is not supported yet by this version")
                .cure("name one; with several, a crash between their commits would double lines")
                .tell(section.sheet);
            None
        }
    }
}

fn taildir(section: &Section<'_>) -> Option<TaildirOptions> {
    let milliseconds =
        |key: &str, default| Duration::from_millis(section.number(key, default, 0..=86_400_000));
    let groups = groups(section);
    let mut options = TaildirOptions::new(Vec::new());
    options.batch_size = section.number("batchSize", 100, 1..=1_000_000) as usize;
    options.max_batch_count = section.number("maxBatchCount", u64::MAX, 1..=u64::MAX);
    options.byte_offset_header = section.flag("byteOffsetHeader", false);
    options.skip_to_end = section.flag("skipToEnd", false);
    options.idle_timeout = milliseconds("idleTimeout", 120_000);
    options.back_off_step = milliseconds("backoffSleepIncrement", 1000);
    options.back_off_limit = milliseconds("maxBackoffSleep", 5000);
    options.line_max = section.number("maxLineLength", 16 << 20, 1..=32 << 20) as usize;
    if section.flag("fileHeader", false) {
        let key = section.get("fileHeaderKey");
        options.file_header = Some(key.map_or("file", |key| key.value.trim()).to_string());
    }
    options.groups = groups?;
    Some(options)
}

fn groups(section: &Section<'_>) -> Option<Vec<FileGroup>> {
    let property = section.required("filegroups", "this source reads no files", "GROUP")?;
    let mut groups = Vec::new();
    let mut whole = true;
    for (name, span) in property.words() {
        let place = Section { sheet: section.sheet, prefix: section.prefix.clone(), home: span };
        match group(&place, name) {
            Some(group) => groups.push(group),
            None => whole = false,
        }
    }
    let names: Vec<&str> = property.words().into_iter().map(|(name, _)| name).collect();
    for part in ["filegroups.", "headers."] {
        for (rest, property) in section.under(part) {
            let group = rest.split('.').next().unwrap_or(rest);
            if !names.contains(&group) {
                let listed = section.name("filegroups");
                section.sheet.report(
                    super::Problem::new(
                        property.key_span.clone(),
                        format!("the file group `{group}` is not listed"),
                    )
                    .cure(format!("add `{group}` to `{listed}`, or remove this line")),
                );
            }
        }
    }
    whole.then_some(groups)
}

fn group(section: &Section<'_>, name: &str) -> Option<FileGroup> {
    let key = format!("filegroups.{name}");
    let example = r"/var/log/app/access\\.log.*";
    let property = section.required(&key, "this group has no files", example)?;
    let path = Path::new(property.value.trim());
    let (directory, pattern) =
        match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (Some(directory), Some(pattern)) if path.is_absolute() && !path.ends_with("..") => {
                (directory, pattern)
            }
            _ => {
                section
                    .wrong(property, "not an absolute path that ends with a pattern for names")
                    .cure(format!("write a directory, `/`, and a regular expression, as {example}"))
                    .tell(section.sheet);
                return None;
            }
        };
    let mut group = match FileGroup::new(directory, pattern) {
        Ok(group) => group,
        Err(error) => {
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.trim_start_matches("error: ");
            section
                .wrong(property, &format!("not a regular expression: {reason}"))
                .cure("a pattern follows the last `/`; it has no look-around, no back-references")
                .tell(section.sheet);
            return None;
        }
    };
    for (header, property) in section.under(&format!("headers.{name}.")) {
        group = group.header(header, property.value.clone());
    }
    Some(group)
}
