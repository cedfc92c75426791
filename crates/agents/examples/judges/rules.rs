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
}

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    pub name: &'static str,
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
pub const RULES: [Rule; 13] = [
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
];

/// The chance of each of `stakes`, which stand in the order of their losses, to be the best of those drawn.
pub fn chances(draw: Draw, stakes: &[u64]) -> Vec<f64> {
    let drawn = DRAWN.min(stakes.len());
    // The chance that none of the first so many is drawn.
    let none = |first: usize| match draw {
        Draw::Even => (0..drawn)
            .map(|k| (stakes.len() - first).saturating_sub(k) as f64 / (stakes.len() - k) as f64)
            .product(),
        Draw::Stake => {
            let outside: Vec<f64> = stakes[first..].iter().map(|stake| *stake as f64).collect();
            undrawn(&outside, stakes.iter().sum::<u64>() as f64, drawn)
        }
    };
    (0..stakes.len())
        .map(|place| none(place) - none(place + 1))
        .collect()
}

/// The chance that `draws` draws by stake, of stakes of `total` in all, take only some of these.
fn undrawn(stakes: &[f64], total: f64, draws: usize) -> f64 {
    if draws == 0 {
        return 1.0;
    }
    let first = stakes.iter().enumerate().map(|(place, stake)| {
        let rest: Vec<f64> = [&stakes[..place], &stakes[place + 1..]].concat();
        stake / total * undrawn(&rest, total - stake, draws - 1)
    });
    first.sum()
}
