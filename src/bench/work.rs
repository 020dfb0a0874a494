//! What a child process does: one piece of the benchmark, given and answered as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::BenchError;
use super::form::Form;
use super::machine::Memory;
use super::row::Row;
use super::{commits, kills, pipeline, raw, stock, tail, unsynced};

/// A piece of the benchmark. Those with a `name` work on the channel of that name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    SyncLatency,
    One,
    Batches,
    Producers {
        threads: usize,
    },
    Unsynced,
    Pipeline,
    Tail,
    Build {
        name: String,
        bytes: u64,
    },
    Rotate {
        name: String,
    },
    Open {
        name: String,
    },
    Drain {
        name: String,
        cold: bool,
    },
    Read {
        name: String,
    },
    Replay {
        name: String,
    },
    Verify {
        name: String,
    },
    Salvage {
        name: String,
        to: String,
    },
    Copy {
        name: String,
        to: String,
    },
    /// A life of the channel that is killed, or, with `last`, the one that empties it.
    Live {
        name: String,
        life: u64,
        last: bool,
    },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) rows: Vec<Row>,
    values: BTreeMap<String, Vec<f64>>,
    /// Bytes of memory that were the benchmark's own.
    pub(crate) held: u64,
    pub(crate) memory: Option<Memory>,
}

impl Outcome {
    /// An outcome; `held` bytes of memory were the benchmark's own.
    pub(crate) fn new(rows: Vec<Row>, held: u64) -> Outcome {
        Outcome { rows, values: BTreeMap::new(), held, memory: None }
    }

    /// With a number.
    pub(crate) fn value(self, name: &str, value: f64) -> Outcome {
        self.values(name, vec![value])
    }

    /// With numbers.
    pub(crate) fn values(mut self, name: &str, values: Vec<f64>) -> Outcome {
        self.values.insert(name.into(), values);
        self
    }

    /// The numbers of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<f64> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// The number of this name; 0 when there is none.
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.values.get(name).and_then(|values| values.first()).copied().unwrap_or(0.0)
    }
}

/// Does the work in `directory`.
pub(crate) fn run(work: &Work, directory: &Path, form: Form) -> Result<Outcome, BenchError> {
    let at = |name: &str| directory.join(name);
    let mut outcome = match work {
        Work::SyncLatency => Outcome::new(raw::sync_latency(directory, form)?, 0),
        Work::One => commits::one(directory, form)?,
        Work::Batches => commits::batches(directory, form)?,
        Work::Producers { threads } => commits::producers(directory, form, *threads)?,
        Work::Unsynced => unsynced::unsynced(directory, form)?,
        Work::Pipeline => pipeline::pipeline(directory, form)?,
        Work::Tail => tail::tail(directory, form)?,
        Work::Build { name, bytes } => stock::build(&at(name), form, *bytes)?,
        Work::Rotate { name } => stock::rotate(&at(name), form)?,
        Work::Open { name } => stock::open(&at(name), form)?,
        Work::Drain { name, cold } => stock::drain(&at(name), form, *cold)?,
        Work::Read { name } => stock::read(&at(name))?,
        Work::Replay { name } => stock::replay(&at(name), form)?,
        Work::Verify { name } => stock::verify(&at(name))?,
        Work::Salvage { name, to } => stock::salvage(&at(name), form, &at(to))?,
        Work::Copy { name, to } => stock::copy(&at(name), &at(to))?,
        Work::Live { name, life, last } => kills::live(&at(name), form, *life, *last)?,
    };
    outcome.memory = Memory::of_this_process();
    Ok(outcome)
}
