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
//! ledger. Before, the majority of a draw convicted: of each winner in a draw that it holds the cartel would
//! have shared half of the bond, and lost no pay; winners and bonds are measured, and weighted by the audit
//! rate and the chance of holding a draw.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use soma_ledger::view;
use soma_types::{
    Address, Shannons, SubmissionId, objects::SubmissionStatus, params::Params, transaction::BasisPoints,
};

use super::{Tick, cast};
use crate::{
    SimError,
    agents::{Auditing, Honest, Rule, Submitting, data_hash},
    chain::Actor,
    chart::{Axis, Figure, Ink, Line, Panel, Stroke},
    cheats::{
        CopiedData, CopyingAuditor, FalseClaim, FramingCartel, LazyAuditor, WithheldData,
        groundless_challenges,
    },
    facts::Facts,
    report::{Check, Study, Table},
    scale::{in_soma, params, percent, soma},
    stats::mean,
    world::{Cast, Demand, World},
};

/// Audit rates, in basis points: 1% to all. The public preset's is 10%, the local one's 100%.
const RATES: [u16; 5] = [100, 300, 1_000, 3_000, 10_000];
/// The public preset's.
const STD_RATE: u16 = 1_000;
/// The local preset's.
const LOCAL_RATE: u16 = 10_000;
/// Epochs before the cheater comes.
const BEFORE: u64 = 5;
/// Epochs in which it cheats.
const CHEATING: u64 = 8;
/// Epochs until its last claim is settled.
const AFTER: u64 = 3;

const HONEST: Honest = Honest { rule: Rule::Relaxing };

/// A way to cheat with submissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    FalseClaim,
    OwnModel,
    WithheldData,
    CopiedData,
}

impl Scheme {
    const ALL: [Self; 4] = [
        Self::FalseClaim,
        Self::OwnModel,
        Self::WithheldData,
        Self::CopiedData,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::FalseClaim => "false claim",
            Self::OwnModel => "false claim, own model",
            Self::WithheldData => "withheld data",
            Self::CopiedData => "copied data",
        }
    }

    const fn ink(self) -> Ink {
        match self {
            Self::FalseClaim => Ink::Orange,
            Self::OwnModel => Ink::Red,
            Self::WithheldData => Ink::Blue,
            Self::CopiedData => Ink::Green,
        }
    }

    /// Documents it reads in a block.
    const fn documents(self) -> f64 {
        match self {
            Self::FalseClaim | Self::OwnModel => 0.1,
            Self::WithheldData | Self::CopiedData => 1.0,
        }
    }
}

/// Validators of a network with a cartel, and its members: a third of the stake.
const COMMITTEE: u64 = 30;
const MEMBERS: usize = 10;

/// Epochs that [`run`] takes.
pub const EPOCHS: u64 = (2 * Scheme::ALL.len() as u64 + 4) * RATES.len() as u64 * (BEFORE + CHEATING + AFTER);

fn small(seed: u64, params: Params, guests: Vec<(Actor, Shannons)>) -> Cast {
    Cast {
        params,
        // Few, so that each is drawn for most audits, as on the public network for some of many.
        validators: 8,
        trainers: 12,
        submitters: 10,
        // At the rarest audits a bond is two hundred rewards.
        submitter_funds: soma(200_000),
        documents: 1.0,
        households: 0,
        demand: Demand {
            payments: 0.0,
            ..cast(seed).demand
        },
        guests,
        ..cast(seed)
    }
}

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

/// What became of one cheater's submissions.
#[derive(Default)]
struct Fate {
    mine: BTreeSet<SubmissionId>,
    ends: BTreeMap<SubmissionId, SubmissionStatus>,
    fees: f64,
}

impl Fate {
    fn follow(&mut self, facts: &Facts, cheater: Address) {
        self.mine.extend(facts.tally.commits.keys());
        let ended = facts.tally.ended.iter().filter(|(id, _)| self.mine.contains(id));
        self.ends.extend(ended.copied());
        self.fees += facts.tally.spent.get(&cheater).map_or(0.0, |fees| in_soma(*fees));
    }

    /// The mean of what those ends are worth that `worth` names, and how many those are of all commits.
    fn mean(&self, worth: impl Fn(&SubmissionStatus) -> Option<f64>) -> (f64, f64) {
        let values: Vec<f64> = self.ends.values().filter_map(worth).collect();
        let share = values.len() as f64 / self.mine.len().max(1) as f64;
        (mean(values), share)
    }
}

/// The expected gain of one commit, in rewards of a hit.
fn gain(scheme: Scheme, params: Params, seed: u64, tick: Tick<'_>) -> Result<f64, SimError> {
    let rate = f64::from(params.audit_rate.get()) / 10_000.0;
    let cheater = Actor::new("cheater", 0);
    let mut world = World::new(&small(seed, params, vec![(cheater, soma(1_000_000))]))?;
    world.watched.insert(cheater.address);
    if scheme == Scheme::OwnModel {
        let owner = world.add_trainer(cheater, soma(1_000));
        world.trainers[owner].commission = percent(100);
    }
    for _ in 0..BEFORE {
        world.epoch()?;
        tick("cheating");
    }
    let strategy: Rc<dyn Submitting> = match scheme {
        Scheme::FalseClaim => Rc::new(FalseClaim { accomplice: None }),
        Scheme::OwnModel => Rc::new(FalseClaim {
            accomplice: world.trainers.last().and_then(|owner| owner.model),
        }),
        Scheme::WithheldData => Rc::new(WithheldData(HONEST)),
        Scheme::CopiedData => Rc::new(CopiedData {
            honest: HONEST,
            shown: shown(&mut world)?,
        }),
    };
    let place = world.add_submitter(cheater, strategy, scheme.documents());
    let mut fate = Fate::default();
    let (mut rewards, mut floors) = (Vec::new(), Vec::new());
    for epoch in 0..CHEATING + AFTER {
        if epoch == CHEATING {
            world.submitters[place].documents = 0.0;
        }
        let facts = world.epoch()?;
        tick("cheating");
        if epoch < CHEATING {
            fate.follow(&facts, cheater.address);
        } else {
            // Rent and reveals of its model are no part of a claim's cost.
            let fees = fate.fees;
            fate.follow(&facts, cheater.address);
            fate.fees = fees;
        }
        let record = world.chain.record(soma_types::Epoch(facts.state.epoch.0 - 1))?;
        rewards.push(in_soma(record.reward_per_hit));
        floors.push(in_soma(record.state.bond_floor));
    }
    let own = scheme == Scheme::OwnModel;
    let (paid, paid_share) = fate.mean(|end| match end {
        SubmissionStatus::Paid {
            submitter,
            owner,
            pool,
        } => {
            let all = if own { owner.0 + pool.0 } else { 0 };
            Some(in_soma(Shannons(submitter.0 + all)))
        }
        _ => None,
    });
    let (bond, false_share) = fate.mean(|end| match end {
        SubmissionStatus::FoundFalse { bond, .. } => Some(in_soma(*bond)),
        _ => None,
    });
    let (deposit, lost_share) = fate.mean(|end| match end {
        SubmissionStatus::Expired { forfeited } => Some(in_soma(*forfeited)),
        _ => None,
    });
    // Where audits are so rare that none was drawn, what is at stake is the least bond.
    let bond = if false_share > 0.0 { bond } else { mean(floors) };
    let won = paid_share + false_share;
    let costs = fate.fees / fate.mine.len().max(1) as f64 + deposit * lost_share;
    let reward = mean(rewards);
    let honest = if scheme == Scheme::WithheldData {
        won * reward / 2.0
    } else {
        0.0
    };
    let fees = if scheme == Scheme::WithheldData {
        0.0
    } else {
        costs
    };
    Ok((won * ((1.0 - rate) * paid - rate * bond) - fees - honest) / reward)
}

/// The number of a document that has won.
fn shown(world: &mut World) -> Result<u64, SimError> {
    for number in 1.. {
        let claim = view::data_claim(&mut world.chain.state, data_hash(number))?;
        if claim.is_some_and(|claim| claim.won) {
            return Ok(number);
        }
    }
    Err(SimError::Absent("document that has won"))
}

/// What an auditor's pay differs by from its peers', as a part of theirs.
fn auditor_gain(
    strategy: &Rc<dyn Auditing>,
    params: Params,
    seed: u64,
    tick: Tick<'_>,
) -> Result<f64, SimError> {
    let mut world = World::new(&small(seed, params, Vec::new()))?;
    world.validators[0].strategy = Rc::clone(strategy);
    let cheater = world.validators[0].actor.address;
    let (mut own, mut peers) = (Vec::new(), Vec::new());
    for epoch in 0..BEFORE + CHEATING + AFTER {
        let paid = world.epoch()?.tally.validators_paid;
        tick("cheating");
        // Audits begin once there are winners, and are paid for two epochs later.
        if epoch > BEFORE + 2 {
            for (validator, amount) in paid {
                let list = if validator == cheater {
                    &mut own
                } else {
                    &mut peers
                };
                list.push(in_soma(amount));
            }
        }
    }
    Ok(mean(own) / mean(peers) - 1.0)
}

/// What challenges of honest winners earn, as a part of their bonds.
fn challenger_gain(params: Params, seed: u64, tick: Tick<'_>) -> Result<f64, SimError> {
    let challenger = Actor::new("challenger", 0);
    let funds = soma(1_000_000);
    let mut world = World::new(&small(seed, params, vec![(challenger, funds)]))?;
    let mut bonds = 0.0;
    for epoch in 0..BEFORE + CHEATING + AFTER {
        if (BEFORE..BEFORE + CHEATING).contains(&epoch) {
            // Late in the epoch, in which nobody knows the sample yet.
            world.block()?;
            while world.board.offset + 3 < world.board.now.length_blocks {
                world.block()?;
            }
            let (now, state) = (world.board.now, &mut world.chain.state);
            let mut winners = Vec::new();
            for index in 0..now.hits {
                winners.extend(view::winner_at(state, now.epoch, index)?);
            }
            let wishes = groundless_challenges(challenger, &winners);
            for winner in winners.iter().take(wishes.len()) {
                let winner = view::submission(state, *winner)?;
                let bond = winner.map_or(Shannons::ZERO, |winner| winner.bond);
                bonds += in_soma(bond.max(world.board.params.challenge_bond_min));
            }
            world.wishes = wishes;
        }
        world.epoch()?;
        tick("cheating");
    }
    Ok((in_soma(world.chain.balance(challenger)?) - in_soma(funds)) / bonds)
}

/// What a member of a framing cartel has more than its peers, as a part of their pay.
struct Framing {
    before: f64,
    after: f64,
}

/// The chance that most of `drawn` seats are `members`' among equal `seats`.
fn draws_held(seats: usize, members: usize, drawn: usize) -> f64 {
    let ways = |of: usize, take: usize| -> f64 {
        (0..take)
            .map(|at| (of as f64 - at as f64) / (at as f64 + 1.0))
            .product()
    };
    let held = (drawn / 2 + 1..=drawn.min(members))
        .map(|ours| ways(members, ours) * ways(seats - members, drawn - ours));
    held.sum::<f64>() / ways(seats, drawn)
}

fn framing(params: Params, seed: u64, tick: Tick<'_>) -> Result<Framing, SimError> {
    let audited = f64::from(params.audit_rate.get()) / 10_000.0;
    let held = draws_held(COMMITTEE as usize, MEMBERS, params.auditors as usize);
    let mut world = World::new(&Cast {
        validators: COMMITTEE,
        ..small(seed, params, Vec::new())
    })?;
    let members = world.validators.iter().take(MEMBERS);
    let members: Rc<BTreeSet<Address>> = Rc::new(members.map(|one| one.actor.address).collect());
    for validator in world.validators.iter_mut().take(MEMBERS) {
        validator.strategy = Rc::new(FramingCartel {
            members: Rc::clone(&members),
        });
    }
    let (mut own, mut peers) = (0.0, 0.0);
    let (mut exposed, mut taken) = (0.0, 0.0);
    for epoch in 0..BEFORE + CHEATING + AFTER {
        let facts = world.epoch()?;
        tick("cheating");
        if epoch <= BEFORE + 2 {
            continue;
        }
        for (validator, amount) in &facts.tally.validators_paid {
            let sum = if members.contains(validator) {
                &mut own
            } else {
                &mut peers
            };
            *sum += in_soma(*amount);
        }
        for (_, status) in &facts.tally.ended {
            if let SubmissionStatus::FoundFalse { bond, .. } = status {
                taken += in_soma(*bond) / 2.0;
            }
        }
        exposed += facts.state.hits as f64 * in_soma(facts.state.bond_floor) / 2.0;
    }
    let honest = peers / (COMMITTEE as f64 - MEMBERS as f64) * MEMBERS as f64;
    Ok(Framing {
        before: exposed * audited * held / honest,
        after: (own + taken) / honest - 1.0,
    })
}

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
