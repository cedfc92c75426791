//! Validators who cheat: one that does not work, and a cartel.

use std::{collections::BTreeSet, rc::Rc};

use soma_types::{Address, objects::SubmissionStatus, params::Params};

use super::stage::{AFTER, BEFORE, CHEATING, small};
use crate::{
    cast::Cast, cheats::FramingCartel, error::SimError, participants::Auditing, scale::in_soma, stats::mean,
    studies::Tick, world::World,
};

/// Validators of a network with a cartel, and its members: a third of the stake.
const COMMITTEE: u64 = 30;
const MEMBERS: usize = 10;

/// What an auditor's pay differs by from its peers', as a part of theirs.
pub(super) fn auditor_gain(
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

/// What a member of a framing cartel has more than its peers, as a part of their pay.
pub(super) struct Framing {
    /// Where draws convicted.
    pub(super) before: f64,
    /// With hearings.
    pub(super) after: f64,
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

/// What the cartel's members gain.
pub(super) fn framing(params: Params, seed: u64, tick: Tick<'_>) -> Result<Framing, SimError> {
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
