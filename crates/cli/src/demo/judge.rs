//! From what happened to the report: sums, and the checks that must hold. Pure.

use std::{collections::BTreeMap, time::Duration};

use soma_types::{
    Shannons,
    api::{EpochView, SubmissionView},
    objects::{AuditOutcome, EpochRecord, SubmissionStatus},
};

use crate::demo::{
    cast::Cast,
    compete::Record,
    measure::Measured,
    report::{
        AuditCounts, CheaterReport, Check, MixtureReport, ModelReport, Percentiles, Report, Rewards,
        SubmissionCounts, SupplyReport, TargetCounts,
    },
};

/// Hits that a demo must have.
const HITS_MIN: u64 = 20;

/// Draws up the report.
pub fn report(
    record: &Record,
    cast: &Cast,
    measured: &Measured,
    generalist: BTreeMap<String, f64>,
    elapsed: Duration,
) -> Report {
    let models: Vec<ModelReport> = record
        .models
        .iter()
        .zip(&cast.specialists)
        .enumerate()
        .map(|(index, (view, specialist))| ModelReport {
            id: view.model.id,
            name: format!("{}-specialist", specialist.name),
            domain: specialist.name.clone(),
            stake_shannons: view.pool.stake,
            wins: view.model.hits_total,
            reward_shannons: view.model.rewards_total,
            bits_per_byte: measured.expert(index),
        })
        .collect();
    let status = &record.statuses[0];
    let supply = &record.supplies[0];
    let records: Vec<&EpochRecord> = record
        .epochs
        .iter()
        .filter_map(|epoch| epoch.record.as_ref())
        .collect();
    let hits = sum(&record.epochs, |epoch| epoch.state.hits);
    let audited: u64 = records.iter().map(|record| record.audited).sum();
    let found_false: u64 = records.iter().map(|record| record.found_false).sum();
    let received: u64 = record
        .statuses
        .iter()
        .map(|status| status.network_bytes_received)
        .sum();
    let mixed = measured.mixed();
    let best = mixed.as_ref().map_or(0, soma_model::MixtureScore::best_expert);
    let mixture = MixtureReport {
        bits_per_byte: mixed
            .as_ref()
            .map_or(f64::NAN, soma_model::MixtureScore::mixture_bits_per_byte),
        best_single_bits_per_byte: mixed
            .as_ref()
            .map_or(f64::NAN, |mixed| mixed.experts_bits_per_byte()[best]),
        best_single_model: models[best].name.clone(),
        per_domain: measured.mixture(),
    };
    let cheater = cheater(record);
    let mut report = Report {
        elapsed_s: elapsed.as_secs_f64(),
        training_s: cast.training.as_secs_f64(),
        epochs: status.epoch.0 + 1,
        blocks: status.height.0,
        finality_ms: Percentiles {
            p50: status.finality_ms.p50,
            p95: status.finality_ms.p95,
        },
        validators: status.validators,
        models,
        generalist_bits_per_byte: generalist,
        submissions: SubmissionCounts {
            committed: sum(&record.epochs, |epoch| epoch.state.submissions_committed),
            revealed: sum(&record.epochs, |epoch| epoch.state.submissions_revealed),
            won: hits,
            lost_race: count(record, |status| {
                matches!(status, SubmissionStatus::LostRace { .. })
            }),
            rejected: record.rejected.clone(),
        },
        targets: TargetCounts {
            opened: sum(&record.epochs, |epoch| epoch.state.targets_opened),
            hit: hits,
        },
        audits: AuditCounts {
            done: audited,
            valid: audited - found_false,
            invalid: found_false,
        },
        rewards: Rewards {
            submitters: total(&records, |record| record.paid_submitters),
            models: total(&records, |record| record.paid_models),
            validators: total(&records, |record| record.paid_validators),
        },
        supply: SupplyReport {
            initial: supply.initial,
            emitted: supply.emitted,
            burned: supply.burned,
            expected: supply.expected,
            actual: supply.actual,
        },
        network_bytes_per_hit: received / hits.max(1),
        competing_epochs: record.epochs.iter().filter(|epoch| epoch.state.hits > 0).count() as u64,
        roles: record.roles.clone(),
        mixture,
        cheater,
        checks: Vec::new(),
    };
    report.checks = checks(record, cast, measured, &report);
    report
}

fn checks(record: &Record, cast: &Cast, measured: &Measured, report: &Report) -> Vec<Check> {
    let exact = record
        .supplies
        .iter()
        .all(|supply| supply.actual == supply.expected);
    let validators = record.statuses.len();
    let sound = record
        .models
        .iter()
        .filter(|view| record.sound.get(&view.model.id) == Some(&validators))
        .count();
    // Each validator's own storage against the root that the chain agreed on at that height.
    let agree = record
        .roots
        .iter()
        .zip(&record.blocks)
        .filter(|((height, root), block)| (block.height, block.state_root) == (*height, *root));
    let agree = agree.count();
    let (height, root) = record.roots[0];
    let specialists = cast.specialists.iter().enumerate();
    let astray: Vec<&str> = specialists
        .filter(|(index, specialist)| measured.best_in(&specialist.name) != Some(*index))
        .map(|(_, specialist)| specialist.name.as_str())
        .collect();
    let losses = losses(record);
    let check = |name, passed, detail: String| Check { name, passed, detail };
    vec![
        check(
            "supply exact",
            exact,
            format!(
                "{} of {} shannons, at every validator",
                report.supply.actual.0, report.supply.expected.0
            ),
        ),
        check(
            "models as committed",
            sound == record.models.len(),
            format!(
                "{sound} of {} found sound by all {validators} auditors",
                record.models.len()
            ),
        ),
        check(
            "one state",
            agree == validators,
            format!("{agree} of {validators} validators store the agreed root, {root} at height {height}"),
        ),
        check(
            "whole beats parts",
            report.mixture.bits_per_byte < report.mixture.best_single_bits_per_byte,
            format!(
                "{:.3} against {:.3} bits per byte",
                report.mixture.bits_per_byte, report.mixture.best_single_bits_per_byte
            ),
        ),
        check(
            "specialists lead at home",
            astray.is_empty(),
            if astray.is_empty() {
                "each in its own domain".into()
            } else {
                format!("not in {}", astray.join(", "))
            },
        ),
        check(
            "enough hits",
            report.targets.hit >= HITS_MIN,
            format!("{}, at least {HITS_MIN}", report.targets.hit),
        ),
        check(
            "cheater caught",
            report.cheater.won > 0
                && report.cheater.caught == report.cheater.won
                && !report.cheater.bond_lost.is_zero(),
            format!(
                "{} false winners, {} found false, {} SOMA of bond lost",
                report.cheater.won, report.cheater.caught, report.cheater.bond_lost
            ),
        ),
        check(
            "honest parties whole",
            losses.is_empty(),
            if losses.is_empty() {
                "no bond, deposit, stake or duty lost".into()
            } else {
                losses.join("; ")
            },
        ),
    ]
}

/// How the cheater fared.
fn cheater(record: &Record) -> CheaterReport {
    let mut report = CheaterReport {
        won: 0,
        caught: 0,
        bond_lost: Shannons::ZERO,
    };
    for view in record
        .submissions
        .iter()
        .filter(|view| record.forged.contains(&view.submission.id))
    {
        match view.submission.status {
            SubmissionStatus::Won | SubmissionStatus::Paid { .. } => report.won += 1,
            SubmissionStatus::FoundFalse { bond, .. } => {
                report.won += 1;
                report.caught += 1;
                report.bond_lost = report.bond_lost.checked_add(bond).unwrap_or(report.bond_lost);
            }
            _ => {}
        }
    }
    report
}

/// What honest participants lost, in words.
fn losses(record: &Record) -> Vec<String> {
    let mut losses = Vec::new();
    for view in &record.submissions {
        let id = view.submission.id;
        if view.submission.submitter != record.cheater {
            match view.submission.status {
                SubmissionStatus::FoundFalse { verdict, .. } => {
                    losses.push(format!("honest submission {id} was found false ({verdict:?})"));
                }
                SubmissionStatus::Expired { forfeited } if !forfeited.is_zero() => {
                    losses.push(format!("submission {id} lost its deposit of {forfeited} SOMA"));
                }
                _ => {}
            }
        }
        if let Some(count) = view.audit_outcome.as_ref().map(AuditOutcome::decisive)
            && (count.majority.is_none() || count.voters().any(|(_, agreed)| !agreed))
        {
            losses.push(format!("the audit of {id} was not unanimous"));
        }
    }
    for view in &record.models {
        if view.model.retiring.is_some() {
            losses.push(format!("model {} was made to stop", view.model.id));
        }
    }
    losses
}

fn count(record: &Record, is: impl Fn(&SubmissionStatus) -> bool) -> u64 {
    record
        .submissions
        .iter()
        .filter(|view: &&SubmissionView| is(&view.submission.status))
        .count() as u64
}

fn sum(epochs: &[EpochView], of: impl Fn(&EpochView) -> u64) -> u64 {
    epochs.iter().map(of).sum()
}

fn total(records: &[&EpochRecord], of: impl Fn(&EpochRecord) -> Shannons) -> Shannons {
    Shannons(records.iter().map(|record| of(record).0).sum())
}
