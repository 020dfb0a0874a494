//! What a taildir source is to read, and how.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

/// Files of one directory whose names match a pattern.
#[derive(Clone, Debug)]
pub struct FileGroup {
    pub(super) directory: PathBuf,
    pub(super) pattern: Regex,
    pub(super) headers: BTreeMap<String, String>,
}

impl FileGroup {
    /// The files of `directory` whose whole name matches the regular expression `pattern`. An error
    /// says what is wrong with the pattern.
    pub fn new(directory: impl AsRef<Path>, pattern: &str) -> Result<FileGroup, String> {
        let pattern = Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
        Ok(FileGroup {
            directory: directory.as_ref().to_path_buf(),
            pattern,
            headers: BTreeMap::new(),
        })
    }

    /// Adds a header to every event of the group.
    #[must_use]
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> FileGroup {
        self.headers.insert(key.into(), value.into());
        self
    }

    /// The regular expression, as it was given.
    pub(super) fn pattern(&self) -> &str {
        self.pattern.as_str().trim_start_matches("^(?:").trim_end_matches(")$")
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// How to run a [`Taildir`](super::Taildir); defaults are Flume's where Flume has the option.
#[derive(Clone, Debug)]
pub struct TaildirOptions {
    /// The files. One that matches several groups belongs to the first.
    pub groups: Vec<FileGroup>,
    /// Most events in one transaction. Default: 100.
    pub batch_size: usize,
    /// Most batches read from one file before the others get their turn; a file that was rotated is
    /// read to its end nevertheless, for its lines come before those of its successor. Default: no
    /// limit.
    pub max_batch_count: u64,
    /// The header that holds the path of the file. Default: none.
    pub file_header: Option<String>,
    /// Whether the header `byteoffset` holds the place in the file where the line begins. Default:
    /// no.
    pub byte_offset_header: bool,
    /// Whether files that are there at a start, and of which the channel holds no position, are read
    /// from their end; as in Flume that leaves out what was written while the agent was down to
    /// files made then. Default: no.
    pub skip_to_end: bool,
    /// After how long without news a file is closed, and its last line delivered even without a
    /// newline. A file that no longer matches its group is forgotten then. Default: 120 s.
    pub idle_timeout: Duration,
    /// By how much each look that finds nothing lengthens the wait until the next. Default: 1 s.
    pub back_off_step: Duration,
    /// Longest wait. Default: 5 s.
    pub back_off_limit: Duration,
    /// Bytes after which a line is cut into several events. Bounds the memory of the source.
    /// Default: 16 MiB.
    pub line_max: usize,
    /// Whether to end when a look finds nothing more. Default: no.
    pub until_idle: bool,
}

impl TaildirOptions {
    /// Defaults, for the files of `groups`.
    pub fn new(groups: Vec<FileGroup>) -> TaildirOptions {
        TaildirOptions {
            groups,
            batch_size: 100,
            max_batch_count: u64::MAX,
            file_header: None,
            byte_offset_header: false,
            skip_to_end: false,
            idle_timeout: Duration::from_secs(120),
            back_off_step: Duration::from_secs(1),
            back_off_limit: Duration::from_secs(5),
            line_max: 16 << 20,
            until_idle: false,
        }
    }
}
