//! The figures: read, shown, and written into docs/VERIFICATION.md.

use std::fmt::Write;

use crate::Size;
use crate::build::root;
use crate::stages::{Build, Stage};

const PAGE: &str = "docs/VERIFICATION.md";
const BEGIN: &str = "<!-- figures: begin, written by the campaign -->";
const END: &str = "<!-- figures: end -->";

/// One line `figure NAME VALUE FLOOR`, or several of one kind added up.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: u64,
    pub(crate) floor: u64,
    /// How many it sums up.
    parts: u64,
}

impl Figure {
    /// Of `stage.part.kind` all parts are added up; what has but one part stays as it is.
    fn add_to(self, figures: &mut Vec<Figure>) {
        let names: Vec<&str> = self.name.split('.').collect();
        let name = match names[..] {
            [stage, _, kind] => format!("{stage}.{kind}"),
            _ => self.name.clone(),
        };
        match figures.iter_mut().find(|figure| figure.name == name) {
            Some(sum) => {
                sum.value += self.value;
                sum.floor += self.floor;
                sum.parts += 1;
            }
            None => figures.push(Figure { name, ..self }),
        }
    }
}

/// What came of a stage.
pub(crate) struct Outcome {
    pub(crate) stage: Stage,
    pub(crate) seconds: u64,
    pub(crate) figures: Vec<Figure>,
    /// What it could not do here.
    pub(crate) skipped: Vec<String>,
    pub(crate) problem: Option<String>,
}

/// The figures in what a program printed; libFuzzer's words are taken for figures too.
pub(crate) fn figures(printed: &str) -> Vec<Figure> {
    let mut found: Vec<Figure> = Vec::new();
    for line in printed.lines() {
        // A test's first line stands behind its name.
        let Some(at) = line.find("figure ") else { continue };
        let mut words = line[at..].split_whitespace().skip(1);
        let name = words.next();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        if let (Some(name), Some(value), Some(floor)) = (name, number(), number()) {
            Figure { name: name.to_string(), value, floor, parts: 1 }.add_to(&mut found);
        }
    }
    let executed = "stat::number_of_executed_units:";
    let stat = printed.lines().find_map(|line| line.strip_prefix(executed)?.trim().parse().ok());
    let edges = printed.lines().filter_map(|line| line.split("cov: ").nth(1)).next_back();
    let edges = edges.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    for (name, value) in [("executions", stat), ("edges", edges)] {
        if let Some(value) = value {
            found.push(Figure { name: name.to_string(), value, floor: 1, parts: 1 });
        }
    }
    found
}

/// All outcomes of a campaign.
pub(crate) struct Report {
    size: Size,
    seed: u64,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(crate) fn new(size: Size, seed: u64) -> Report {
        Report { size, seed, outcomes: Vec::new() }
    }

    pub(crate) fn add(&mut self, outcomes: Vec<Outcome>) {
        self.outcomes.extend(outcomes);
        self.outcomes.sort_by_key(|outcome| (outcome.stage.build, outcome.stage.name));
    }

    /// The table, in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("| stage | seconds | figures (floor) |\n|---|---:|---|\n");
        for outcome in &self.outcomes {
            let prefix = format!("{}.", outcome.stage.name);
            let mut cells: Vec<String> = Vec::new();
            // A row of a table has a capital; `row.rows` says how many there are.
            let is_row = |figure: &&Figure| figure.name.contains(char::is_uppercase);
            for figure in outcome.figures.iter().filter(|figure| !is_row(figure)) {
                let name = figure.name.strip_prefix(&prefix).unwrap_or(&figure.name);
                let mut cell = format!("{name} {}", thousands(figure.value));
                if figure.parts > 1 {
                    write!(cell, " in {}", figure.parts).expect("memory");
                }
                if figure.floor > 1 {
                    write!(cell, " ({})", thousands(figure.floor)).expect("memory");
                }
                cells.push(cell);
            }
            cells.extend(outcome.skipped.iter().map(|what| format!("**skipped**: {what}")));
            if let Some(problem) = &outcome.problem {
                let first = problem.lines().next().unwrap_or_default();
                cells.push(format!("**failed**: {first}"));
            }
            let name = match outcome.stage.build {
                Build::Fuzz => format!("fuzzing: {}", outcome.stage.name),
                _ => outcome.stage.name.to_string(),
            };
            writeln!(text, "| {name} | {} | {} |", outcome.seconds, cells.join(", "))
                .expect("memory");
        }
        text
    }

    /// What failed, and how: nothing when all is well.
    pub(crate) fn problems(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            if let Some(problem) = &outcome.problem {
                writeln!(text, "FAILED: {}: {problem}", outcome.stage.name).expect("memory");
            }
        }
        text
    }

    /// Puts the table into the page of proofs.
    pub(crate) fn write_page(&self) -> Result<(), String> {
        let path = root().join(PAGE);
        let page = std::fs::read_to_string(&path).map_err(|error| format!("{PAGE}: {error}"))?;
        let (before, rest) =
            page.split_once(BEGIN).ok_or(format!("{PAGE} has no place for them"))?;
        let (_, after) = rest.split_once(END).ok_or(format!("{PAGE} has no end of the place"))?;
        let (size, seed) = (self.size.name(), self.seed);
        let table = self.table();
        let page = format!("{before}{BEGIN}\nThe {size} form, seed {seed}:\n\n{table}{END}{after}");
        std::fs::write(&path, page).map_err(|error| format!("{PAGE}: {error}"))
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
