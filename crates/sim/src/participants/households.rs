//! Households: they pay each other, and keep most of what they own staked where it earns most, as far as
//! they can tell: each looks at a few pools at a time.

use rand::{RngExt as _, seq::IndexedRandom as _};
use soma_types::{
    Shannons, TransactionKind,
    transaction::{PoolId, Withdrawal},
};

use crate::{
    board::{Board, PoolView},
    chain::Actor,
    scale::{in_soma, soma},
    space::Rng,
};

/// Chance that a household looks after its stake in an epoch.
const ATTENTION: f64 = 0.1;
/// Pools it compares.
const CHOICES: usize = 5;
/// It leaves a pool whose growth is below this part of what it could have.
const LOYALTY: f64 = 0.75;
/// What it keeps at hand.
const AT_HAND: Shannons = soma(300);

/// A household.
#[derive(Clone, Debug)]
pub struct Household {
    /// Its account.
    pub actor: Actor,
    /// Where it has stake.
    pub pools: Vec<PoolId>,
}

/// The pool with the most growth among a few drawn at random.
fn best(board: &Board, draw: &mut Rng) -> Option<PoolView> {
    board
        .pools
        .sample(draw, CHOICES)
        .copied()
        .max_by(|a, b| a.growth.total_cmp(&b.growth))
}

/// What a household with this `balance` does with its stake now.
pub fn stake_moves(
    household: &Household,
    board: &Board,
    balance: Shannons,
    draw: &mut Rng,
) -> Vec<TransactionKind> {
    let mut moves = Vec::new();
    if !draw.random_bool(ATTENTION) {
        return moves;
    }
    let Some(best) = best(board, draw) else {
        return moves;
    };
    let spare = balance.saturating_sub(AT_HAND);
    if in_soma(spare) > 1.0 {
        moves.push(TransactionKind::AddStake {
            pool: best.id,
            amount: spare,
        });
    }
    let growth = |id: &PoolId| {
        board
            .pools
            .iter()
            .find(|pool| pool.id == *id)
            .map_or(0.0, |pool| pool.growth)
    };
    let worst = household
        .pools
        .iter()
        .filter(|id| **id != best.id)
        .min_by(|a, b| growth(a).total_cmp(&growth(b)));
    if let Some(worst) = worst.filter(|id| growth(id) < LOYALTY * best.growth) {
        moves.push(TransactionKind::WithdrawStake {
            pool: *worst,
            amount: Withdrawal::All,
        });
    }
    moves
}
