//! A result beside an older one.

use std::io::{self, Write};

use super::report::Report;
use super::row::Row;
use super::stats;
use super::terminal;

/// Changes below this are not told from noise, however quiet the rounds were.
const LEAST: f64 = 0.03;

/// What became of a row.
#[derive(Debug, PartialEq)]
struct Change {
    /// By which factor the ratio to the limit changed, or, where there is none, the value.
    factor: f64,
    by_ratio: bool,
    /// How much it may change by chance.
    noise: f64,
    better: bool,
}

impl Change {
    fn between(old: &Row, new: &Row) -> Option<Change> {
        let by_ratio = old.ratio.is_some() && new.ratio.is_some();
        let (before, after) = match by_ratio {
            true => (old.ratio?, new.ratio?),
            false => (old.value, new.value),
        };
        if before == 0.0 || !before.is_finite() || !after.is_finite() {
            return None;
        }
        let scatter = |row: &Row| match by_ratio {
            true => stats::spread(&row.ratios()),
            false => stats::spread(&row.rounds),
        };
        let factor = after / before;
        Some(Change {
            factor,
            by_ratio,
            noise: (scatter(old) + scatter(new)).max(LEAST),
            better: (factor > 1.0) == new.more_is_better(),
        })
    }

    fn verdict(&self, is_single: bool) -> &'static str {
        match (self.factor - 1.0).abs() > self.noise {
            false => "within the noise",
            true if is_single => "one round: cannot say",
            true if self.better => "better",
            true => "WORSE",
        }
    }
}

/// Writes old, new and change of each row that both have, and which rows only one of them has.
pub(crate) fn write(old: &Report, new: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "compared with flumen {} of {}, {} form", old.flumen, old.date, old.form.name())?;
    if old.form != new.form {
        writeln!(out, "Beware: the two are of different forms.")?;
    }
    if old.machine != new.machine {
        writeln!(out, "Beware: the two are of different machines or disks.")?;
    }
    writeln!(out)?;
    let head = ["", "measure", "old", "new", "change", "of", "noise", ""];
    let mut lines = vec![head.map(String::from)];
    for row in &new.rows {
        if let Some(before) = old.rows.iter().find(|old| old.id == row.id) {
            lines.push(cells(before, row));
        }
    }
    terminal::write_cells(&lines, out)?;
    for (name, one, other) in [("only before", old, new), ("only now", new, old)] {
        let ids = one.rows.iter().map(|row| &*row.id);
        let lone: Vec<&str> = ids.filter(|id| other.rows.iter().all(|row| row.id != *id)).collect();
        if !lone.is_empty() {
            writeln!(out, "{name}: {}", lone.join(", "))?;
        }
    }
    Ok(())
}

fn cells(old: &Row, new: &Row) -> [String; 8] {
    let change = Change::between(old, new);
    let is_single = old.rounds.len() < 2 || new.rounds.len() < 2;
    let text = |of: &dyn Fn(&Change) -> String| change.as_ref().map_or(String::new(), of);
    [
        new.id.clone(),
        new.what.clone(),
        old.unit.show(old.value),
        new.unit.show(new.value),
        text(&|change| format!("{:+.1} %", (change.factor - 1.0) * 100.0)),
        text(&|change| if change.by_ratio { "ratio".into() } else { "value".into() }),
        text(&|change| format!("{:.1} %", change.noise * 100.0)),
        text(&|change| change.verdict(is_single).into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::row::Unit;

    fn row(rounds: [f64; 3], raw: Option<[f64; 3]>) -> Row {
        let row = Row::new("S1", "x", Unit::EventsPerSecond, rounds.to_vec());
        match raw {
            Some(raw) => row.beside("raw", raw.to_vec()),
            None => row,
        }
    }

    #[test]
    fn a_change_is_one_of_the_ratio_where_there_is_a_limit() {
        let old = row([100.0; 3], Some([100.0; 3]));
        let slower_disk = row([50.0; 3], Some([50.0; 3]));
        let change = Change::between(&old, &slower_disk).expect("both have values");
        assert_eq!(change.verdict(false), "within the noise");
        let slower = row([80.0; 3], Some([100.0; 3]));
        let change = Change::between(&old, &slower).expect("both have values");
        assert_eq!(change.verdict(false), "WORSE");
        assert_eq!(change.verdict(true), "one round: cannot say");
    }

    #[test]
    fn noise_excuses_a_change_and_direction_depends_on_the_unit() {
        let quiet = row([100.0; 3], None);
        let noisy = row([60.0, 90.0, 120.0], None);
        let change = Change::between(&quiet, &noisy).expect("both have values");
        assert_eq!(change.verdict(false), "within the noise");
        let mut slow = row([200.0; 3], None);
        slow.unit = Unit::Microseconds;
        let change = Change::between(&quiet, &slow).expect("both have values");
        assert_eq!(change.verdict(false), "WORSE");
        assert_eq!(Change::between(&row([0.0; 3], None), &quiet), None);
    }
}
