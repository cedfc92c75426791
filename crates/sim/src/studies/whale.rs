//! A whale stakes on three models of its own, as many as a target has, so that where all three are routed
//! it cannot lose. What part of the rewards does its part of the stake bring?

use soma_types::Shannons;

use super::{Tick, cast};
use crate::{
    cast::{Cast, Demand},
    chain::Actor,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    error::SimError,
    report::{Check, Study, Table},
    scale::soma,
    world::World,
};

/// The whale's parts of all model stake, in percent.
const SHARES: [u64; 6] = [5, 10, 20, 35, 50, 75];
/// Its models: as many as a target has.
const MODELS: u64 = 3;
/// Honest models, with 1000 SOMA each.
const HONEST: u64 = 24;
/// Epochs until all compete.
const BEFORE: u64 = 4;
/// Epochs that are counted.
const COUNTED: u64 = 6;
/// Nats by which a bad model is worse than the average: two standard deviations, 4% of a loss.
const BAD: f64 = -0.06;

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = 3 * SHARES.len() as u64 * (BEFORE + COUNTED);

/// How a whale's models are.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    label: &'static str,
    ink: Ink,
    talent: f64,
    clusters: [usize; MODELS as usize],
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "bad_together",
        label: "4% worse, in one place",
        ink: Ink::Red,
        talent: BAD,
        clusters: [0, 0, 0],
    },
    Kind {
        name: "bad_spread",
        label: "4% worse, spread",
        ink: Ink::Orange,
        talent: BAD,
        clusters: [0, 1, 2],
    },
    Kind {
        name: "average_spread",
        label: "average, spread",
        ink: Ink::Blue,
        talent: 0.0,
        clusters: [0, 1, 2],
    },
];

/// Runs each kind of whale at each size.
///
/// # Errors
/// When the ledger is broken.
pub fn run(seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut table = Table {
        name: "whale",
        columns: vec!["stake_share"],
        rows: SHARES.iter().map(|share| vec![*share as f64 / 100.0]).collect(),
    };
    for kind in KINDS {
        table.columns.push(kind.name);
        for (row, share) in table.rows.iter_mut().zip(SHARES) {
            row.push(rewards(kind, share, seed, tick)?);
        }
    }
    let check = check(&table);
    Ok(Study {
        checks: vec![check],
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

/// Bad models earn less than average ones of the same stake, and a large stake in them less than its part.
fn check(table: &Table) -> Check {
    let column = |name: &str| -> Vec<f64> { table.column(name).collect() };
    let (shares, average) = (column("stake_share"), column("average_spread"));
    let bad = [column("bad_together"), column("bad_spread")];
    let less_than_good = bad
        .iter()
        .flatten()
        .zip(average.iter().cycle())
        .all(|(bad, good)| bad < good);
    let less_than_part = bad
        .iter()
        .flatten()
        .zip(shares.iter().cycle())
        .all(|(won, staked)| *staked < 0.1 || won < staked);
    let percents = |won: &[f64]| -> String {
        let texts: Vec<String> = won.iter().map(|won| format!("{:.0}%", 100.0 * won)).collect();
        texts.join(", ")
    };
    Check::new(
        "a whale's bad models earn less than good ones, and less than its stake's part",
        less_than_good && less_than_part,
        format!(
            "with {} of all stake {} of the rewards in one place, {} spread",
            percents(&shares),
            percents(&bad[0]),
            percents(&bad[1])
        ),
    )
}

/// The part of all hits that the whale's models win.
fn rewards(kind: Kind, share: u64, seed: u64, tick: Tick<'_>) -> Result<f64, SimError> {
    let stake = Shannons(soma(1_000).0 * HONEST * share / (100 - share) / MODELS);
    let owners: Vec<Actor> = (0..MODELS).map(|index| Actor::new("whale", index)).collect();
    let mut world = World::new(&Cast {
        trainers: HONEST,
        households: 0,
        demand: Demand {
            payments: 0.0,
            ..cast(seed).demand
        },
        guests: owners
            .iter()
            .map(|owner| (*owner, Shannons(stake.0 + soma(500).0)))
            .collect(),
        ..cast(seed)
    })?;
    let places: Vec<usize> = owners
        .iter()
        .zip(kind.clusters)
        .map(|(owner, cluster)| {
            let place = world.add_trainer(*owner, stake);
            world.trainers[place].cluster = cluster;
            world.trainers[place].talent = kind.talent;
            place
        })
        .collect();
    let (mut own, mut all) = (0, 0);
    for epoch in 0..BEFORE + COUNTED {
        let won = world.epoch()?.tally.won;
        tick("whales");
        if epoch >= BEFORE {
            let models = places.iter().filter_map(|place| world.trainers[*place].model);
            own += models.filter_map(|model| won.get(&model)).sum::<u64>();
            all += won.values().sum::<u64>();
        }
    }
    Ok(own as f64 / all.max(1) as f64)
}

fn figure(table: &Table) -> Figure {
    let percent = |name: &str| -> Vec<f64> { table.column(name).map(|share| 100.0 * share).collect() };
    let shares = percent("stake_share");
    let even = Line::new(
        "as much as it stakes",
        Ink::Grey,
        shares.iter().map(|share| (*share, *share)),
    );
    let line = |kind: Kind| {
        Line::new(
            kind.label,
            kind.ink,
            shares.iter().copied().zip(percent(kind.name)),
        )
    };
    Figure {
        name: "whale",
        title: "A whale with three models of its own: bad models earn less than their stake's part".into(),
        x: Axis::linear("the whale's part of all model stake, %").from(0.0, 80.0),
        panels: vec![Panel {
            y: Axis::linear("its part of all model rewards, %").from(0.0, 100.0),
            lines: [vec![even.stroke(Stroke::Dashed)], KINDS.map(line).to_vec()].concat(),
        }],
    }
}
