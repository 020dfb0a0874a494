//! The result as one page that needs nothing else: style and charts are in it.

use std::fmt::Write;

use super::error::BenchError;
use super::plot::{Across, Chart, Line};
use super::report::Report;
use super::row::Row;
use super::stats::Latency;

const STYLE: &str = include_str!("page.css");

/// The page.
pub(crate) fn page(report: &Report) -> Result<String, BenchError> {
    let mut page = String::new();
    write_page(report, &mut page).map_err(|_| BenchError::Failed("cannot format text".into()))?;
    let mut figures = String::new();
    for chart in charts(report) {
        figure(&chart, &mut figures)?;
    }
    Ok(page.replace("<!--charts-->", &figures))
}

fn write_page(report: &Report, page: &mut String) -> std::fmt::Result {
    let (met, all) = report.met();
    writeln!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>flumen bench</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Channel durability benchmark</h1>\n\
         <p class=\"soft\">flumen {} &middot; {} &middot; {} form, {:.0} s</p>\n\
         <p><b>{met} of {all}</b> targets were met.</p>",
        escape(&report.flumen),
        escape(&report.date),
        report.form.name(),
        report.seconds
    )?;
    for caution in report.cautions() {
        writeln!(page, "<p class=\"beware\">Beware: {}.</p>", escape(&caution))?;
    }
    writeln!(page, "<h2>Charts</h2>\n<div class=\"charts\">\n<!--charts--></div>")?;
    writeln!(page, "<h2>All measures</h2>\n<div class=\"card scroll\">\n<table>")?;
    writeln!(
        page,
        "<tr><th></th><th>measure</th><th class=\"n\">flumen</th><th class=\"n\">limit</th><th></th>\
         <th class=\"n\">ratio</th><th class=\"n\">p50</th><th class=\"n\">p99</th><th class=\"n\">p99.9</th>\
         <th>target</th><th></th></tr>"
    )?;
    for row in &report.rows {
        write_row(row, page)?;
    }
    writeln!(page, "</table>\n</div>\n<h2>The machine</h2>\n<div class=\"card\">\n<dl>")?;
    for (name, value) in report.machine.lines() {
        writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escape(&value))?;
    }
    let load = report.load.map(|load| load.map_or("?".into(), |load| format!("{load:.1}")));
    writeln!(page, "<dt>load</dt><dd>{} before, {} after</dd>", load[0], load[1])?;
    let (noise, most) = (report.noise.median * 100.0, report.noise.most * 100.0);
    writeln!(
        page,
        "<dt>noise</dt><dd>the raw limit&rsquo;s rounds scatter by {noise:.1} % (interquartile range by \
         median), at worst {most:.1} %</dd>"
    )?;
    if let Some(stolen) = report.stolen {
        let percent = stolen * 100.0;
        writeln!(
            page,
            "<dt>stolen</dt><dd>{percent:.1} % of the processors&rsquo; time, by the host</dd>"
        )?;
    }
    writeln!(
        page,
        "</dl>\n</div>\n<p class=\"soft\">&ldquo;Raw&rdquo; writes the same payload bytes over blocks \
         that were written before, and syncs them, in turn with the channel. &ldquo;Direct&rdquo; does so \
         past the system&rsquo;s cache, in whole blocks. Values are medians of rounds, a ratio is the \
         median of the rounds&rsquo; ratios.</p>\n</body>\n</html>"
    )
}

fn write_row(row: &Row, page: &mut String) -> std::fmt::Result {
    let note = row
        .note
        .as_deref()
        .map_or(String::new(), |note| format!("<span class=\"note\">{}</span>", escape(note)));
    let [ours, limit_value, limit_name] = row.columns();
    let limit_name = escape(&limit_name);
    let ratio = row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let latency = row.latency.as_ref();
    let percentile = |of: fn(&Latency) -> f64| {
        latency.map_or(String::new(), |latency| super::row::Unit::Microseconds.show(of(latency)))
    };
    let (target, class, mark) = match &row.target {
        Some(target) if target.met => (escape(&target.text), "good", "&#10003; met"),
        Some(target) => (escape(&target.text), "bad", "&#10007; missed"),
        None => (String::new(), "", ""),
    };
    writeln!(
        page,
        "<tr><td class=\"soft\">{}</td><td>{}{note}</td><td class=\"n\">{}</td><td class=\"n\">{limit_value}\
         </td><td class=\"soft\">{limit_name}</td><td class=\"n\">{ratio}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{target}</td>\
         <td class=\"mark {class}\">{mark}</td></tr>",
        escape(&row.id),
        escape(&row.what),
        ours,
        percentile(|latency| latency.p50),
        percentile(|latency| latency.p99),
        percentile(|latency| latency.p999),
    )
}

fn figure(chart: &Chart, page: &mut String) -> Result<(), BenchError> {
    let Some(svg) = chart.svg()? else {
        return Ok(());
    };
    let svg =
        svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", chart.title), 1);
    let names = chart.lines.iter().zip(["a", "b", "c", "d"]);
    let legend: String = names
        .map(|((name, _), class)| format!("<span><i class=\"{class}\"></i>{name}</span>"))
        .collect();
    let title = chart.title;
    page.push_str(&format!(
        "<figure>\n<h3>{title}</h3>\n<div class=\"legend\">{legend}</div>\n{svg}</figure>\n"
    ));
    Ok(())
}

fn charts(report: &Report) -> Vec<Chart> {
    let rows = |prefix: &str| -> Vec<&Row> {
        report.rows.iter().filter(|row| row.id.starts_with(prefix)).collect()
    };
    let row = |id: &str| report.rows.iter().find(|row| row.id == id);
    let value = |row: &Row| row.value;
    let limit = |row: &Row| row.limit.as_ref().map_or(0.0, |limit| limit.value);
    let by = |ids: &[(f64, &str)], of: &dyn Fn(&Row) -> f64| -> Vec<(f64, f64)> {
        ids.iter().filter_map(|(x, id)| row(id).map(|row| (*x, of(row)))).collect()
    };
    let batches = [(1.0, "S1"), (100.0, "S2/100"), (1000.0, "S2/1000"), (10_000.0, "S2/10000")];
    let producers = [(1.0, "S1"), (8.0, "S3/8"), (64.0, "S3/64")];
    let recovery = |prefix: &str| -> Vec<(f64, f64)> {
        let sizes = report.form.backlogs();
        sizes.iter().zip(rows(prefix)).map(|(x, row)| (*x as f64, row.value / 1e3)).collect()
    };
    let sync = |of: fn(&Latency) -> f64| -> Vec<(f64, f64)> {
        let latency = |row: &&Row| {
            Some((row.id.strip_prefix("sync/")?.parse().ok()?, of(row.latency.as_ref()?)))
        };
        rows("sync/").iter().filter_map(latency).collect()
    };
    vec![
        Chart {
            title: "Durable throughput by events per commit",
            across: Across::Counts,
            across_name: "events per commit",
            up_name: "events per second",
            lines: vec![
                ("flumen", by(&batches, &value)),
                ("raw write and sync", by(&batches, &limit)),
            ],
        },
        Chart {
            title: "Durable throughput by producers, one event per commit",
            across: Across::Counts,
            across_name: "producers",
            up_name: "events per second",
            lines: vec![
                ("flumen", by(&producers, &value)),
                ("group sketch", by(&producers[1..], &limit)),
            ],
        },
        latency("Latency of single commits", row("S1")),
        latency("Latency of commits of 100 while segments roll", row("S11")),
        Chart {
            title: "Opening until the first event, by backlog",
            across: Across::Bytes,
            across_name: "backlog",
            up_name: "milliseconds",
            lines: vec![
                ("after a clean stop", recovery("S6/clean/")),
                ("after SIGKILL", recovery("S6/killed/")),
            ],
        },
        Chart {
            title: "The disk: write and sync, by size",
            across: Across::Bytes,
            across_name: "bytes written",
            up_name: "microseconds",
            lines: vec![
                ("median", sync(|l| l.p50)),
                ("p99", sync(|l| l.p99)),
                ("p99.9", sync(|l| l.p999)),
            ],
        },
    ]
}

fn latency(title: &'static str, row: Option<&Row>) -> Chart {
    let curve = |latency: Option<&Latency>| -> Vec<(f64, f64)> {
        latency.map(|latency| latency.curve.clone()).unwrap_or_default()
    };
    let limit = row.and_then(|row| row.limit.as_ref()).and_then(|limit| limit.latency.as_ref());
    let lines: Vec<Line> = vec![
        ("flumen", curve(row.and_then(|row| row.latency.as_ref()))),
        ("raw write and sync", curve(limit)),
    ];
    Chart {
        title,
        across: Across::Nines,
        across_name: "share of the commits that took no longer",
        up_name: "microseconds",
        lines,
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace("&gt;=", "&ge;").replace("&lt;=", "&le;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
