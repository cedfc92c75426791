//! How much capital bonds take: the same network with submitters who own less and less.

use soma_types::Shannons;

use super::{Tick, cast};
use crate::{
    SimError,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    report::{Study, Table},
    scale::{HITS_GOAL, in_soma, soma},
    stats::running_mean,
    world::{Cast, Demand, World},
};

/// What each of the forty submitters owns, in SOMA.
const FUNDS: [u64; 4] = [5_000, 2_500, 1_000, 500];
const EPOCHS_EACH: u64 = 60;

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = FUNDS.len() as u64 * EPOCHS_EACH;

/// Runs the network with each amount of capital.
///
/// # Errors
/// When the ledger is broken.
pub fn run(seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut rows: Vec<Vec<f64>> = (0..EPOCHS_EACH).map(|epoch| vec![epoch as f64]).collect();
    for funds in FUNDS {
        let mut world = World::new(&Cast {
            submitter_funds: soma(funds),
            demand: Demand {
                payments: 50.0,
                ..cast(seed).demand
            },
            ..cast(seed)
        })?;
        for row in &mut rows {
            let facts = world.epoch()?;
            tick("capital");
            let hits = facts.state.hits as f64 / HITS_GOAL as f64;
            let most: Shannons = facts.state.bond_floor;
            row.extend([hits, in_soma(most)]);
        }
    }
    let table = Table {
        name: "capital",
        columns: vec![
            "epoch",
            "hits_5000",
            "bond_5000",
            "hits_2500",
            "bond_2500",
            "hits_1000",
            "bond_1000",
            "hits_500",
            "bond_500",
        ],
        rows,
    };
    Ok(Study {
        checks: vec![],
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

fn figure(table: &Table) -> Figure {
    let lines = |prefix: &str| -> Vec<Line> {
        let inks = [Ink::Blue, Ink::Green, Ink::Orange, Ink::Red];
        let line = |(funds, ink): (u64, Ink)| {
            let values: Vec<f64> = table.column(&format!("{prefix}_{funds}")).collect();
            Line::new(
                format!("{funds} SOMA each"),
                ink,
                table.column("epoch").zip(running_mean(&values, 3)),
            )
        };
        FUNDS.into_iter().zip(inks).map(line).collect()
    };
    let goal = Line::new("goal", Ink::Grey, table.column("epoch").map(|epoch| (epoch, 1.0)));
    Figure {
        name: "capital",
        title: "Bonds need capital: where submitters own too little, hits fall short of the goal".into(),
        x: Axis::linear("epochs"),
        panels: vec![
            Panel {
                y: Axis::linear("hits in an epoch, of the goal (mean of 3)").from(0.0, 1.5),
                lines: [vec![goal.stroke(Stroke::Dashed)], lines("hits")].concat(),
            },
            Panel {
                y: Axis::log("least bond of a submission, SOMA"),
                lines: lines("bond"),
            },
        ],
    }
}
