//! Rules that are compared: what is a hit, who is drawn, who is paid. A draw's chances are exact.

/// Judges of a document.
pub const DRAWN: usize = 3;

/// Whose embedding of the data has to be near the target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// The best of those drawn.
    Drawn,
    /// The best of all that are near the target.
    Near,
    /// The reference's.
    Reference,
}

/// How [`DRAWN`] of the near models are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Each alike.
    Even,
    /// One after the other by stake.
    Stake,
    /// Each seat by itself, of all models, by stake and nearness: who is drawn twice judges once.
    Seats,
}

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    pub name: &'static str,
    /// Models that are near a target.
    pub near: usize,
    pub hit: Hit,
    pub draw: Draw,
}

const fn rule(name: &'static str, near: usize, hit: Hit, draw: Draw) -> Rule {
    Rule {
        name,
        near,
        hit,
        draw,
    }
}

/// The documents' rule first.
pub const RULES: [Rule; 14] = [
    rule("documents: 3 of 3", 3, Hit::Near, Draw::Even),
    rule("near's hit, 3 of 6", 6, Hit::Near, Draw::Even),
    rule("near's hit, 3 of 8", 8, Hit::Near, Draw::Even),
    rule("near's hit, 3 of 12", 12, Hit::Near, Draw::Even),
    rule("near's hit, 3 of 12 by stake", 12, Hit::Near, Draw::Stake),
    rule("drawn's hit, 3 of 6", 6, Hit::Drawn, Draw::Even),
    rule("drawn's hit, 3 of 8", 8, Hit::Drawn, Draw::Even),
    rule("drawn's hit, 3 of 12", 12, Hit::Drawn, Draw::Even),
    rule("reference's hit, 3 of 3", 3, Hit::Reference, Draw::Even),
    rule("reference's hit, 3 of 6", 6, Hit::Reference, Draw::Even),
    rule("reference's hit, 3 of 8", 8, Hit::Reference, Draw::Even),
    rule("reference's hit, 3 of 12", 12, Hit::Reference, Draw::Even),
    rule(
        "reference's hit, 3 of 12 by stake",
        12,
        Hit::Reference,
        Draw::Stake,
    ),
    rule(
        "reference's hit, 3 seats",
        usize::MAX,
        Hit::Reference,
        Draw::Seats,
    ),
];

/// The chance of each to be the best of those drawn, by the weights that the draw goes by, which stand in the
/// order of losses.
pub fn chances(draw: Draw, weights: &[f64]) -> Vec<f64> {
    let drawn = DRAWN.min(weights.len());
    let total: f64 = weights.iter().sum();
    // The chance that none of the first so many is drawn.
    let none = |first: usize| match draw {
        Draw::Even => (0..drawn)
            .map(|k| (weights.len() - first).saturating_sub(k) as f64 / (weights.len() - k) as f64)
            .product(),
        Draw::Stake => undrawn(&weights[first..], total, drawn),
        Draw::Seats => (weights[first..].iter().sum::<f64>() / total).powi(drawn as i32),
    };
    (0..weights.len())
        .map(|place| none(place) - none(place + 1))
        .collect()
}

/// The chance that `draws` draws by weight, of `total` in all, take only some of these.
fn undrawn(weights: &[f64], total: f64, draws: usize) -> f64 {
    if draws == 0 {
        return 1.0;
    }
    let first = weights.iter().enumerate().map(|(place, weight)| {
        let rest: Vec<f64> = [&weights[..place], &weights[place + 1..]].concat();
        weight / total * undrawn(&rest, total - weight, draws - 1)
    });
    first.sum()
}
