//! Line charts as SVG. The colours are names: the page's style gives each its value for light and for dark.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::error::BenchError;

/// Colours that stand for others: see `page.css`.
const INK: RGBColor = RGBColor(0, 0, 1);
const GRID: RGBColor = RGBColor(0, 0, 2);
const SERIES: [RGBColor; 4] =
    [RGBColor(0, 0, 16), RGBColor(0, 0, 17), RGBColor(0, 0, 18), RGBColor(0, 0, 19)];
const SIZE: (u32, u32) = (560, 320);

/// How the horizontal axis counts.
#[derive(Clone, Copy)]
pub(crate) enum Across {
    /// By powers of ten.
    Counts,
    /// The same, in bytes.
    Bytes,
    /// Shares below 1, each step a nine more.
    Nines,
}

/// A line: its name in the legend, and its points.
pub(crate) type Line = (&'static str, Vec<(f64, f64)>);

/// A chart.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) across: Across,
    pub(crate) across_name: &'static str,
    /// Name of the upright axis, which counts by powers of ten.
    pub(crate) up_name: &'static str,
    pub(crate) lines: Vec<Line>,
}

impl Chart {
    /// The chart as an SVG element; none without points.
    pub(crate) fn svg(&self) -> Result<Option<String>, BenchError> {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let (mut least, mut most) = bounds(points().map(|(_, y)| *y));
        let (left, right) = bounds(points().map(|(x, _)| self.place(*x)));
        if points().next().is_none() || least <= 0.0 {
            return Ok(None);
        }
        // At least a decade, so that a flat line looks flat.
        while most / least < 10.0 {
            (least, most) = (least / 1.2, most * 1.2);
        }
        let up = (least / 1.5..most * 1.5).log_scale();
        let mut text = String::new();
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        match self.across {
            Across::Nines => {
                let right = right.max(1.0);
                self.draw(&root, 0.0..right * 1.02, right as usize + 3, up, most / least)
            }
            _ => self.draw(&root, (left / 1.5..right * 1.5).log_scale(), 8, up, most / least),
        }?;
        root.present().map_err(failed)?;
        drop(root);
        Ok(Some(text))
    }

    fn draw<'a, X, Y>(
        &self,
        root: &DrawingArea<SVGBackend<'a>, Shift>,
        across: X,
        labels: usize,
        up: Y,
        height: f64,
    ) -> Result<(), BenchError>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
        X::CoordDescType: Ranged<ValueType = f64>,
        Y::CoordDescType: Ranged<ValueType = f64>,
    {
        let mut chart = ChartBuilder::on(root)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(across, up)
            .map_err(failed)?;
        let font = ("sans-serif", 16).into_font().color(&INK);
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(font.clone())
            .axis_desc_style(font)
            .x_labels(labels)
            .x_desc(self.across_name)
            .y_desc(self.up_name)
            .x_label_formatter(&|x| self.name_across(*x))
            .y_label_formatter(&|y| if is_round(*y, height) { short(*y) } else { String::new() })
            .draw()
            .map_err(failed)?;
        for ((_, points), color) in self.lines.iter().zip(SERIES) {
            let points: Vec<_> = points.iter().map(|(x, y)| (self.place(*x), *y)).collect();
            chart
                .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))
                .map_err(failed)?;
            let dots = points.into_iter().map(|point| Circle::new(point, 4, color.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        Ok(())
    }

    /// Where on the axis `x` stands.
    fn place(&self, x: f64) -> f64 {
        match self.across {
            Across::Nines => -(1.0 - x).log10(),
            _ => x,
        }
    }

    fn name_across(&self, x: f64) -> String {
        match self.across {
            Across::Counts => short(x),
            Across::Bytes => format!("{}B", short(x)),
            Across::Nines => {
                let share = 100.0 * (1.0 - 10f64.powf(-x));
                let nines = x.round() as usize;
                let is_whole = (x - x.round()).abs() < 0.01;
                if is_whole {
                    format!("{share:.0$} %", nines.saturating_sub(2))
                } else {
                    String::new()
                }
            }
        }
    }
}

fn failed(error: impl Display) -> BenchError {
    BenchError::Failed(format!("cannot draw a chart: {error}"))
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
}

/// Whether a line at `y` gets a label, when the axis spans the factor `height`.
fn is_round(y: f64, height: f64) -> bool {
    let mantissa = y / 10f64.powf((y.log10() + 1e-9).floor());
    let digits: &[f64] = if height > 300.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    digits.iter().any(|digit| (mantissa - digit).abs() < 0.01)
}

/// `1200` as `1.2 k`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e9 => (v / 1e9, " G"),
        v if v >= 1e6 => (v / 1e6, " M"),
        v if v >= 1e3 => (v / 1e3, " k"),
        v => (v, " "),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}").trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Line>) -> Option<String> {
        let chart =
            Chart { title: "t", across: Across::Nines, across_name: "x", up_name: "y", lines };
        chart.svg().expect("it can be drawn")
    }

    #[test]
    fn a_chart_is_an_svg_and_needs_points() {
        let svg = chart(vec![("a", vec![(0.5, 100.0), (0.99, 200.0)])]).expect("there are points");
        assert!(svg.starts_with("<svg"), "{svg}");
        assert!(svg.contains("90 %"), "{svg}");
        assert!(svg.contains("#000010"), "{svg}");
        assert_eq!(chart(vec![]), None);
        assert_eq!(chart(vec![("a", vec![(0.5, 0.0)])]), None);
    }

    #[test]
    fn labels_do_not_crowd() {
        let labelled = |height| -> Vec<u64> {
            (1..=20).map(|y| y * 100).filter(|y| is_round(*y as f64, height)).collect()
        };
        assert_eq!(labelled(10.0), [100, 200, 500, 1000, 2000]);
        assert_eq!(labelled(1000.0), [100, 1000]);
    }

    #[test]
    fn short_numbers() {
        assert_eq!(short(0.5), "0.5");
        assert_eq!(short(1000.0), "1 k");
        assert_eq!(short(2.5e6), "2.5 M");
        assert_eq!(short(5e9), "5 G");
    }
}
