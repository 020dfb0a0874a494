//! The result on a terminal.

use std::io::{self, Write};

use super::report::Report;
use super::row::Row;

/// Writes what the machine is, a row for each measure, and how many targets were met.
pub(crate) fn write_table(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for (name, value) in report.machine.lines() {
        writeln!(out, "{name:<12}  {value}")?;
    }
    let load = report.load.map(|load| load.map_or("?".into(), |load| format!("{load:.1}")));
    let (noise, most) = (report.noise.median * 100.0, report.noise.most * 100.0);
    writeln!(out, "{:<12}  {} before, {} after", "load", load[0], load[1])?;
    writeln!(
        out,
        "{:<12}  the raw limit's rounds scatter by {noise:.1} %, at worst {most:.1} %",
        "noise"
    )?;
    if let Some(stolen) = report.stolen {
        let percent = stolen * 100.0;
        writeln!(out, "{:<12}  {percent:.1} % of the processors' time, by the host", "stolen")?;
    }
    writeln!(out)?;
    let head = ["", "measure", "flumen", "limit", "", "ratio", "target", ""];
    let mut lines = vec![head.map(String::from)];
    lines.extend(report.rows.iter().map(cells));
    write_cells(&lines, out)?;
    writeln!(out)?;
    // What is beside S8 would fill a screen; the other reports have it.
    for row in report.rows.iter().filter(|row| !row.id.starts_with("S8/")) {
        if let Some(note) = &row.note {
            writeln!(out, "{}: {note}", row.id)?;
        }
    }
    writeln!(out)?;
    let (met, all) = report.met();
    writeln!(out, "{met} of {all} targets were met.")?;
    for caution in report.cautions() {
        writeln!(out, "Beware: {caution}.")?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 8] {
    let [ours, limit, limit_name] = row.columns();
    [
        row.id.clone(),
        row.what.clone(),
        ours,
        limit,
        limit_name,
        row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
        row.target.as_ref().map_or(String::new(), |target| target.text.clone()),
        row.target.as_ref().map_or("", |target| if target.met { "met" } else { "MISSED" }).into(),
    ]
}

/// Writes cells in columns; numbers stand on the right.
pub(crate) fn write_cells<const N: usize>(
    lines: &[[String; N]],
    out: &mut dyn Write,
) -> io::Result<()> {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let is_number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    for line in lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let right = column > 1 && (is_number(cell) || std::ptr::eq(line, &lines[0]));
            match right {
                true => text.push_str(&format!("{cell:>width$}  ")),
                false => text.push_str(&format!("{cell:<width$}  ")),
            }
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}
