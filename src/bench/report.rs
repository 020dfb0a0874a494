//! The result as a whole: what JSON holds, and what the other reports are made of.

use serde::{Deserialize, Serialize};

use super::error::BenchError;
use super::form::Form;
use super::machine::{self, Machine, ProcessorTime};
use super::row::Row;
use super::stats;

/// What a result's file says it is.
pub(crate) const FORMAT: &str = "flumen-bench";
/// Version of the file's format.
pub(crate) const VERSION: u64 = 1;

/// The share of the processors' time that a host may take before a reader is told to beware.
const STOLEN: f64 = 0.05;

/// The result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: String,
    pub(crate) version: u64,
    pub(crate) flumen: String,
    pub(crate) date: String,
    pub(crate) form: Form,
    pub(crate) seconds: f64,
    pub(crate) machine: Machine,
    /// The system's load of one minute before and after.
    pub(crate) load: [Option<f64>; 2],
    /// The share of all processor time that the host took meanwhile. Not in older results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stolen: Option<f64>,
    /// How far the rounds of the raw limit scatter: interquartile range by median.
    pub(crate) noise: Noise,
    pub(crate) rows: Vec<Row>,
}

/// How noisy the machine was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noise {
    /// Of the rows beside the raw limit, the one in the middle.
    pub(crate) median: f64,
    /// The worst one.
    pub(crate) most: f64,
}

impl Report {
    /// A report of these rows; what the machine is and how it is now.
    pub(crate) fn new(
        form: Form,
        machine: Machine,
        load_before: Option<f64>,
        time_before: Option<ProcessorTime>,
        seconds: f64,
        rows: Vec<Row>,
    ) -> Report {
        // Past the cache stands beside the same rounds once more.
        let limited = rows.iter().filter(|row| !row.is_direct());
        let limits = limited.filter_map(|row| row.limit.as_ref());
        let raw = limits.filter(|limit| limit.name == "raw" && limit.rounds.len() > 1);
        let spreads: Vec<f64> = raw.map(|limit| stats::spread(&limit.rounds)).collect();
        Report {
            format: FORMAT.into(),
            version: VERSION,
            flumen: env!("CARGO_PKG_VERSION").into(),
            date: machine::date(),
            form,
            seconds,
            machine,
            load: [load_before, machine::load()],
            stolen: time_before.and_then(|before| ProcessorTime::so_far()?.stolen_since(before)),
            noise: Noise {
                median: stats::median(&spreads),
                most: spreads.iter().copied().fold(0.0, f64::max),
            },
            rows,
        }
    }

    /// Reads a result that was written before; `name` is the file's, for the error.
    pub(crate) fn parse(text: &[u8], name: &str) -> Result<Report, BenchError> {
        let wrong = |why: String| {
            let cure = "name a file that `flumen bench --json FILE` wrote";
            BenchError::Usage(format!("{name} is not a result to compare with: {why}; {cure}"))
        };
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| wrong(format!("no JSON: {error}")))?;
        if value.get("format").and_then(|format| format.as_str()) != Some(FORMAT) {
            return Err(wrong(format!("its \"format\" is not \"{FORMAT}\"")));
        }
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            other => {
                let other = other.map_or("none".into(), |version| version.to_string());
                return Err(wrong(format!("its version is {other}, and {VERSION} is known")));
            }
        }
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
    }

    /// The JSON.
    pub(crate) fn json(&self) -> Result<String, BenchError> {
        let text = serde_json::to_string_pretty(self);
        Ok(text.map_err(|error| BenchError::Failed(error.to_string()))? + "\n")
    }

    /// How many targets were met, and how many there are.
    pub(crate) fn met(&self) -> (usize, usize) {
        let targets = self.rows.iter().filter_map(|row| row.target.as_ref());
        targets.fold((0, 0), |(met, all), target| (met + usize::from(target.met), all + 1))
    }

    /// Whether the channel lost, repeated or confused events.
    pub(crate) fn is_wrong(&self) -> bool {
        self.rows.iter().any(|row| row.id.starts_with("kill/") && row.value > 0.0)
    }

    /// What a reader should know before trusting a number, and what to do about it; one sentence each.
    pub(crate) fn cautions(&self) -> Vec<String> {
        let mut cautions = Vec::new();
        if self.form != Form::Full {
            cautions.push(format!(
                "{} form: fewer and shorter rounds and smaller backlogs than the targets are for",
                self.form.name()
            ));
        }
        if self.machine.is_in_memory() {
            let kind = &self.machine.file_system;
            cautions.push(format!("{kind} is in memory: a sync costs nothing there"));
        }
        if self.noise.median > 0.1 {
            cautions.push(format!(
                "a noisy machine: the raw limit itself scattered by {:.0} % from round to round",
                self.noise.median * 100.0
            ));
        }
        let busy = self.load[0].unwrap_or(0.0);
        if self.machine.cores > 0 && busy > 0.5 * self.machine.cores as f64 {
            let cores = self.machine.cores;
            cautions.push(format!(
                "a busy machine: load {busy:.1} on {cores} cores at the start; stop what else runs, or keep \
                 it from the processor with `chrt -r 1 flumen bench`"
            ));
        }
        if let Some(stolen) = self.stolen.filter(|stolen| *stolen > STOLEN) {
            cautions.push(format!(
                "the host took {:.0} % of the processors' time, and whoever waits for the disk is late by \
                 more than that: try again in another hour",
                stolen * 100.0
            ));
        }
        cautions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::row::Unit;

    pub(crate) fn report(rows: Vec<Row>) -> Report {
        Report::new(Form::Full, Machine::default(), Some(0.0), None, 1.0, rows)
    }

    #[test]
    fn a_result_comes_back_from_its_file() {
        let row = Row::new("S1", "x", Unit::EventsPerSecond, vec![1.0, 2.0, 4.0]);
        let row = row.beside("raw", vec![2.0, 4.0, 8.0]);
        let mut direct = row.clone();
        direct.id = "S1/direct".into();
        let mut report = report(vec![row.ratio_at_least(0.5), direct]);
        // As from before stolen time was counted.
        let text = report.json().expect("text");
        assert!(!text.contains("stolen"), "{text}");
        assert_eq!(Report::parse(text.as_bytes(), "x").expect("its own"), report);
        let says = |report: &Report| report.cautions().concat().contains("took 25 %");
        assert!(!says(&report));
        report.stolen = Some(0.25);
        assert!(says(&report));
        let text = report.json().expect("text");
        assert_eq!(Report::parse(text.as_bytes(), "x").expect("its own"), report);
        assert_eq!(report.met(), (1, 1));
        assert_eq!(report.noise.median, 3.0 / 4.0);
    }

    #[test]
    fn what_is_no_result_is_refused() {
        for (text, word) in [
            ("", "no JSON"),
            ("{\"format\": \"flumen-bench\"", "no JSON"),
            ("[1]", "format"),
            ("{\"format\": \"other\"}", "format"),
            ("{\"format\": \"flumen-bench\", \"version\": 99}", "version is 99"),
            ("{\"format\": \"flumen-bench\", \"version\": 1}", "missing field"),
        ] {
            let error = Report::parse(text.as_bytes(), "old.json").expect_err("damaged");
            assert!(error.to_string().contains(word), "{error}");
            assert!(error.to_string().contains("old.json"), "{error}");
        }
    }
}
