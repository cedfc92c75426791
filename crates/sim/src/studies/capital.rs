//! How much capital bonds take, and who gains where there is too little of it: the same network with
//! submitters who own less and less.

use soma_types::{Epoch, objects::EpochRecord};

use super::{Tick, cast};
use crate::{
    cast::{Cast, Demand},
    chain::Actor,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    error::SimError,
    report::{Check, Study, Table},
    scale::{HITS_GOAL, in_soma, soma},
    stats::{mean, running_mean},
    world::World,
};

/// Submitters of the network that studies start from.
const SUBMITTERS: u64 = 40;
/// What each of them owns, in SOMA.
const FUNDS: [u64; 4] = [5_000, 2_500, 1_000, 500];
const EPOCHS_EACH: u64 = 60;
/// Epochs until hits have settled.
const SETTLED_AFTER: usize = 20;
/// What is followed of each epoch, as the columns' names begin.
const FOLLOWED: [&str; 3] = ["hits", "bond", "validators"];

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = FUNDS.len() as u64 * EPOCHS_EACH;

/// Runs the network with each amount of capital.
///
/// # Errors
/// When the ledger is broken.
pub fn run(seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut table = Table {
        name: "capital",
        columns: vec!["epoch"],
        rows: (0..EPOCHS_EACH).map(|epoch| vec![epoch as f64]).collect(),
    };
    for (funds, columns) in FUNDS.into_iter().zip(COLUMNS) {
        table.columns.extend(columns);
        let mut world = World::new(&Cast {
            submitter_funds: soma(funds),
            // The same supply, and so the same emission, in each.
            guests: vec![(Actor::new("idle", 0), soma(SUBMITTERS * (FUNDS[0] - funds)))],
            demand: Demand {
                payments: 50.0,
                ..cast(seed).demand
            },
            ..cast(seed)
        })?;
        for _ in 0..EPOCHS_EACH {
            world.epoch()?;
            tick("capital");
        }
        // The boundary closes the last one.
        world.block()?;
        for (epoch, row) in (0..).zip(&mut table.rows) {
            row.extend(followed(&world.chain.record(Epoch(epoch))?));
        }
    }
    Ok(Study {
        checks: checks(&table),
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

const COLUMNS: [[&str; FOLLOWED.len()]; FUNDS.len()] = [
    ["hits_5000", "bond_5000", "validators_5000"],
    ["hits_2500", "bond_2500", "validators_2500"],
    ["hits_1000", "bond_1000", "validators_1000"],
    ["hits_500", "bond_500", "validators_500"],
];

fn followed(record: &EpochRecord) -> [f64; FOLLOWED.len()] {
    [
        record.state.hits as f64 / HITS_GOAL as f64,
        in_soma(record.state.bond_floor),
        in_soma(record.validator_pot),
    ]
}

/// What must hold where capital is short, against where it is ample.
fn checks(table: &Table) -> Vec<Check> {
    let means = |what: &str| {
        FUNDS.map(|funds| {
            let name = format!("{what}_{funds}");
            mean(table.column(&name).skip(SETTLED_AFTER))
        })
    };
    let texts = |values: &[f64], unit: &str| -> String {
        let pairs = FUNDS.iter().zip(values);
        let texts: Vec<String> = pairs
            .map(|(funds, value)| format!("{value:.0}{unit} with {funds}"))
            .collect();
        texts.join(", ")
    };
    let (hits, bonds, pots) = (means("hits"), means("bond"), means("validators"));
    let highest = FUNDS
        .into_iter()
        .flat_map(|funds| table.column(&format!("bond_{funds}")).collect::<Vec<_>>())
        .fold(0.0, f64::max);
    let first = table.rows[0][2];
    // Whoever wins in an epoch has its bond back at the start of the second after it.
    let affordable = std::array::from_fn(|place| {
        let each = (FUNDS[place] as f64 / bonds[place]).floor();
        (each * SUBMITTERS as f64 / (2 * HITS_GOAL) as f64).min(1.0)
    });
    let percents = |shares: [f64; FUNDS.len()]| texts(&shares.map(|share| 100.0 * share), "%");
    vec![
        Check::new(
            "bonds are bounded where hits fall short",
            highest < 1.2 * first,
            format!(
                "at most {highest:.0} SOMA, {first:.0} at first; {}",
                texts(&bonds, " SOMA")
            ),
        ),
        Check::new(
            "hits fall no faster than the capital of submitters",
            hits.iter()
                .zip(affordable)
                .all(|(hits, share)| *hits > 0.95 * share),
            format!(
                "of the goal {} SOMA each; their bonds would do for {}",
                percents(hits),
                percents(affordable)
            ),
        ),
        Check::new(
            "validators do not earn more where hits are missing",
            pots[1..].iter().all(|pot| *pot <= 1.01 * pots[0]),
            format!("a mean epoch {}", texts(&pots, " SOMA")),
        ),
    ]
}

fn figure(table: &Table) -> Figure {
    let lines = |what: &str, window: usize| -> Vec<Line> {
        let inks = [Ink::Blue, Ink::Green, Ink::Orange, Ink::Red];
        let line = |(funds, ink): (u64, Ink)| {
            let values: Vec<f64> = table.column(&format!("{what}_{funds}")).collect();
            Line::new(
                format!("{funds} SOMA each"),
                ink,
                table.column("epoch").zip(running_mean(&values, window)),
            )
        };
        FUNDS.into_iter().zip(inks).map(line).collect()
    };
    let goal = Line::new("goal", Ink::Grey, table.column("epoch").map(|epoch| (epoch, 1.0)));
    Figure {
        name: "capital",
        title: "Bonds need capital: where there is too little, hits fall short, and nobody gains by it"
            .into(),
        x: Axis::linear("epochs"),
        panels: vec![
            Panel {
                y: Axis::linear("hits in an epoch, of the goal (mean of 4)").from(0.0, 1.5),
                lines: [vec![goal.stroke(Stroke::Dashed)], lines("hits", 4)].concat(),
            },
            Panel {
                y: Axis::linear("least bond of a submission, SOMA").from(0.0, 800.0),
                lines: lines("bond", 1),
            },
            Panel {
                y: Axis::linear("what validators share of an epoch, SOMA").from(0.0, 1_000.0),
                lines: lines("validators", 1),
            },
        ],
    }
}
