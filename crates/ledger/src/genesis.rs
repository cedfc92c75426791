//! The first state.

use std::sync::Arc;

use soma_routing::RoutingTable;
use soma_types::{
    Epoch, Height, Seed, Shannons,
    amount::MAX_SUPPLY,
    genesis::{EmissionSchedule, Genesis},
    objects::{Account, Committee, EpochState, Seat, SupplyBreakdown},
    params::Params,
    transaction::PoolId,
    upgrade::ProtocolVersion,
};

use crate::{
    block::BlockInfo,
    error::{Broken, Error, Stop},
    ledger::{Hot, Ledger},
    market::{difficulty, routing::record_of},
    money::{bonds::bond_floor, fees::MULTIPLIER_ONE_Q16},
    state::{Overlay, State},
    tables::{ACCOUNTS, COMMITTEES, Counters, NETWORK, NetworkRecord, PARAMS, ROUTING},
};

pub use crate::tables::NetworkRecord as Network;

/// Epoch 0 before its first block.
fn first_epoch(params: &Params, emission: &EmissionSchedule, committee: u32) -> EpochState {
    EpochState {
        epoch: Epoch::ZERO,
        first_height: Height::ZERO,
        length_blocks: params.epoch_blocks,
        protocol_version: ProtocolVersion::FIRST,
        architecture: params.architecture,
        seed: Seed::default(),
        started_ms: 0,
        fee_multiplier_q16: MULTIPLIER_ONE_Q16,
        rent_per_mib_epoch: params.rent_per_mib_epoch,
        audit_rate: params.audit_rate,
        auditors: params.auditors,
        unbonding_epochs: params.unbonding_epochs,
        bond_floor: bond_floor(params, emission.emission(Epoch::ZERO), Shannons::ZERO),
        challenge_seed: None,
        difficulty: difficulty::start(params),
        targets_opened: 0,
        submissions_committed: 0,
        submissions_revealed: 0,
        hits: 0,
        models: 0,
        committee,
        transactions: 0,
        fees: Shannons::ZERO,
        rent: Shannons::ZERO,
        forfeits: Shannons::ZERO,
    }
}

/// Writes the first state of a network into an empty `state`. Genesis is block 0 of epoch 0.
///
/// # Errors
/// [`Error::Genesis`] when the genesis is not valid, [`Error::Broken`] when the state is not empty.
pub fn initialize(state: &mut dyn State, genesis: &Genesis) -> Result<Network, Error> {
    genesis.validate()?;
    if state.get(&NETWORK.key(&()))?.is_some() {
        return Err(Broken("a genesis for a state that is not empty").into());
    }
    let supply = genesis.supply()?;
    let emission = MAX_SUPPLY.saturating_sub(supply);
    let network = NetworkRecord {
        chain: genesis.chain_id(),
        name: genesis.network.clone(),
        emission: EmissionSchedule {
            total: emission,
            epochs: genesis.params.emission_epochs,
        },
        genesis_supply: supply,
        weights: genesis.weights.clone(),
    };
    let block = BlockInfo {
        height: Height::ZERO,
        seed: Seed::default(),
        timestamp_ms: genesis.timestamp_ms,
        proposer: None,
    };
    let staked = genesis.validators.iter().map(|validator| validator.stake.0).sum();
    let hot = Hot {
        network: Arc::new(network.clone()),
        params: Arc::new(genesis.params.clone()),
        now: first_epoch(
            &genesis.params,
            &network.emission,
            genesis.validators.len() as u32,
        ),
        supply: SupplyBreakdown {
            balances: supply.saturating_sub(Shannons(staked)),
            pools: Shannons(staked),
            emission,
            ..SupplyBreakdown::default()
        },
        counters: Counters {
            timestamp_ms: genesis.timestamp_ms,
            ..Counters::default()
        },
    };
    hot.check_supply()?;
    let mut overlay = Overlay::new(state);
    let mut ledger = Ledger {
        state: &mut overlay,
        block: &block,
        hot,
        events: Vec::new(),
    };
    fill(&mut ledger, genesis).map_err(Stop::expect_no_rejection)?;
    let Ledger { hot, .. } = ledger;
    hot.store(&mut overlay);
    overlay.commit();
    Ok(network)
}

fn fill(ledger: &mut Ledger<'_>, genesis: &Genesis) -> Result<(), Stop> {
    ledger.set(&NETWORK, &(), &ledger.hot.network.as_ref().clone());
    ledger.set(&PARAMS, &(), &genesis.params);
    for funded in &genesis.accounts {
        ledger.set(
            &ACCOUNTS,
            &funded.address,
            &Account {
                balance: funded.balance,
                nonce: 0,
            },
        );
    }
    let mut seats = Vec::with_capacity(genesis.validators.len());
    for validator in &genesis.validators {
        ledger.genesis_stake(
            PoolId::Validator(validator.address),
            &validator.address,
            validator.stake,
        )?;
        ledger.list_validator(&validator.address, validator.network_key, validator.commission);
        seats.push(Seat {
            validator: validator.address,
            network_key: validator.network_key,
            stake: validator.stake,
            commission: validator.commission,
        });
    }
    seats.sort_by_key(|seat| (std::cmp::Reverse(seat.stake), seat.validator));
    ledger.set(&COMMITTEES, &Epoch::ZERO, &Committee { seats });
    let table = RoutingTable::new(genesis.params.architecture.embedding_dim);
    ledger.set(&ROUTING, &(), &record_of(&table));
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Some epoch's state, for unit tests.
    pub(crate) fn epoch_state() -> EpochState {
        let emission = EmissionSchedule {
            total: MAX_SUPPLY,
            epochs: 100,
        };
        first_epoch(&Params::local(), &emission, 4)
    }
}
