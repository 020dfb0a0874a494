//! What was measured, as tables for a document and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::{Figures, Outcome, Row, quantile};
use crate::peer::Contestant;
use crate::workload::{Cell, w6};

/// A rate that can be read at a glance.
pub(crate) fn short(rate: f64) -> String {
    match rate {
        rate if !rate.is_finite() => "–".into(),
        rate if rate >= 1e6 => format!("{:.2} M", rate / 1e6),
        rate if rate >= 1e5 => format!("{:.0} k", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1} k", rate / 1e3),
        rate => format!("{rate:.0}"),
    }
}

fn micros(us: f64) -> String {
    if us < 10.0 { format!("{us:.1}") } else { format!("{us:.0}") }
}

fn name(contestant: &Contestant) -> String {
    match contestant.package {
        None => contestant.name.to_string(),
        Some(package) if package == contestant.name => {
            format!("{package} {}", contestant.version())
        }
        Some(package) => format!("{} ({package} {})", contestant.name, contestant.version()),
    }
}

/// The first lines of the report.
pub(crate) fn machine(machine: &Value) -> String {
    let text = |key: &str| machine[key].to_string().trim_matches('"').to_string();
    let yes = |key: &str, yes: &'static str, no: &'static str| {
        if machine[key].as_bool() == Some(true) { yes } else { no }
    };
    format!(
        "{} cores of {}, Linux {}; {} {}, the device's cache is \"{}\"; {}; load at the beginning {}.\n",
        text("cores"),
        text("cpu"),
        text("kernel"),
        text("file_system"),
        yes("journal", "with a journal", "without a journal"),
        text("write_cache"),
        yes("real_time_priority", "real-time priority", "NOT at real-time priority: expect noise"),
        text("load"),
    )
}

/// One cell as a table.
pub(crate) fn table(cell: &Cell, rows: &[Row]) -> String {
    let mut text = format!(
        "\n### {}\n\n| peer | events/s, median (best) | IQR | of {} | commit p50 / p99 / p99.9 us |\n\
         |---|---|---|---|---|\n",
        cell.title, cell.reference
    );
    let mut others = String::new();
    for row in rows {
        let name = name(row.contestant);
        match &row.outcome {
            Outcome::Refused(reason) => {
                let _ = writeln!(others, "- not {name}: {reason}");
            }
            Outcome::Failed(error) => {
                let _ = writeln!(text, "| {name} | **failed**: {error} | | | |");
            }
            Outcome::Measured(figures) => text += &line(&name, row.honest, figures),
        }
    }
    if !others.is_empty() {
        let _ = write!(text, "\n{others}");
    }
    text
}

fn line(name: &str, honest: bool, figures: &Figures) -> String {
    let rates = &figures.rates;
    let ratio = match (honest, figures.ratios.is_empty()) {
        (false, _) => "**not durable**, not compared".into(),
        (true, true) => "–".into(),
        (true, false) => format!("{:.2}", quantile(&figures.ratios, 0.5)),
    };
    format!(
        "| {name} | {} ({}) | {} to {} | {ratio} | {} / {} / {} |\n",
        short(quantile(rates, 0.5)),
        short(quantile(rates, 1.0)),
        short(quantile(rates, 0.25)),
        short(quantile(rates, 0.75)),
        micros(figures.commit_us(0.5)),
        micros(figures.commit_us(0.99)),
        micros(figures.commit_us(0.999)),
    )
}

/// One cell as JSON.
pub(crate) fn json(cell: &Cell, rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let mut value = json!({
            "peer": row.contestant.name,
            "version": row.contestant.version(),
            "durable": row.honest,
        });
        match &row.outcome {
            Outcome::Refused(reason) => value["refused"] = json!(reason),
            Outcome::Failed(error) => value["failed"] = json!(error),
            Outcome::Measured(figures) => {
                value["events_per_second"] = json!(figures.rates);
                value["median"] = json!(quantile(&figures.rates, 0.5));
                value["ratio_median"] = json!(quantile(&figures.ratios, 0.5));
                value["ratios"] = json!(figures.ratios);
                let percentiles = [0.5, 0.9, 0.99, 0.999, 1.0];
                let times = percentiles.map(|part| figures.commit_us(part));
                value["commit_us_p50_p90_p99_p999_max"] = json!(times);
            }
        }
        value
    };
    json!({
        "workload": cell.workload,
        "title": cell.title,
        "reference": cell.reference,
        "body_bytes": cell.size,
        "events_per_commit": cell.batch,
        "producers": cell.producers,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// What W6 gave for a contestant.
pub(crate) type Backlog = (&'static Contestant, Result<Vec<w6::Sample>, String>);

fn median(samples: &[w6::Sample], figure: fn(&w6::Sample) -> f64) -> f64 {
    quantile(&samples.iter().map(figure).collect::<Vec<_>>(), 0.5)
}

/// W6 as a table.
pub(crate) fn backlog_table(rows: &[Backlog]) -> String {
    let mut text =
        "\n### W6: a backlog of 512 B events: opening until the first one, and draining\n\n\
        | peer | events | filled, events/s | first event after SIGKILL, ms | clean, ms \
        | drained, events/s | resident (anonymous) MiB |\n|---|---|---|---|---|---|---|\n"
            .to_string();
    let mut others = String::new();
    for (contestant, outcome) in rows {
        let name = name(contestant);
        let samples = match outcome {
            Ok(samples) => samples,
            Err(error) if w6::refuses(contestant).is_some() => {
                let _ = writeln!(others, "- not {name}: {error}");
                continue;
            }
            Err(error) => {
                let _ = writeln!(text, "| {name} | **failed**: {error} | | | | | |");
                continue;
            }
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.1} | {:.1} | {} | {:.1} ({:.1}) |",
            short(median(samples, |sample| sample.events as f64)),
            short(median(samples, |sample| sample.fill_rate)),
            median(samples, |sample| sample.killed_ms),
            median(samples, |sample| sample.clean_ms),
            short(median(samples, |sample| sample.drain_rate)),
            median(samples, |sample| sample.resident_mib),
            median(samples, |sample| sample.anonymous_mib),
        );
    }
    if !others.is_empty() {
        let _ = write!(text, "\n{others}");
    }
    text
}

/// W6 as JSON.
pub(crate) fn backlog_json(rows: &[Backlog]) -> Value {
    let row = |(contestant, outcome): &Backlog| {
        let mut value = json!({ "peer": contestant.name, "version": contestant.version() });
        match outcome {
            Err(error) => value["failed"] = json!(error),
            Ok(samples) => {
                let each = |figure: fn(&w6::Sample) -> f64| -> Value {
                    json!(samples.iter().map(figure).collect::<Vec<_>>())
                };
                value["events"] = each(|sample| sample.events as f64);
                value["fill_events_per_second"] = each(|sample| sample.fill_rate);
                value["first_ms_after_sigkill"] = each(|sample| sample.killed_ms);
                value["first_ms_clean"] = each(|sample| sample.clean_ms);
                value["drain_events_per_second"] = each(|sample| sample.drain_rate);
                value["resident_mib"] = each(|sample| sample.resident_mib);
                value["anonymous_mib"] = each(|sample| sample.anonymous_mib);
            }
        }
        value
    };
    json!({ "workload": "W6", "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

/// What a reader of the tables has to know of each contestant.
pub(crate) fn notes(contestants: &[&'static Contestant]) -> String {
    let mut text = "\n".to_string();
    for contestant in contestants {
        let _ = writeln!(text, "- {}: {}.", name(contestant), contestant.note);
    }
    text
}
