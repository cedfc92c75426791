//! A newcomer trains a model that is 2% better than one that has been there for months, for the same kind
//! of documents. How often does it win their region, and how fast does it earn stake?

use soma_types::{ModelId, Shannons};

use super::{Tick, cast};
use crate::{
    cast::{Cast, Demand},
    chain::Actor,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    error::SimError,
    report::{Check, Study, Table},
    scale::soma,
    stats::{mean, running_mean},
    world::World,
};

/// What a newcomer stakes, in SOMA. The first is the least the protocol allows, the last what a typical
/// incumbent holds.
const STAKES: [u64; 3] = [10, 1_000, 10_000];
/// Epochs before it comes.
const BEFORE: u64 = 40;
/// Epochs that it is followed.
const FOLLOWED: u64 = 60;
/// Epochs at the end that decide who has won the region.
const DECIDING: usize = 15;
/// Nats by which it is better: 2% of a loss of 1.55.
const BETTER: f64 = 0.031;

/// Epochs that [`run`] takes.
#[must_use]
pub const fn epochs(samples: u64) -> u64 {
    samples * (BEFORE + STAKES.len() as u64 * FOLLOWED)
}

/// What is known of newcomer and incumbent after an epoch.
#[derive(Clone, Copy)]
struct Pair {
    /// The newcomer's part of what the two win.
    won: Option<f64>,
    /// Its stake, as a part of the incumbent's.
    stake: f64,
}

/// Runs `samples` worlds, and each from the same point on with each stake.
///
/// # Errors
/// When the ledger is broken.
pub fn run(samples: u64, seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut courses: Vec<Vec<Vec<Pair>>> = vec![Vec::new(); STAKES.len()];
    for sample in 0..samples {
        let rival = Actor::new("rival", sample);
        let mut world = World::new(&Cast {
            guests: vec![(rival, soma(11_000))],
            demand: Demand {
                payments: 50.0,
                ..cast(seed).demand
            },
            ..cast(seed.wrapping_mul(1_000) + sample)
        })?;
        for _ in 0..BEFORE {
            world.epoch()?;
            tick("newcomers");
        }
        let incumbent = median(&world);
        for (course, stake) in courses.iter_mut().zip(STAKES) {
            course.push(follow(world.clone(), rival, incumbent, soma(stake), tick)?);
        }
    }
    let table = table(&courses);
    Ok(Study {
        checks: vec![check(&courses)],
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

/// The trainer of the model with the median stake.
fn median(world: &World) -> usize {
    let stake = |index: usize| {
        let model = world.trainers[index]
            .model
            .map(soma_types::transaction::PoolId::Model);
        let pool = world.board.pools.iter().find(|pool| Some(pool.id) == model);
        pool.map_or(0.0, |pool| pool.stake)
    };
    let mut order: Vec<usize> = (0..world.trainers.len())
        .filter(|index| stake(*index) > 0.0)
        .collect();
    order.sort_by(|a, b| stake(*a).total_cmp(&stake(*b)));
    order[order.len() / 2]
}

fn follow(
    mut world: World,
    rival: Actor,
    incumbent: usize,
    stake: Shannons,
    tick: Tick<'_>,
) -> Result<Vec<Pair>, SimError> {
    let newcomer = world.add_trainer(rival, stake);
    world.trainers[newcomer].cluster = world.trainers[incumbent].cluster;
    world.trainers[newcomer].talent = world.trainers[incumbent].talent + BETTER;
    let mut course = Vec::new();
    for _ in 0..FOLLOWED {
        let facts = world.epoch()?;
        tick("newcomers");
        let count = |trainer: usize| -> f64 {
            let model: Option<ModelId> = world.trainers[trainer].model;
            model
                .and_then(|model| facts.tally.won.get(&model))
                .map_or(0.0, |hits| *hits as f64)
        };
        let held = |trainer: usize| -> f64 {
            let model: Option<ModelId> = world.trainers[trainer].model;
            model
                .and_then(|model| facts.stakes.get(&model))
                .copied()
                .unwrap_or(0.0)
        };
        let (new, old) = (count(newcomer), count(incumbent));
        course.push(Pair {
            won: (new + old > 0.0).then(|| new / (new + old)),
            stake: held(newcomer) / held(incumbent).max(1.0),
        });
    }
    Ok(course)
}

fn table(courses: &[Vec<Vec<Pair>>]) -> Table {
    let at = |epoch: usize, course: &[Vec<Pair>], value: &dyn Fn(&Pair) -> Option<f64>| {
        mean(course.iter().filter_map(|pairs| value(&pairs[epoch])))
    };
    let rows = (0..FOLLOWED as usize).map(|epoch| {
        let won = courses.iter().map(|course| at(epoch, course, &|pair| pair.won));
        let stake = courses
            .iter()
            .map(|course| at(epoch, course, &|pair| Some(pair.stake)));
        [epoch as f64].into_iter().chain(won).chain(stake).collect()
    });
    Table {
        name: "newcomer",
        columns: vec![
            "epoch",
            "won_10",
            "won_1000",
            "won_10000",
            "stake_10",
            "stake_1000",
            "stake_10000",
        ],
        rows: rows.collect(),
    }
}

/// For each stake the part of newcomers that win most of the region in the end.
fn victories(courses: &[Vec<Vec<Pair>>]) -> Vec<f64> {
    let wins = |pairs: &Vec<Pair>| {
        let late = pairs.iter().rev().take(DECIDING).filter_map(|pair| pair.won);
        f64::from(u8::from(mean(late) > 0.5))
    };
    courses
        .iter()
        .map(|course| mean(course.iter().map(wins)))
        .collect()
}

fn check(courses: &[Vec<Vec<Pair>>]) -> Check {
    let shares = victories(courses);
    let texts: Vec<String> = STAKES
        .iter()
        .zip(&shares)
        .map(|(stake, share)| format!("{:.0}% with {stake} SOMA", 100.0 * share))
        .collect();
    Check::new(
        "a newcomer that is 2% better, with a tenth of the incumbent's stake, mostly wins its region",
        shares.iter().skip(1).all(|share| *share >= 0.5),
        format!(
            "{} of {} worlds, after {FOLLOWED} epochs",
            texts.join(", "),
            courses[0].len()
        ),
    )
}

fn figure(table: &Table) -> Figure {
    let lines = |prefix: &str| -> Vec<Line> {
        let inks = [Ink::Blue, Ink::Green, Ink::Purple];
        let line = |(stake, ink): (u64, Ink)| {
            let values: Vec<f64> = table
                .column(&format!("{prefix}_{stake}"))
                .map(|share| 100.0 * share)
                .collect();
            // It competes from its third epoch on.
            let points = table.column("epoch").zip(running_mean(&values, 5)).skip(3);
            Line::new(format!("{stake} SOMA staked"), ink, points)
        };
        STAKES.into_iter().zip(inks).map(line).collect()
    };
    let even = |value: f64| {
        Line::new(
            "even",
            Ink::Grey,
            table.column("epoch").map(|epoch| (epoch, value)),
        )
        .stroke(Stroke::Dashed)
    };
    let with = |prefix: &str, value: f64| [vec![even(value)], lines(prefix)].concat();
    Figure {
        name: "newcomer",
        title: "A newcomer that is 2% better takes its region over, and stake follows".into(),
        x: Axis::linear("epochs since it was created (mean of worlds, over 5 epochs)"),
        panels: vec![
            Panel {
                y: Axis::linear("its part of what it and the incumbent win, %").from(0.0, 100.0),
                lines: with("won", 50.0),
            },
            Panel {
                y: Axis::log("its stake, % of the incumbent's"),
                lines: with("stake", 100.0),
            },
        ],
    }
}
