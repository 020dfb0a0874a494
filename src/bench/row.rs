//! One row of the result: what was measured, the limit beside it, and whether the target was met.

use serde::{Deserialize, Serialize};

use super::stats::{self, Latency};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    EventsPerSecond,
    BytesPerSecond,
    Microseconds,
    Bytes,
    Times,
    Count,
}

impl Unit {
    /// Whether more is better.
    pub(crate) fn more_is_better(self) -> bool {
        matches!(self, Unit::EventsPerSecond | Unit::BytesPerSecond | Unit::Times)
    }

    /// `value` with its unit, for people.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::EventsPerSecond => format!("{} ev/s", scaled(value)),
            Unit::BytesPerSecond if value >= 1e9 => format!("{:.2} GB/s", value / 1e9),
            Unit::BytesPerSecond => format!("{} MB/s", digits(value / 1e6)),
            Unit::Microseconds if value >= 1e6 => format!("{:.2} s", value / 1e6),
            Unit::Microseconds if value >= 1e3 => format!("{} ms", digits(value / 1e3)),
            Unit::Microseconds => format!("{} us", digits(value)),
            Unit::Bytes => format!("{} MiB", digits(value / f64::from(1 << 20))),
            Unit::Times => format!("{value:.2} x"),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn scaled(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{} M", digits(v / 1e6)),
        v if v >= 10_000.0 => format!("{} k", digits(v / 1e3)),
        v => format!("{v:.0}"),
    }
}

/// What a row is held against, measured in the same rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// `raw`, or what else it is.
    pub(crate) name: String,
    /// The median of the rounds.
    pub(crate) value: f64,
    pub(crate) rounds: Vec<f64>,
    pub(crate) latency: Option<Latency>,
}

/// What a row should reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) text: String,
    pub(crate) met: bool,
}

/// One row of the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The same in every run: `S2/100`.
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// Whether less of it is better although the unit says more, or the other way round.
    #[serde(default)]
    pub(crate) reversed: bool,
    /// The median of the rounds.
    pub(crate) value: f64,
    pub(crate) rounds: Vec<f64>,
    pub(crate) latency: Option<Latency>,
    pub(crate) limit: Option<Limit>,
    /// The median of the rounds' ratios to the limit.
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<Target>,
    pub(crate) note: Option<String>,
}

impl Row {
    /// A row of these rounds.
    pub(crate) fn new(
        id: impl Into<String>,
        what: impl Into<String>,
        unit: Unit,
        rounds: Vec<f64>,
    ) -> Row {
        Row {
            id: id.into(),
            what: what.into(),
            unit,
            reversed: false,
            value: stats::median(&rounds),
            rounds,
            latency: None,
            limit: None,
            ratio: None,
            target: None,
            note: None,
        }
    }

    /// Beside a limit of the same rounds.
    pub(crate) fn beside(mut self, name: &str, rounds: Vec<f64>) -> Row {
        let value = stats::median(&rounds);
        self.limit = Some(Limit { name: name.into(), value, rounds, latency: None });
        let ratios = self.ratios();
        self.ratio = (!ratios.is_empty()).then(|| stats::median(&ratios));
        self
    }

    /// With the distribution of the operations, and of the limit's.
    pub(crate) fn with_latency(mut self, latency: Latency, limit: Option<Latency>) -> Row {
        self.latency = Some(latency);
        if let Some(row_limit) = &mut self.limit {
            row_limit.latency = limit;
        }
        self
    }

    /// A note for people.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Row {
        self.note = Some(note.into());
        self
    }

    /// For units of which more is better: here less is.
    pub(crate) fn less_is_better(mut self) -> Row {
        self.reversed = self.unit.more_is_better();
        self
    }

    /// Whether more is better.
    pub(crate) fn more_is_better(&self) -> bool {
        self.unit.more_is_better() != self.reversed
    }

    /// A target in words.
    pub(crate) fn target(mut self, text: impl Into<String>, met: bool) -> Row {
        self.target = Some(Target { text: text.into(), met });
        self
    }

    /// The ratio shall be at least this.
    pub(crate) fn ratio_at_least(self, least: f64) -> Row {
        // Shown with two digits, so judged with two: 0.95 shall not be called below 0.95.
        let met = self.ratio.is_some_and(|ratio| (ratio * 100.0).round() / 100.0 >= least);
        let name = self.limit.as_ref().map_or("", |limit| &limit.name).to_string();
        self.target(format!(">= {least:.2} of {name}"), met)
    }

    /// The value shall be at least this.
    pub(crate) fn at_least(self, least: f64) -> Row {
        let (text, met) = (format!(">= {}", self.unit.show(least)), self.value >= least);
        self.target(text, met)
    }

    /// The value shall be at most this.
    pub(crate) fn at_most(self, most: f64) -> Row {
        let (text, met) = (format!("<= {}", self.unit.show(most)), self.value <= most);
        self.target(text, met)
    }

    /// Whether it is of the bare disk past the system's cache.
    pub(crate) fn is_direct(&self) -> bool {
        self.id.ends_with("/direct")
    }

    /// For a table: what Flumen reached, the limit, and the limit's name. Of the bare disk there is only the
    /// limit.
    pub(crate) fn columns(&self) -> [String; 3] {
        let value = self.unit.show(self.value);
        match &self.limit {
            Some(_) if self.is_direct() => [String::new(), value, "direct, of raw".into()],
            Some(limit) => [value, self.unit.show(limit.value), limit.name.clone()],
            None if self.id.starts_with("sync/") => [String::new(), value, "raw".into()],
            None => [value, String::new(), String::new()],
        }
    }

    /// The ratio to the limit, round by round.
    pub(crate) fn ratios(&self) -> Vec<f64> {
        let limit = self.limit.iter().flat_map(|limit| &limit.rounds);
        let pairs = self.rounds.iter().zip(limit).filter(|(_, limit)| **limit != 0.0);
        pairs.map(|(value, limit)| value / limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(Unit::EventsPerSecond.show(4321.4), "4321 ev/s");
        assert_eq!(Unit::EventsPerSecond.show(336_000.0), "336 k ev/s");
        assert_eq!(Unit::EventsPerSecond.show(1.25e6), "1.25 M ev/s");
        assert_eq!(Unit::BytesPerSecond.show(2.5e9), "2.50 GB/s");
        assert_eq!(Unit::BytesPerSecond.show(41e6), "41.0 MB/s");
        assert_eq!(Unit::Microseconds.show(126.0), "126 us");
        assert_eq!(Unit::Microseconds.show(12_600.0), "12.6 ms");
        assert_eq!(Unit::Bytes.show(5e6), "4.77 MiB");
        assert_eq!(Unit::Times.show(1.1), "1.10 x");
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let row = Row::new("S1", "", Unit::EventsPerSecond, vec![90.0, 10.0, 100.0]);
        let row = row.beside("raw", vec![100.0, 10.0, 200.0]).ratio_at_least(0.95);
        assert_eq!(row.value, 90.0);
        assert_eq!(row.ratio, Some(0.9));
        assert!(!row.target.clone().expect("a target").met);
        assert!(row.more_is_better());
        assert!(!row.less_is_better().more_is_better());
    }
}
