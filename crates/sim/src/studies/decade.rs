//! Ten years of everything: supply, burn, fees, hits, and where stake goes.

use std::collections::BTreeSet;

use soma_types::{
    Epoch, ModelId, Shannons,
    amount::MAX_SUPPLY,
    genesis::EmissionSchedule,
    objects::{EpochRecord, SubmissionStatus},
    params::ONE_Q16,
};

use super::{Tick, cast};
use crate::{
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    error::SimError,
    facts::Facts,
    report::{Check, Study, Table},
    scale::in_soma,
    stats::{effective_number, gini, mean, rank_correlation, running_mean},
    world::World,
};

/// Epochs from one newcomer to the next.
const NEWCOMER_EVERY: u64 = 20;
/// Epochs after which fees and hits are expected to have settled.
const SETTLED_AFTER: usize = 90;
/// Epochs of the running means that are shown.
const WINDOW: usize = 30;
const DAYS_PER_YEAR: f64 = 365.0;

const COLUMNS: [&str; 27] = [
    "epoch",
    "circulating",
    "burned",
    "unemitted",
    "scheduled_unemitted",
    "fees",
    "burn_target",
    "multiplier",
    "hits",
    "z",
    "models",
    "routed",
    "won",
    "routed_effective",
    "model_stake",
    "top_tenth_share",
    "gini",
    "talent_correlation",
    "reward_per_hit",
    "bond_floor",
    "bonds",
    "submitter_fees",
    "audit_fees",
    "submitters_paid",
    "validators_paid",
    "newcomers_winning",
    "transactions",
];

/// Runs `epochs` epochs.
///
/// # Errors
/// When the ledger is broken.
pub fn run(epochs: u64, seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut world = World::new(&crate::cast::Cast {
        newcomer_every: NEWCOMER_EVERY,
        ..cast(seed)
    })?;
    let schedule = EmissionSchedule {
        total: world.chain.supply()?.emission,
        epochs: world.board.params.emission_epochs,
    };
    let mut scheduled = schedule.total;
    let mut rows = Vec::new();
    let mut books = Books::default();
    for epoch in 0..epochs {
        let facts = world.epoch()?;
        // The epoch in progress has not emitted yet.
        books.count(&facts, scheduled);
        let closed = epoch.checked_sub(1);
        let closed = closed.map(|epoch| world.chain.record(Epoch(epoch))).transpose()?;
        rows.push(row(&world, &facts, closed, scheduled));
        scheduled = scheduled.saturating_sub(schedule.emission(Epoch(epoch)));
        if let Some(settled) = epoch.checked_sub(3) {
            books.settle(&world.chain.record(Epoch(settled))?);
        }
        tick("ten years");
    }
    // The boundary emits the last epoch's part.
    world.block()?;
    books.off_schedule += u64::from(world.chain.supply()?.emission != scheduled);
    let table = Table {
        name: "decade",
        columns: COLUMNS.to_vec(),
        rows,
    };
    let mut checks = books.checks(epochs);
    if table.rows.len() > 2 * SETTLED_AFTER {
        checks.extend(settled(&table));
    }
    Ok(Study {
        checks,
        figures: figures(&table),
        tables: vec![table],
    })
}

/// What must hold to the shannon.
#[derive(Default)]
struct Books {
    unbalanced: u64,
    off_schedule: u64,
    unsettled: u64,
    misspent: u64,
    settled: u64,
}

impl Books {
    fn count(&mut self, facts: &Facts, scheduled: Shannons) {
        self.unbalanced += u64::from(facts.supply.total() != Some(MAX_SUPPLY));
        self.off_schedule += u64::from(facts.supply.emission != scheduled);
    }

    /// Everything an epoch reserved was paid or went back.
    fn settle(&mut self, record: &EpochRecord) {
        let reserved = record.reward_per_hit.0 * record.state.hits + record.validator_pot.0;
        let paid = record.paid_submitters.0 + record.paid_models.0 + record.paid_validators.0;
        self.settled += 1;
        self.unsettled += u64::from(!record.settled);
        self.misspent += u64::from(paid + record.returned.0 != reserved);
    }

    fn checks(&self, epochs: u64) -> Vec<Check> {
        vec![
            Check::new(
                "all buckets sum to ten million SOMA",
                self.unbalanced == 0,
                format!("{} of {epochs} epochs off by a shannon or more", self.unbalanced),
            ),
            Check::new(
                "emission follows the schedule exactly",
                self.off_schedule == 0,
                format!(
                    "{} of {epochs} epochs off by a shannon or more",
                    self.off_schedule
                ),
            ),
            Check::new(
                "every epoch is paid in full within three",
                self.unsettled == 0 && self.misspent == 0,
                format!(
                    "of {} epochs {} late, {} paid other than reserved",
                    self.settled, self.unsettled, self.misspent
                ),
            ),
        ]
    }
}

fn row(world: &World, facts: &Facts, closed: Option<EpochRecord>, scheduled: Shannons) -> Vec<f64> {
    let (state, supply, params) = (&facts.state, &facts.supply, &world.board.params);
    let yearly = params.burn_per_year.of(supply.circulating()).0 / params.epochs_per_year;
    // What a hit earned in the epoch before is what it earns in this one, or very nearly.
    let each = closed.map_or(0, |record| record.reward_per_hit.0 / 2);
    let earned = Shannons(each * state.hits);
    let burn_target = yearly.min(params.fee_share_max.of(earned).0);
    let stakes: Vec<f64> = facts
        .stakes
        .values()
        .copied()
        .filter(|stake| *stake > 0.0)
        .collect();
    let total: f64 = stakes.iter().sum();
    let talents: Vec<(f64, f64)> = facts
        .stakes
        .iter()
        .filter(|(_, stake)| **stake > 0.0)
        .filter_map(|(model, stake)| Some((world.trainer_of(model)?.talent, *stake)))
        .collect();
    let mut sorted = stakes.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let top: f64 = sorted.iter().take(sorted.len().div_ceil(10)).sum();
    let routed = facts.tally.routed.values().map(|count| *count as f64);
    let fees = |names: [&str; 2]| -> f64 {
        let fees = names.iter().filter_map(|name| facts.tally.fees.get(name));
        fees.map(|fee| in_soma(*fee)).sum()
    };
    let is_newcomer = |model: &&ModelId| world.trainer_of(model).is_some_and(|trainer| trainer.founded > 0);
    let newcomers = facts.tally.won.keys().filter(is_newcomer).count();
    vec![
        state.epoch.0 as f64,
        in_soma(supply.circulating()),
        in_soma(supply.burned),
        in_soma(supply.emission),
        in_soma(scheduled),
        in_soma(state.fees),
        in_soma(Shannons(burn_target)),
        state.fee_multiplier_q16 as f64 / ONE_Q16 as f64,
        state.hits as f64,
        state.difficulty.z_q16 as f64 / ONE_Q16 as f64,
        state.models as f64,
        facts.tally.routed.keys().collect::<BTreeSet<_>>().len() as f64,
        facts.tally.won.len() as f64,
        effective_number(routed),
        total,
        if total > 0.0 { top / total } else { 0.0 },
        gini(&stakes),
        rank_correlation(&talents),
        in_soma(closed.map_or(Shannons::ZERO, |record| record.reward_per_hit)),
        in_soma(state.bond_floor),
        in_soma(supply.bonds),
        fees(["commit_submission", "reveal_submission"]),
        fees(["commit_audit", "reveal_audit"]),
        facts
            .tally
            .ended
            .iter()
            .map(|(_, status)| submitters_pay(status))
            .sum(),
        in_soma(Shannons(
            facts.tally.validators_paid.values().map(|paid| paid.0).sum(),
        )),
        newcomers as f64,
        state.transactions as f64,
    ]
}

fn submitters_pay(status: &SubmissionStatus) -> f64 {
    match status {
        SubmissionStatus::Paid { submitter, .. } => in_soma(*submitter),
        _ => 0.0,
    }
}

/// What must hold once the start is over.
fn settled(table: &Table) -> Vec<Check> {
    let column = |name| -> Vec<f64> { table.column(name).skip(SETTLED_AFTER).collect() };
    let (fees, target) = (column("fees"), column("burn_target"));
    let burned: f64 = fees
        .iter()
        .zip(&target)
        .map(|(fees, target)| fees.min(*target))
        .sum();
    let share = burned / target.iter().sum::<f64>();
    let paid: f64 = column("submitters_paid").iter().sum();
    let fee_share = column("submitter_fees").iter().sum::<f64>() / paid;
    let goal = crate::scale::HITS_GOAL as f64;
    let hits = mean(column("hits")) / goal;
    let late: Vec<f64> = column("talent_correlation").into_iter().rev().take(365).collect();
    let correlation = mean(late.iter().copied());
    let (routed, models) = (mean(column("routed")), mean(column("models")));
    vec![
        Check::new(
            "the burn settles at its target",
            (0.93..=1.0).contains(&share),
            format!("{:.1}% of it after epoch {SETTLED_AFTER}", 100.0 * share),
        ),
        Check::new(
            "fees are less than a fifth of what submitters earn",
            fee_share < 0.2,
            format!("{:.1}% after epoch {SETTLED_AFTER}", 100.0 * fee_share),
        ),
        Check::new(
            "hits settle at the goal",
            (0.9..=1.1).contains(&hits),
            format!("{:.1}% of the goal after epoch {SETTLED_AFTER}", 100.0 * hits),
        ),
        Check::new(
            "stake flows to better models",
            correlation > 0.3,
            format!("rank correlation of stake and talent {correlation:.2} in the last year"),
        ),
        Check::new(
            "most models are routed to",
            routed > 0.6 * models,
            format!("{routed:.1} of {models:.1} in a mean epoch"),
        ),
    ]
}

fn figures(table: &Table) -> Vec<Figure> {
    let years: Vec<f64> = table.column("epoch").map(|epoch| epoch / DAYS_PER_YEAR).collect();
    let line = |name: &str, label: &str, ink: Ink| {
        Line::new(label, ink, years.iter().copied().zip(table.column(name)))
    };
    let smooth = |values: Vec<f64>, label: &str, ink: Ink| {
        Line::new(
            label,
            ink,
            years.iter().copied().zip(running_mean(&values, WINDOW)),
        )
    };
    let smoothed = |name: &str, label: &str, ink: Ink| smooth(table.column(name).collect(), label, ink);
    let x = Axis::linear("years");
    let burn_rate: Vec<f64> = table
        .column("fees")
        .zip(table.column("burn_target"))
        .zip(table.column("circulating"))
        .map(|((fees, target), circulating)| 100.0 * DAYS_PER_YEAR * fees.min(target) / circulating)
        .collect();
    let part_of = |fees: &str, pay: &str| -> Vec<f64> {
        let parts = table.column(fees).zip(table.column(pay));
        parts.map(|(fees, pay)| 100.0 * fees / pay.max(1.0)).collect()
    };
    let percent = |name: &str| -> Vec<f64> { table.column(name).map(|share| 100.0 * share).collect() };
    vec![
        Figure {
            name: "supply",
            title: "Supply: what is emitted follows the schedule, what is burned grows with what circulates"
                .into(),
            x: x.clone(),
            panels: vec![Panel {
                y: Axis::linear("SOMA").from(0.0, 1e7),
                lines: vec![
                    line("unemitted", "not yet emitted", Ink::Blue),
                    line("scheduled_unemitted", "", Ink::Grey).stroke(Stroke::Dashed),
                    line("circulating", "circulating", Ink::Orange),
                    line("burned", "burned", Ink::Red),
                ],
            }],
        },
        Figure {
            name: "fees",
            title:
                "Fees: a year burns 5% of the circulating supply, or what is a small part of what hits earn"
                    .into(),
            x: x.clone(),
            panels: vec![
                Panel {
                    y: Axis::linear("burned, % of circulating supply a year (mean of 30 epochs)")
                        .from(0.0, 6.0),
                    lines: vec![
                        smooth(burn_rate, "burned", Ink::Red),
                        Line::new("at most", Ink::Grey, years.iter().map(|year| (*year, 5.0)))
                            .stroke(Stroke::Dashed),
                    ],
                },
                Panel {
                    y: Axis::log("fee multiplier m"),
                    lines: vec![line("multiplier", "m", Ink::Blue)],
                },
                Panel {
                    y: Axis::linear("fees, % of what is earned by those who pay them (mean of 30 epochs)")
                        .from(0.0, 100.0),
                    lines: vec![
                        smooth(
                            part_of("submitter_fees", "submitters_paid"),
                            "submitters",
                            Ink::Orange,
                        ),
                        smooth(part_of("audit_fees", "validators_paid"), "auditors", Ink::Purple),
                    ],
                },
            ],
        },
        Figure {
            name: "stake",
            title: "Stake flows to better models, without all of it going to a few".into(),
            x: x.clone(),
            panels: vec![
                Panel {
                    y: Axis::linear("rank correlation of a model's talent and its stake").from(-0.5, 1.0),
                    lines: vec![smoothed("talent_correlation", "mean of 30 epochs", Ink::Blue)],
                },
                Panel {
                    y: Axis::linear("% of all model stake").from(0.0, 100.0),
                    lines: vec![
                        smooth(percent("top_tenth_share"), "top tenth of models", Ink::Orange),
                        smooth(percent("gini"), "Gini coefficient, %", Ink::Grey),
                    ],
                },
            ],
        },
        Figure {
            name: "models",
            title: "Models: most of those that compete are routed to, and newcomers take their share".into(),
            x,
            panels: vec![Panel {
                y: Axis::linear("models (mean of 30 epochs)").from(0.0, 60.0),
                lines: vec![
                    smoothed("models", "compete", Ink::Grey),
                    smoothed("routed", "routed to", Ink::Blue),
                    smoothed("won", "win at least once", Ink::Green),
                    smoothed("routed_effective", "routed to, if evenly", Ink::Orange),
                    smoothed("newcomers_winning", "newcomers that win", Ink::Red),
                ],
            }],
        },
    ]
}
