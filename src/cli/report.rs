//! What a command reports: a table for people, one JSON object for programs.

use std::io::{self, Write};

use serde_json::{Map, Value};

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the unit that suits it: `512 B`, `64.0 KiB`, `1.5 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 is where one decimal would round to 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A report: each row has a label for people, a key for programs and a value for each.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(&'static str, String)>,
    values: Map<String, Value>,
}

impl Report {
    /// A report without rows.
    pub(crate) fn new() -> Report {
        Report::default()
    }

    /// Adds a row whose value reads differently for people (`text`) and for programs (`value`).
    pub(crate) fn row(
        &mut self,
        label: &'static str,
        key: &str,
        text: impl Into<String>,
        value: impl Into<Value>,
    ) {
        self.rows.push((label, text.into()));
        self.values.insert(key.into(), value.into());
    }

    /// Adds a number of things.
    pub(crate) fn count(&mut self, label: &'static str, key: &str, number: u64) {
        self.row(label, key, thousands(number), number);
    }

    /// Adds a value for programs only.
    pub(crate) fn value(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.into(), value.into());
    }

    /// Writes the rows, labels on the left and values aligned on their right ends.
    pub(crate) fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = |of: fn(&(&'static str, String)) -> usize| self.rows.iter().map(of).max();
        let labels = width(|(label, _)| label.chars().count()).unwrap_or(0);
        let values = width(|(_, text)| text.chars().count()).unwrap_or(0);
        for (label, text) in &self.rows {
            writeln!(out, "{label:labels$}  {text:>values$}")?;
        }
        Ok(())
    }

    /// Writes the values as one JSON object on one line.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &self.values)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(65536), "64.0 KiB");
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn a_report_reads_both_ways() {
        let mut report = Report::new();
        report.count("lines", "lines", 12345);
        report.row("took", "took_ms", "1.5 s", 1500);
        let mut out = Vec::new();
        report.write_table(&mut out).expect("memory");
        assert_eq!(String::from_utf8_lossy(&out), "lines  12,345\ntook    1.5 s\n");
        out.clear();
        report.write_json(&mut out).expect("memory");
        assert_eq!(out, b"{\"lines\":12345,\"took_ms\":1500}\n");
    }
}
