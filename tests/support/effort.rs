//! How much a campaign does, and the figures it reports.
//!
//! The same test runs in three sizes: a quick one in a plain `cargo test`; with `FLUMEN_EFFORT=short` the one
//! that continuous integration runs, whose figures have floors; with `FLUMEN_EFFORT=long` one without mercy.
//! `tests/campaign` sets it and gathers the figures.

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    Quick,
    Short,
    Long,
}

impl Effort {
    /// As `FLUMEN_EFFORT` says.
    pub fn get() -> Effort {
        match std::env::var("FLUMEN_EFFORT").as_deref() {
            Err(_) | Ok("") => Effort::Quick,
            Ok("short") => Effort::Short,
            Ok("long") => Effort::Long,
            Ok(other) => panic!("FLUMEN_EFFORT is \"{other}\"; expected \"short\" or \"long\""),
        }
    }

    /// One of three values.
    pub fn pick<T>(self, quick: T, short: T, long: T) -> T {
        match self {
            Effort::Quick => quick,
            Effort::Short => short,
            Effort::Long => long,
        }
    }
}

/// The seed of everything random: `FLUMEN_SEED`, else always the same.
pub fn seed() -> u64 {
    match std::env::var("FLUMEN_SEED") {
        Err(_) => 1,
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("FLUMEN_SEED is \"{text}\"; expected a number"))
        }
    }
}

/// Reports a figure, as a line that `tests/campaign` reads, and fails when it is below its floor: a campaign
/// that has hardly run shows nothing.
#[allow(clippy::print_stdout, reason = "what the campaign reads")]
pub fn figure(name: &str, value: u64, floor: u64) {
    println!("figure {name} {value} {floor}");
    assert!(value >= floor, "{name}: {value} is below the floor of {floor}");
}
