//! What it earns to dodge a competitor: a trainer finds a better model in its region, and lets its commitment
//! lapse, or deactivates and comes back with a new model, against the same trainer who reveals and moves with
//! its next weights.
//!
//! All three live in the same world up to the epoch in which the trainer comes, and see the same draws from
//! then on until they do different things.

use soma_ledger::view;
use soma_types::transaction::PoolId;

use super::{Tick, cast};
use crate::{
    cast::{Cast, Demand},
    chain::Actor,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    error::SimError,
    participants::Habit,
    report::{Check, Study, Table},
    scale::{SOMA, in_soma, soma},
    stats::mean,
    world::World,
};

/// Worlds in which a trainer comes.
const WORLDS: u64 = 4;
/// Epochs before it comes.
const BEFORE: u64 = 10;
/// Epochs in which it is followed.
const FOLLOWED: u64 = 40;
/// What it stakes, in SOMA: a typical incumbent's stake.
const STAKE: u64 = 10_000;
const HABITS: [Habit; 3] = [Habit::Moving, Habit::Lapsing, Habit::Returning];

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = WORLDS * (BEFORE + HABITS.len() as u64 * FOLLOWED);

/// Runs each habit in each world.
///
/// # Errors
/// When the ledger is broken.
pub fn run(seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut courses: [Vec<Vec<f64>>; HABITS.len()] = Default::default();
    for world in 0..WORLDS {
        let dodger = Actor::new("dodger", world);
        let mut world = World::new(&Cast {
            guests: vec![(dodger, soma(STAKE + 500))],
            demand: Demand {
                payments: 50.0,
                ..cast(seed).demand
            },
            ..cast(seed.wrapping_mul(2_000) + world)
        })?;
        for _ in 0..BEFORE {
            world.epoch()?;
            tick("dodging");
        }
        for (course, habit) in courses.iter_mut().zip(HABITS) {
            course.push(follow(world.clone(), dodger, habit, tick)?);
        }
    }
    let table = table(&courses);
    Ok(Study {
        checks: checks(&courses),
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

/// What an average trainer with this habit has earned by the end of each epoch, in SOMA. It comes for the
/// region of the best.
fn follow(mut world: World, dodger: Actor, habit: Habit, tick: Tick<'_>) -> Result<Vec<f64>, SimError> {
    let talents = world
        .trainers
        .iter()
        .map(|trainer| (trainer.talent, trainer.cluster));
    let best = talents.max_by(|a, b| a.0.total_cmp(&b.0));
    let (_, cluster) = best.ok_or(SimError::Absent("trainer"))?;
    let index = world.add_trainer(dodger, soma(STAKE));
    world.let_save(&dodger.address);
    let trainer = &mut world.trainers[index];
    (trainer.talent, trainer.cluster, trainer.habit) = (0.0, cluster, habit);
    let (start, mut unbonding) = (in_soma(world.chain.balance(dodger)?), 0);
    let mut earned = Vec::new();
    for _ in 0..FOLLOWED {
        let facts = world.epoch()?;
        tick("dodging");
        unbonding += facts
            .tally
            .unbonding
            .get(&dodger.address)
            .copied()
            .unwrap_or_default();
        let staked = match world.trainers[index].model {
            None => 0.0,
            Some(model) => {
                let stake = view::stake(world.chain.state(), PoolId::Model(model), dodger.address)?;
                in_soma(stake.counting) + in_soma(stake.pending)
            }
        };
        let balance = in_soma(world.chain.balance(dodger)?);
        earned.push(balance + staked + unbonding as f64 / SOMA as f64 - start);
    }
    Ok(earned)
}

fn table(courses: &[Vec<Vec<f64>>; HABITS.len()]) -> Table {
    let at = |course: &[Vec<f64>], epoch: usize| mean(course.iter().map(|earned| earned[epoch]));
    Table {
        name: "dodging",
        columns: vec!["epoch", "moves", "lapses", "returns"],
        rows: (0..FOLLOWED as usize)
            .map(|epoch| {
                let values = courses.iter().map(|course| at(course, epoch));
                [epoch as f64].into_iter().chain(values).collect()
            })
            .collect(),
    }
}

fn checks(courses: &[Vec<Vec<f64>>; HABITS.len()]) -> Vec<Check> {
    let end = |course: &Vec<Vec<f64>>| -> Vec<f64> {
        course
            .iter()
            .filter_map(|earned| earned.last().copied())
            .collect()
    };
    let [honest, lapsing, returning] = courses.each_ref().map(end);
    let check = |name: &str, dodging: &[f64]| {
        let worse = honest
            .iter()
            .zip(dodging)
            .filter(|(honest, dodging)| dodging < honest);
        let (worse, gain) = (
            worse.count(),
            mean(dodging.iter().copied()) - mean(honest.iter().copied()),
        );
        Check::new(
            name,
            gain < 0.0,
            format!(
                "{gain:.0} SOMA in {FOLLOWED} epochs, where moving earns {:.0}; worse in {worse} of {WORLDS} worlds",
                mean(honest.iter().copied())
            ),
        )
    };
    vec![
        check("letting a commitment lapse loses", &lapsing),
        check("deactivating a model and coming back loses", &returning),
    ]
}

fn figure(table: &Table) -> Figure {
    let line = |name: &str, label: &str, ink: Ink| {
        Line::new(label, ink, table.column("epoch").zip(table.column(name)))
    };
    Figure {
        name: "dodging",
        title: "Dodging a better model: to move with the next weights earns more than to lapse or to leave"
            .into(),
        x: Axis::linear("epochs since it came"),
        panels: vec![Panel {
            y: Axis::linear("earned, SOMA (mean of 4 worlds)"),
            lines: vec![
                line("moves", "reveals, then moves", Ink::Blue),
                line("lapses", "does not reveal", Ink::Orange),
                line("returns", "deactivates, returns", Ink::Red),
                Line::new("", Ink::Grey, table.column("epoch").map(|epoch| (epoch, 0.0)))
                    .stroke(Stroke::Dashed),
            ],
        }],
    }
}
