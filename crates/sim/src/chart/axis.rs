//! Axes: where values lie on them, and at which round numbers they are divided.

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it is, with its unit.
    pub label: &'static str,
    /// Its ends; `None`: those of the data.
    pub range: Option<(f64, f64)>,
    /// Whether equal distances are equal factors.
    pub scale: Scale,
}

impl Axis {
    /// A linear axis over the data.
    #[must_use]
    pub const fn linear(label: &'static str) -> Self {
        Self {
            label,
            range: None,
            scale: Scale::Linear,
        }
    }

    /// A logarithmic axis over the data.
    #[must_use]
    pub const fn log(label: &'static str) -> Self {
        Self {
            label,
            range: None,
            scale: Scale::Log,
        }
    }

    /// The axis with these ends.
    #[must_use]
    pub const fn from(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-12).log10(),
        }
    }

    /// Round numbers between two places, few enough to read.
    pub(super) fn ticks(&self, low: f64, high: f64) -> Vec<f64> {
        let span = (high - low).max(1e-9);
        match self.scale {
            Scale::Linear => {
                let unit = 10_f64.powf((span / 6.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit);
                let step = step.into_iter().find(|step| span / step <= 8.0).unwrap_or(span);
                ((low / step).ceil() as i64..=(high / step).floor() as i64)
                    .map(|tick| tick as f64 * step)
                    .collect()
            }
            Scale::Log => {
                let factors: &[f64] = if span < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let decades = low.floor() as i32..=high.ceil() as i32;
                decades
                    .flat_map(|decade| {
                        factors
                            .iter()
                            .map(move |factor| f64::from(decade) + factor.log10())
                    })
                    .filter(|tick| *tick > low - 1e-9 && *tick < high + 1e-9)
                    .collect()
            }
        }
    }

    pub(super) fn name(&self, place: f64) -> String {
        let value = match self.scale {
            Scale::Linear => place,
            Scale::Log => 10_f64.powf(place),
        };
        let (scaled, unit) = match value.abs() {
            size if size >= 1e6 => (value / 1e6, "M"),
            size if size >= 1e4 => (value / 1e3, "k"),
            _ => (value, ""),
        };
        // Four digits, and no negative zero.
        let scaled = (scaled * 1e4).round() / 1e4 + 0.0;
        format!("{scaled}{unit}")
    }

    /// The ends of the axis for these values.
    pub(super) fn ends(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (low, high) = self.range.unwrap_or_else(|| {
            values.fold((f64::MAX, f64::MIN), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        });
        let (low, high) = (self.place(low), self.place(high));
        let room = if self.range.is_none() {
            (high - low).abs().max(1e-9) * 0.04
        } else {
            0.0
        };
        (low - room, high + room)
    }
}

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal factors.
    Log,
}
