//! Figures as SVG.

use plotters::{
    coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
    prelude::{
        ChartBuilder, DashedLineSeries, DrawingArea, IntoDrawingArea as _, LineSeries, SVGBackend, Text,
    },
    style::{Color as _, IntoFont as _, RGBColor, ShapeStyle, TextStyle},
};

use super::{Axis, Figure, Ink, Panel, Stroke};

const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);
const WIDTH: u32 = 860;
const PANEL_HEIGHT: u32 = 228;
const TITLE_HEIGHT: u32 = 44;
/// Room for the labels at the lines' ends.
const LABELS_WIDTH: u32 = 170;
/// Most points of a line: more cannot be seen.
const POINTS_MAX: usize = 450;
/// Least distance of two labels.
const LABEL_STEP: i32 = 15;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

impl Figure {
    /// The picture's text.
    ///
    /// # Panics
    /// Never: drawing into memory does not fail.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let mut text = String::new();
        let height = TITLE_HEIGHT + PANEL_HEIGHT * self.panels.len() as u32 + 26;
        {
            let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
            self.draw(&root).expect("drawing into memory does not fail");
        }
        text
    }

    fn draw(&self, root: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&RGBColor(255, 255, 255))?;
        let title = TextStyle::from(("sans-serif", 17).into_font()).color(&TEXT);
        root.draw(&Text::new(self.title.clone(), (14, 14), title))?;
        let xs = self
            .panels
            .iter()
            .flat_map(|panel| &panel.lines)
            .flat_map(|line| &line.points);
        let (mut x_low, mut x_high) = self.x.ends(xs.map(|point| point.0));
        if self.x.range.is_none() {
            // Time has no margins.
            let room = (x_high - x_low) * 0.04 / 1.08;
            (x_low, x_high) = (x_low + room, x_high - room);
        }
        let (_, body) = root.split_vertically(TITLE_HEIGHT);
        let last = self.panels.len() - 1;
        let mut rest = body;
        for (index, panel) in self.panels.iter().enumerate() {
            let height = PANEL_HEIGHT + if index == last { 26 } else { 0 };
            let (area, below) = rest.split_vertically(height);
            rest = below;
            self.draw_panel(&area, panel, (x_low, x_high), index == last)?;
        }
        root.present()?;
        Ok(())
    }

    fn draw_panel(
        &self,
        area: &Area<'_>,
        panel: &Panel,
        (x_low, x_high): (f64, f64),
        last: bool,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let small = TextStyle::from(("sans-serif", 12).into_font()).color(&TEXT);
        let ys = panel
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.1);
        let (y_low, y_high) = panel.y.ends(ys);
        area.draw(&Text::new(panel.y.label, (14, 2), small.clone()))?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(22)
            .margin_bottom(8)
            .margin_right(LABELS_WIDTH)
            .margin_left(8)
            .x_label_area_size(if last { 44 } else { 18 })
            .y_label_area_size(44)
            .build_cartesian_2d(
                Ruler::new(&self.x, x_low, x_high),
                Ruler::new(&panel.y, y_low, y_high),
            )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(plotters::style::TRANSPARENT)
            .axis_style(GRID)
            .x_desc(if last { self.x.label } else { "" })
            .label_style(small.clone())
            .axis_desc_style(small.clone())
            .draw()?;
        let mut labels = Vec::new();
        for line in &panel.lines {
            let points: Vec<(f64, f64)> = thinned(&line.points)
                .map(|(x, y)| (self.x.place(x), panel.y.place(y).clamp(y_low, y_high)))
                .collect();
            let ink = line.ink.rgb();
            let style = |width: u32, opacity: f64| ShapeStyle {
                color: ink.mix(opacity),
                filled: false,
                stroke_width: width,
            };
            match line.stroke {
                Stroke::Solid => chart.draw_series(LineSeries::new(points.clone(), style(2, 1.0)))?,
                Stroke::Faint => chart.draw_series(LineSeries::new(points.clone(), style(1, 0.35)))?,
                Stroke::Dashed => {
                    chart.draw_series(DashedLineSeries::new(points.clone(), 5, 4, style(1, 1.0)))?
                }
            };
            if let Some(end) = points.last().filter(|_| !line.label.is_empty()) {
                labels.push((chart.backend_coord(end), line));
            }
        }
        // Labels keep their order and a distance.
        labels.sort_by_key(|((_, y), _)| *y);
        let (left, top) = area.get_base_pixel();
        let mut free = i32::MIN;
        for ((x, y), line) in labels {
            let y = (y - 7).max(free);
            free = y + LABEL_STEP;
            let ink = line.ink.rgb();
            let style = TextStyle::from(("sans-serif", 12).into_font()).color(&ink);
            area.draw(&Text::new(line.label.clone(), (x - left + 7, y - top), style))?;
        }
        Ok(())
    }
}

/// At most [`POINTS_MAX`] points: means of equal stretches.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let stretch = points.len().div_ceil(POINTS_MAX).max(1);
    points.chunks(stretch).map(|chunk| {
        let count = chunk.len() as f64;
        (
            chunk.iter().map(|point| point.0).sum::<f64>() / count,
            chunk.iter().map(|point| point.1).sum::<f64>() / count,
        )
    })
}

impl Ink {
    const fn rgb(self) -> RGBColor {
        match self {
            Self::Blue => RGBColor(0x1f, 0x5f, 0xa8),
            Self::Orange => RGBColor(0xd9, 0x7a, 0x06),
            Self::Green => RGBColor(0x2f, 0x8f, 0x5b),
            Self::Purple => RGBColor(0x7a, 0x4f, 0xa3),
            Self::Red => RGBColor(0xc0, 0x39, 0x2b),
            Self::Grey => RGBColor(0x80, 0x80, 0x80),
        }
    }
}

/// A stretch of an axis, divided at round numbers: what the plotting crate needs to know of it.
#[derive(Clone)]
struct Ruler {
    axis: Axis,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Ruler {
    fn new(axis: &Axis, low: f64, high: f64) -> Self {
        Self {
            axis: axis.clone(),
            low,
            high,
            ticks: axis.ticks(low, high),
        }
    }
}

impl Ranged for Ruler {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        first + (f64::from(last - first) * (place - self.low) / (self.high - self.low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Ruler {
    fn format_ext(&self, place: &f64) -> String {
        self.axis.name(*place)
    }
}
