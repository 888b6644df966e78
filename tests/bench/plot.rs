//! Small panels in one SVG: what a record costs over one thing that grows, both axes logarithmic, so that a
//! cost that grows with the thing is a line of slope one and a cost that does not is level.
//!
//! Every measured point has its tick on the x axis. The y axis spans a decade at least: noise must not look
//! like growth.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const SIZE: (u32, u32) = (960, 560);
const COLUMNS: usize = 3;
const COLOURS: [RGBColor; 2] = [RGBColor(31, 90, 166), RGBColor(200, 100, 20)];
const FONT: &str = "sans-serif";

/// One panel.
pub struct Panel {
    /// What grows, and its unit.
    pub x: String,
    /// What it costs, and its unit.
    pub y: String,
    /// The lines: a name, and points, all above zero.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// An axis of logarithms, with the ticks it is given.
struct Logarithms {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Logarithms {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (f64::from(to - from) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Logarithms {
    fn format(value: &f64) -> String {
        short(10_f64.powf(*value))
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes the panels, and the caption where the next panel would be, a line each.
pub fn draw(file: &Path, panels: &[Panel], caption: &[String]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly(((panels.len() + 1).div_ceil(COLUMNS), COLUMNS));
    for (area, panel) in areas.iter().zip(panels) {
        one(area, panel)?;
    }
    let rest = areas.get(panels.len()).ok_or("a place for the caption")?;
    for (line, y) in caption.iter().zip((60..).step_by(22)) {
        rest.draw_text(line, &(FONT, 16).into_text_style(&root).color(&BLACK), (20, y))?;
    }
    root.present()?;
    Ok(())
}

fn one(area: &Area<'_>, panel: &Panel) -> Result<(), Box<dyn Error>> {
    let points = || panel.lines.iter().flat_map(|(_, points)| points.iter().copied());
    let mut xs: Vec<f64> = points().map(|(x, _)| x.log10()).collect();
    xs.sort_unstable_by(f64::total_cmp);
    xs.dedup();
    let (&first, &last) = xs.first().zip(xs.last()).ok_or("a panel without a point")?;
    let edge = ((last - first) * 0.06).max(0.1);
    let costs: Vec<f64> = points().map(|(_, y)| y).collect();
    let ticks = ticks(&costs);
    let (&low, &high) = ticks.first().zip(ticks.last()).ok_or("an axis without a tick")?;
    let mut chart =
        ChartBuilder::on(area).margin(12).x_label_area_size(46).y_label_area_size(64).build_cartesian_2d(
            Logarithms { range: first - edge..last + edge, ticks: xs },
            Logarithms { range: low..high, ticks },
        )?;
    let small = (FONT, 12).into_text_style(area);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .axis_desc_style((FONT, 16))
        .x_label_style(small.clone())
        .y_label_style(small)
        .draw()?;
    for ((name, points), colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
        let at: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.log10(), y.log10())).collect();
        chart.draw_series(LineSeries::new(at.iter().copied(), colour.stroke_width(2)))?;
        chart.draw_series(at.iter().map(|at| Circle::new(*at, 3, colour.filled())))?;
        if let (true, Some((x, y))) = (panel.lines.len() > 1, at.last()) {
            let style = (FONT, 15).into_text_style(area).color(colour);
            let style = style.pos(Pos::new(HPos::Right, VPos::Bottom));
            let above = y + (high - low) * 0.03;
            chart.draw_series([Text::new(name.clone(), (*x, above), style)])?;
        }
    }
    Ok(())
}

/// Ticks at 1, 2 and 5 of each decade that the costs touch, at their logarithms: a decade at least, and only
/// the decades themselves where there are more than two.
fn ticks(costs: &[f64]) -> Vec<f64> {
    let step = |n: i32| 10_f64.powi(n.div_euclid(3)) * [1.0, 2.0, 5.0][n.rem_euclid(3) as usize];
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = costs.iter().copied().fold(0.0, f64::max);
    let mut low = (-30..30).rev().find(|n| step(*n) <= least).unwrap_or(-30);
    let mut high = (-30..30).find(|n| step(*n) >= most).unwrap_or(30);
    while high - low < 3 {
        high += 1;
        low -= i32::from(high - low < 3);
    }
    if high - low > 6 {
        (low, high) = (low.div_euclid(3) * 3, (high + 2).div_euclid(3) * 3);
    }
    let every = if high - low > 6 { 3 } else { 1 };
    (low..=high).step_by(every).map(|n| step(n).log10()).collect()
}

/// A number as an axis has room for it.
fn short(number: f64) -> String {
    let (scaled, unit) = match number {
        n if n >= 999_999.5 => (n / 1e6, "M"),
        n if n >= 999.5 => (n / 1e3, "k"),
        n => (n, ""),
    };
    let rounded = (scaled * 100.0).round() / 100.0;
    format!("{rounded}{unit}")
}
