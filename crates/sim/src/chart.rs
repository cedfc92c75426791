//! Line charts as SVG: few colours, labels at the lines themselves, units on every axis.

mod axis;
mod svg;

pub use axis::{Axis, Scale};

/// A picture: panels above each other that share their x axis.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The file's name, without its ending.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub title: String,
    /// What the x axis is.
    pub x: Axis,
    /// The panels, from above.
    pub panels: Vec<Panel>,
}

/// One diagram.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its y axis.
    pub y: Axis,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line and the words beside its end.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is.
    pub label: String,
    /// Its colour.
    pub ink: Ink,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Its points, in the order of x.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A solid line.
    pub fn new(label: impl Into<String>, ink: Ink, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            label: label.into(),
            ink,
            stroke: Stroke::Solid,
            points: points.into_iter().collect(),
        }
    }

    /// The line, drawn so.
    #[must_use]
    pub const fn stroke(mut self, stroke: Stroke) -> Self {
        self.stroke = stroke;
        self
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// A result.
    Solid,
    /// What was wanted or expected.
    Dashed,
    /// A result whose trend another line shows.
    Faint,
}

/// The colours, which also differ in lightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// The main result.
    Blue,
    /// What it is compared with.
    Orange,
    /// A third.
    Green,
    /// A fourth.
    Purple,
    /// A fifth.
    Red,
    /// A reference.
    Grey,
}
