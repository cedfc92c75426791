//! Challengers of honest winners.

use soma_ledger::view;
use soma_types::{Shannons, params::Params};

use super::stage::{AFTER, BEFORE, CHEATING, small};
use crate::{
    chain::Actor,
    cheats::groundless_challenges,
    error::SimError,
    scale::{in_soma, soma},
    studies::Tick,
    world::World,
};

/// What challenges of honest winners earn, as a part of their bonds.
pub(super) fn challenger_gain(params: Params, seed: u64, tick: Tick<'_>) -> Result<f64, SimError> {
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
            let (now, state) = (world.board.now, world.chain.state());
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
