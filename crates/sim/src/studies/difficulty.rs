//! How hits return to their goal after the number of submitters jumps tenfold, up and down, with
//! thresholds that relax while a target is open and with thresholds that do not.
//!
//! The rule before is emulated: submitters hold themselves to the threshold their target opened with,
//! although the ledger would accept less.

use soma_types::params::ONE_Q16;

use super::{Tick, cast};
use crate::{
    cast::Cast,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    error::SimError,
    participants::Rule,
    report::{Check, Study, Table},
    scale::HITS_GOAL,
    stats::mean,
    world::World,
};

/// Epochs with the same number of submitters.
const STRETCH: u64 = 20;
/// Documents that each submitter scores in a block, by stretch: submitters come and go tenfold.
const CROWDS: [f64; 4] = [0.25, 2.5, 0.25, 0.025];
/// Epochs after a jump that are not yet judged.
const SETTLING: u64 = 4;

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = 2 * (3 + STRETCH * CROWDS.len() as u64);

/// Runs both rules through the same jumps.
///
/// # Errors
/// When the ledger is broken.
pub fn run(seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut spreads = Vec::new();
    for (rule, place) in [(Rule::Relaxing, 0), (Rule::Frozen, 1)] {
        let mut world = World::new(&Cast { rule, ..cast(seed) })?;
        // The first models compete from epoch 3 on.
        for _ in 0..3 {
            world.epoch()?;
            tick("difficulty");
        }
        let mut judged = Vec::new();
        for (stretch, documents) in CROWDS.iter().enumerate() {
            for submitter in &mut world.submitters {
                submitter.documents = *documents;
            }
            for epoch in 0..STRETCH {
                let state = world.epoch()?.state;
                tick("difficulty");
                let (hits, z) = (
                    state.hits as f64 / HITS_GOAL as f64,
                    state.difficulty.z_q16 as f64 / ONE_Q16 as f64,
                );
                if place == 0 {
                    let number = (stretch as u64 * STRETCH + epoch) as f64;
                    rows.push(vec![number, 40.0 * documents, hits, z]);
                } else {
                    rows[stretch * STRETCH as usize + epoch as usize].extend([hits, z]);
                }
                if epoch >= SETTLING {
                    judged.push((stretch, hits));
                }
            }
        }
        spreads.push(judged);
    }
    let table = Table {
        name: "difficulty",
        columns: vec![
            "epoch",
            "documents_per_block",
            "hits",
            "z",
            "hits_frozen",
            "z_frozen",
        ],
        rows,
    };
    Ok(Study {
        checks: checks(&spreads[0], &spreads[1]),
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

fn checks(relaxing: &[(usize, f64)], frozen: &[(usize, f64)]) -> Vec<Check> {
    let stretches = |judged: &[(usize, f64)]| -> Vec<f64> {
        (0..CROWDS.len())
            .map(|stretch| {
                mean(
                    judged
                        .iter()
                        .filter(|(other, _)| *other == stretch)
                        .map(|(_, hits)| *hits),
                )
            })
            .collect()
    };
    let percents = |means: &[f64]| -> String {
        let texts: Vec<String> = means.iter().map(|mean| format!("{:.0}%", 100.0 * mean)).collect();
        texts.join(", ")
    };
    let (now, before) = (stretches(relaxing), stretches(frozen));
    vec![Check::new(
        "hits settle at the goal after tenfold jumps in submitters",
        now.iter().all(|mean| (0.85..=1.15).contains(mean)),
        format!(
            "{} of the goal by stretch, from {SETTLING} epochs after each jump; with frozen thresholds {}",
            percents(&now),
            percents(&before)
        ),
    )]
}

fn figure(table: &Table) -> Figure {
    let line = |name: &str, label: &str, ink: Ink| {
        Line::new(label, ink, table.column("epoch").zip(table.column(name)))
    };
    let goal = table.column("epoch").map(|epoch| (epoch, 1.0));
    Figure {
        name: "difficulty",
        title: "Difficulty: hits return to the goal after tenfold jumps in submitters".into(),
        x: Axis::linear("epochs"),
        panels: vec![
            Panel {
                y: Axis::log("documents scored in a block, by all submitters").from(0.7, 150.0),
                lines: vec![line("documents_per_block", "submitters", Ink::Grey)],
            },
            Panel {
                y: Axis::linear("hits in an epoch, of the goal").from(0.0, 2.5),
                lines: vec![
                    Line::new("goal", Ink::Grey, goal).stroke(Stroke::Dashed),
                    line("hits_frozen", "frozen thresholds", Ink::Orange),
                    line("hits", "relaxing thresholds", Ink::Blue),
                ],
            },
            Panel {
                y: Axis::linear("difficulty z, standard deviations"),
                lines: vec![
                    line("z_frozen", "frozen", Ink::Orange),
                    line("z", "relaxing", Ink::Blue),
                ],
            },
        ],
    }
}
