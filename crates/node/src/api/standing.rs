//! How a node stands, for those who watch it: its seat and what came of it by the ledger, the last block's
//! age, and room. The engine's own numbers stand beside these.

use soma_http::{Error, exposition::Exposition};
use soma_ledger::view;
use soma_types::{
    Epoch, PublicKey,
    objects::{Duty, Seat},
    transaction::PoolId,
};

use super::Shared;
use crate::consensus::public_key;

/// What the ledger says of a node's key.
#[derive(Default)]
struct Standing {
    epoch: Epoch,
    epoch_first_height: u64,
    epoch_length_blocks: u64,
    seats: usize,
    stake_shannons: u64,
    pool_shannons: u64,
    balance_shannons: u64,
    duty: Duty,
}

/// The numbers, or those that are there while a node starts.
pub async fn exposition(api: &Shared) -> Result<String, Error> {
    let mut shown = Exposition::default();
    let store = &api.services.blobs;
    shown.gauge(
        "soma_content_bytes",
        "Content in the store, what is being written included.",
        store.used_bytes(),
    );
    shown.gauge(
        "soma_content_bytes_max",
        "The most that the store takes.",
        store.limit_bytes(),
    );
    // A system that does not say leaves the number out.
    if let Ok(free) = store.free_bytes() {
        shown.gauge("soma_disk_free_bytes", "Left on the disk of the store.", free);
    }
    if let Some(tip) = api.query.tip().await {
        shown.gauge(
            "soma_block_timestamp_seconds",
            "When the last final block was proposed, since 1970.",
            tip.timestamp_ms as f64 / 1_000.0,
        );
    }
    if let Some(standing) = standing(api).await? {
        tell(&mut shown, &standing);
    }
    Ok(shown.into_text())
}

fn tell(shown: &mut Exposition, standing: &Standing) {
    let Standing { epoch, duty, .. } = standing;
    let numbers = [
        ("soma_epoch", "The ledger's epoch.", epoch.0),
        (
            "soma_epoch_first_height",
            "The epoch's first block.",
            standing.epoch_first_height,
        ),
        (
            "soma_epoch_length_blocks",
            "Blocks of the epoch.",
            standing.epoch_length_blocks,
        ),
        (
            "soma_seats",
            "Seats that this node's key has in the epoch's committee: 1, or 0.",
            standing.seats as u64,
        ),
        (
            "soma_seat_stake_shannons",
            "Stake of the seat, frozen for the epoch.",
            standing.stake_shannons,
        ),
        (
            "soma_pool_stake_shannons",
            "Stake in the validator's pool: what it earns goes there.",
            standing.pool_shannons,
        ),
        (
            "soma_account_balance_shannons",
            "Money of the validator's account: votes are paid from it.",
            standing.balance_shannons,
        ),
        (
            "soma_epoch_blocks_proposed",
            "Blocks of the epoch that this node proposed.",
            duty.blocks_proposed,
        ),
        (
            "soma_epoch_audits_assigned",
            "Audits and hearings that ended in the epoch and that this seat was drawn for.",
            duty.audits_assigned,
        ),
        (
            "soma_epoch_audits_done",
            "Of those, the ones in which it agreed with the majority.",
            duty.audits_done,
        ),
    ];
    for (name, help, value) in numbers {
        shown.gauge(name, help, value);
    }
}

/// None before genesis.
async fn standing(api: &Shared) -> Result<Option<Standing>, Error> {
    let key: PublicKey = public_key(&api.query.identity);
    let read = api.query.view(|state| {
        let Some(epoch) = view::epoch(state)? else {
            return Ok(None);
        };
        let mut standing = Standing {
            epoch: epoch.epoch,
            epoch_first_height: epoch.first_height.0,
            epoch_length_blocks: epoch.length_blocks,
            ..Standing::default()
        };
        let committee = view::committee(state, epoch.epoch)?.unwrap_or_default();
        let seat = committee.seats.iter().find(|seat| seat.network_key == key);
        if let Some(&Seat { validator, stake, .. }) = seat {
            standing.seats = 1;
            standing.stake_shannons = stake.0;
            standing.balance_shannons = view::account(state, validator)?.balance.0;
            standing.duty = view::duty(state, epoch.epoch, validator)?.unwrap_or_default();
            if let Some(pool) = view::pool(state, PoolId::Validator(validator))? {
                standing.pool_shannons = pool.stake.0;
            }
        }
        Ok(Some(standing))
    });
    Ok(read.await?)
}
