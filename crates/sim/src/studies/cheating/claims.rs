//! Submitters who cheat.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use soma_ledger::view;
use soma_types::{Address, Epoch, Shannons, SubmissionId, objects::SubmissionStatus, params::Params};

use super::stage::{AFTER, BEFORE, CHEATING, small};
use crate::{
    chain::Actor,
    chart::Ink,
    cheats::{CopiedData, FalseClaim, WithheldData},
    error::SimError,
    facts::Facts,
    participants::{Honest, Rule, Submitting, data_hash},
    scale::{in_soma, percent, soma},
    stats::mean,
    studies::Tick,
    world::World,
};

const HONEST: Honest = Honest { rule: Rule::Relaxing };

/// A way to cheat with submissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    FalseClaim,
    OwnModel,
    WithheldData,
    CopiedData,
}

impl Scheme {
    pub(super) const ALL: [Self; 4] = [
        Self::FalseClaim,
        Self::OwnModel,
        Self::WithheldData,
        Self::CopiedData,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::FalseClaim => "false claim",
            Self::OwnModel => "false claim, own model",
            Self::WithheldData => "withheld data",
            Self::CopiedData => "copied data",
        }
    }

    pub(super) const fn ink(self) -> Ink {
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
pub(super) fn gain(scheme: Scheme, params: Params, seed: u64, tick: Tick<'_>) -> Result<f64, SimError> {
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
        let record = world.chain.record(Epoch(facts.state.epoch.0 - 1))?;
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
        let claim = view::data_claim(world.chain.state(), data_hash(number))?;
        if claim.is_some_and(|claim| claim.won) {
            return Ok(number);
        }
    }
    Err(SimError::Absent("document that has won"))
}
