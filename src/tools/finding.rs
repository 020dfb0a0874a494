//! What the tools find, as values.

use std::fmt;
use std::ops::Range;

use crate::log::{Damage, Flaw, Lsn};

/// Whether a finding is a loss of something that was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// Acknowledged bytes are altered or missing.
    Damage,
    /// Worth knowing and harmless: a write that was cut off before it was acknowledged, a file nothing needs.
    Note,
}

impl FindingKind {
    /// The kind's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Damage => "damage",
            FindingKind::Note => "note",
        }
    }
}

/// Something that is not as it should be, or that is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Name of the file within the channel's directory.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How bad it is.
    pub kind: FindingKind,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The sequences of the events concerned, as far as they are known; an end of `u64::MAX` means "and all
    /// behind it". What was taken already is among them.
    pub sequences: Option<Range<u64>>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} at offset {}", self.kind.name(), self.file, self.offset)?;
        write!(f, ": expected {}, found {}", self.expected, self.found)?;
        match &self.sequences {
            Some(range) if range.end == u64::MAX => {
                write!(f, " (events from sequence {} on are concerned)", range.start)
            }
            Some(range) => write!(f, " (events {}..{} are concerned)", range.start, range.end),
            None => Ok(()),
        }
    }
}

/// Findings as they are collected.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    /// Flaws whose sequences end where the next intact record begins.
    open: Vec<usize>,
    /// Flaws that are damage only if a witness promises what stood there: index and position.
    unjudged: Vec<(usize, Lsn)>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        kind: FindingKind,
        file: &str,
        offset: u64,
        flaw: Flaw,
        sequences: Option<Range<u64>>,
    ) {
        let Flaw { expected, found } = flaw;
        let file = file.to_string();
        self.list.push(Finding { file, offset, kind, expected, found, sequences });
    }

    pub(super) fn damage(&mut self, file: &str, offset: u64, flaw: Flaw) {
        self.add(FindingKind::Damage, file, offset, flaw, None);
    }

    pub(super) fn note(&mut self, file: &str, offset: u64, flaw: Flaw) {
        self.add(FindingKind::Note, file, offset, flaw, None);
    }

    /// A flaw that concerns the sequences from `from` to where the next intact record begins.
    pub(super) fn open(&mut self, file: &str, offset: u64, flaw: Flaw, from: u64) {
        self.open.push(self.list.len());
        self.add(FindingKind::Damage, file, offset, flaw, Some(from..u64::MAX));
    }

    /// The last finding is damage only if what stood at `lsn` was promised.
    pub(super) fn last_is_doubtful(&mut self, lsn: Lsn) {
        if let Some(last) = self.list.len().checked_sub(1) {
            self.unjudged.push((last, lsn));
        }
    }

    /// An intact record begins with `sequence`.
    pub(super) fn close(&mut self, sequence: u64) {
        for index in self.open.drain(..) {
            let sequences = &mut self.list[index].sequences;
            *sequences = sequences.take().map(|range| range.start..sequence);
            if sequences.as_ref().is_some_and(Range::is_empty) {
                *sequences = None;
            }
        }
    }

    /// Everything below `promise` was synced: what is broken above it was never acknowledged.
    pub(super) fn judge(&mut self, promise: Lsn) {
        for (index, lsn) in self.unjudged.drain(..) {
            if lsn >= promise {
                self.list[index].kind = FindingKind::Note;
            }
        }
    }

    pub(super) fn has_damage(&self) -> bool {
        self.damage_count() > 0
    }

    pub(super) fn damage_count(&self) -> usize {
        self.list.iter().filter(|finding| finding.kind == FindingKind::Damage).count()
    }

    pub(super) fn push_damage(&mut self, damage: Damage) {
        let Damage { file, offset, flaw, sequences } = damage;
        self.add(FindingKind::Damage, &file, offset, flaw, sequences);
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.list
    }
}
