//! What cheating earns, as a function of the audit rate, before and after bonds got a floor and hearings
//! came.
//!
//! Each strategy runs on the ledger for some epochs at each rate, among honest submitters and auditors. What
//! a claim earns when it is not audited, what it loses when it is, and what it costs anyway are measured; the
//! two cases are then weighted by the audit rate itself, not by how often it happened to be drawn. So the
//! result is the expected gain without the noise of rare audits.
//!
//! A claim is compared with making none; withheld data with the honest find that it would have been; an
//! auditor with its honest peers of equal stake.
//!
//! So is a member of a cartel that finds honest winners false, before and after hearings. After: on the
//! ledger. Before, the majority of a draw convicted: of each winner in a draw that it holds the cartel
//! would have shared half of the bond, and lost no pay; winners and bonds are measured, and weighted by the
//! audit rate and the chance of holding a draw.

mod auditors;
mod challengers;
mod claims;
mod stage;

use std::rc::Rc;

use soma_types::{params::Params, transaction::BasisPoints};

use super::Tick;
use crate::{
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    cheats::{CopyingAuditor, LazyAuditor},
    error::SimError,
    participants::Auditing,
    report::{Check, Study, Table},
    scale::params,
};
use auditors::{auditor_gain, framing};
use challengers::challenger_gain;
use claims::{Scheme, gain};
use stage::{AFTER, BEFORE, CHEATING};

/// Audit rates, in basis points: 1% to all. The public preset's is 10%, the local one's 100%.
const RATES: [u16; 5] = [100, 300, 1_000, 3_000, 10_000];
/// The public preset's.
const STD_RATE: u16 = 1_000;
/// The local preset's.
const LOCAL_RATE: u16 = 10_000;

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = (2 * Scheme::ALL.len() as u64 + 4) * RATES.len() as u64 * (BEFORE + CHEATING + AFTER);

fn at_rate(rate: u16, bond_margin: u64) -> Params {
    Params {
        audit_rate: BasisPoints::new(rate).expect("at most the whole"),
        bond_margin,
        ..params()
    }
}

/// Runs every scheme at every rate.
///
/// # Errors
/// When the ledger is broken.
pub fn run(seed: u64, tick: Tick<'_>) -> Result<Study, SimError> {
    let mut table = Table {
        name: "cheating",
        columns: vec!["audit_rate"],
        rows: RATES
            .iter()
            .map(|rate| vec![f64::from(*rate) / 10_000.0])
            .collect(),
    };
    for (margin, names) in [(0, BEFORE_NAMES), (Params::std().bond_margin, AFTER_NAMES)] {
        for (scheme, name) in Scheme::ALL.into_iter().zip(names) {
            table.columns.push(name);
            for (row, rate) in table.rows.iter_mut().zip(RATES) {
                row.push(gain(scheme, at_rate(rate, margin), seed, tick)?);
            }
        }
    }
    let auditors: [(&'static str, Rc<dyn Auditing>); 2] = [
        ("lazy_auditor", Rc::new(LazyAuditor)),
        ("copying_auditor", Rc::new(CopyingAuditor)),
    ];
    for (name, strategy) in auditors {
        table.columns.push(name);
        for (row, rate) in table.rows.iter_mut().zip(RATES) {
            let params = at_rate(rate, Params::std().bond_margin);
            row.push(auditor_gain(&strategy, params, seed, tick)?);
        }
    }
    table.columns.push("challenger");
    for (row, rate) in table.rows.iter_mut().zip(RATES) {
        let params = at_rate(rate, Params::std().bond_margin);
        row.push(challenger_gain(params, seed, tick)?);
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for rate in RATES {
        let gains = framing(at_rate(rate, Params::std().bond_margin), seed, tick)?;
        before.push(gains.before);
        after.push(gains.after);
    }
    for (name, gains) in [("framing_before", before), ("framing", after)] {
        table.columns.push(name);
        for (row, gain) in table.rows.iter_mut().zip(gains) {
            row.push(gain);
        }
    }
    Ok(Study {
        checks: checks(&table),
        figures: vec![figure(&table)],
        tables: vec![table],
    })
}

const BEFORE_NAMES: [&str; 4] = [
    "false_claim_before",
    "own_model_before",
    "withheld_data_before",
    "copied_data_before",
];
const AFTER_NAMES: [&str; 4] = ["false_claim", "own_model", "withheld_data", "copied_data"];

fn checks(table: &Table) -> Vec<Check> {
    let at = |name: &str, rate: u16| -> f64 {
        let rates = RATES.iter().zip(table.column(name));
        rates
            .filter(|(other, _)| **other == rate)
            .map(|(_, gain)| gain)
            .sum()
    };
    let mut checks: Vec<Check> = Scheme::ALL
        .into_iter()
        .zip(AFTER_NAMES)
        .zip(BEFORE_NAMES)
        .map(|((scheme, after), before)| {
            let (std, local) = (at(after, STD_RATE), at(after, LOCAL_RATE));
            Check::new(
                format!("{} loses at every audit rate", scheme.label()),
                table.column(after).all(|gain| gain < 0.0),
                format!(
                    "{std:.2} rewards a claim at 10%, {local:.3} at 100%; without a bond floor {:.2} at 10%",
                    at(before, STD_RATE)
                ),
            )
        })
        .collect();
    let everything = ["false_claim", "own_model", "withheld_data"].map(|name| at(name, LOCAL_RATE));
    checks.push(Check::new(
        "where everything is audited a false claim costs what it takes from others",
        everything.iter().all(|gain| *gain < -0.75),
        format!(
            "{:.2}, with its own model {:.2}, withheld data {:.2} rewards",
            everything[0], everything[1], everything[2]
        ),
    ));
    let challenges: Vec<f64> = table.column("challenger").map(|gain| 100.0 * gain).collect();
    let best = challenges.iter().copied().fold(f64::MIN, f64::max);
    checks.push(Check::new(
        "challenging honest winners loses at every audit rate",
        best < 0.0,
        format!("{best:.0}% of the bonds at best"),
    ));
    let framing = |rate: u16| (100.0 * at("framing_before", rate), 100.0 * at("framing", rate));
    let ((before, after), (_, local)) = (framing(STD_RATE), framing(LOCAL_RATE));
    checks.push(Check::new(
        "a cartel that frames honest winners loses at the presets' audit rates".to_owned(),
        after < 0.0 && local < 0.0,
        format!("a third of the stake: {after:.0}% of its pay at 10%, {local:.0}% at 100%; where draws convict {before:+.0}% at 10%"),
    ));
    for (name, label) in [
        ("lazy_auditor", "a lazy auditor"),
        ("copying_auditor", "a copying auditor"),
    ] {
        let (std, local) = (at(name, STD_RATE), at(name, LOCAL_RATE));
        checks.push(Check::new(
            format!("{label} loses at the presets' audit rates"),
            std < 0.0 && local < 0.0,
            format!(
                "{:.0}% of its pay at 10%, {:.0}% at 100%",
                100.0 * std,
                100.0 * local
            ),
        ));
    }
    checks
}

fn figure(table: &Table) -> Figure {
    let rates = || table.column("audit_rate").map(|rate| 100.0 * rate);
    let zero = || Line::new("", Ink::Grey, rates().map(|rate| (rate, 0.0))).stroke(Stroke::Dashed);
    let lines = |names: [&'static str; 4]| -> Vec<Line> {
        let schemes = Scheme::ALL.into_iter().zip(names);
        let line = |(scheme, name): (Scheme, &str)| {
            Line::new(scheme.label(), scheme.ink(), rates().zip(table.column(name)))
        };
        [zero()].into_iter().chain(schemes.map(line)).collect()
    };
    let pay = |name: &str, label: &str, ink: Ink| {
        Line::new(
            label,
            ink,
            rates().zip(table.column(name).map(|share| 100.0 * share)),
        )
    };
    Figure {
        name: "cheating",
        title: "Cheating: without a bond floor it pays where audits are rare, with it never".into(),
        x: Axis::log("audit rate, % of winners (the public network audits 10%, a localnet all)"),
        panels: vec![
            Panel {
                y: Axis::linear("expected gain of a claim, in rewards of a hit: bonds by size only")
                    .from(-2.0, 1.0),
                lines: lines(BEFORE_NAMES),
            },
            Panel {
                y: Axis::linear("the same, with the bond floor").from(-2.0, 1.0),
                lines: lines(AFTER_NAMES),
            },
            Panel {
                y: Axis::linear(
                    "gain of an auditor, % of an honest one's pay; of a challenger, % of its bonds",
                )
                .from(-140.0, 10.0),
                lines: vec![
                    zero(),
                    pay("copying_auditor", "waits for others", Ink::Green),
                    pay("lazy_auditor", "votes without scoring", Ink::Purple),
                    pay("challenger", "challenges the honest", Ink::Orange),
                ],
            },
            Panel {
                y: Axis::linear("gain of a third of the stake that frames winners, % of its pay")
                    .from(-110.0, 250.0),
                lines: vec![
                    zero(),
                    pay("framing_before", "where seven auditors convict", Ink::Red),
                    pay("framing", "where the committee does", Ink::Blue),
                ],
            },
        ],
    }
}
