//! What a transaction has to meet besides its place in its sender's order, and the most that it takes: of
//! one epoch, so that a mempool can ask without the state.

use soma_types::{
    Epoch, Rejection, Shannons, VerifiedTransaction, objects::EpochState, params::Params,
    transaction::TransactionKind as Kind,
};

use crate::{
    error::{Error, Stop},
    market::models::rent,
    state::State,
    tables::{EPOCH, PARAMS},
};

/// The terms of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    params: Params,
    now: EpochState,
}

impl Terms {
    /// The terms in force; `None` before genesis.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Broken`].
    pub fn load(state: &mut dyn State) -> Result<Option<Self>, Error> {
        let mut read = || {
            state.prefetch(&[PARAMS.key(&()), EPOCH.key(&())])?;
            Ok((PARAMS.get(state, &())?, EPOCH.get(state, &())?))
        };
        let (params, now) = read().map_err(Stop::expect_no_rejection)?;
        Ok(params.zip(now).map(|(params, now)| Self { params, now }))
    }

    /// Their epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.now.epoch
    }

    /// The fee of `transaction`.
    ///
    /// # Errors
    /// [`Rejection::Expired`] or [`Rejection::FeeAboveLimit`].
    pub fn fee(&self, transaction: &VerifiedTransaction) -> Result<Shannons, Rejection> {
        fee(&self.params, &self.now, transaction)
    }

    /// The most that executing `transaction` takes from its sender's balance besides the fee. Nothing but its
    /// own transactions lessens a balance.
    #[must_use]
    pub fn outlay(&self, transaction: &VerifiedTransaction) -> Shannons {
        outlay(&self.params, &self.now, transaction)
    }
}

/// See [`Terms::fee`].
pub(crate) fn fee(
    params: &Params,
    now: &EpochState,
    transaction: &VerifiedTransaction,
) -> Result<Shannons, Rejection> {
    let body = transaction.transaction();
    if now.epoch > body.expires {
        return Err(Rejection::Expired {
            expires: body.expires,
            now: now.epoch,
        });
    }
    let fee = now.fee_of(params, transaction.size_bytes());
    if fee > body.max_fee {
        return Err(Rejection::FeeAboveLimit {
            fee,
            max_fee: body.max_fee,
        });
    }
    Ok(fee)
}

/// See [`Terms::outlay`].
pub(crate) fn outlay(params: &Params, now: &EpochState, transaction: &VerifiedTransaction) -> Shannons {
    match &transaction.transaction().kind {
        // As if each payee were new. A sum beyond u64 is beyond any balance.
        Kind::Transfer { payments } => payments
            .iter()
            .try_fold(Shannons::ZERO, |sum, payment| {
                sum.checked_add(payment.amount)?.checked_add(params.account_price)
            })
            .unwrap_or(Shannons(u64::MAX)),
        Kind::AddStake { amount, .. } => *amount,
        Kind::CreateModel { stake, .. } | Kind::RegisterValidator { stake, .. } => *stake,
        Kind::CommitModel { size_bytes, .. } => rent(params, now, *size_bytes),
        Kind::CommitSubmission { .. } => params.submission_deposit,
        Kind::RevealSubmission { reveal, .. } => now.bond_of(params, reveal.data_size_bytes),
        // As much as the winner's bond, which the state alone knows.
        Kind::ChallengeSubmission { .. } => Shannons(u64::MAX),
        Kind::WithdrawStake { .. }
        | Kind::RevealModel { .. }
        | Kind::SetModelCommission { .. }
        | Kind::DeactivateModel { .. }
        | Kind::CommitAudit { .. }
        | Kind::RevealAudit { .. }
        | Kind::ReportModel { .. }
        | Kind::LeaveValidator
        | Kind::SetValidatorCommission { .. }
        | Kind::SetRentVote { .. }
        | Kind::ProposeUpgrade { .. }
        | Kind::VoteUpgrade { .. }
        | Kind::ReportEquivocation { .. } => Shannons::ZERO,
    }
}
