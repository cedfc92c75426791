//! Transactions: whether they are admitted, and what they do.
//!
//! One that is *refused* is not included and costs nothing. One that is admitted pays its fee and uses up
//! its nonce; when it then *fails*, nothing else changes, and its receipt names the reason.

use soma_types::{
    Receipt, Rejection, Shannons, VerifiedTransaction,
    objects::Account,
    receipt::{Created, Outcome},
    transaction::{TRANSACTION_BYTES_MAX, TransactionKind},
};

use crate::{
    block::BlockInfo,
    error::{Error, OrBroken, Stop},
    ledger::{Hot, Ledger},
    state::{Overlay, State},
    tables::ACCOUNTS,
    terms,
};

/// Why a transaction would be refused, in order of precedence; else its fee and its sender's account.
fn admit(ledger: &mut Ledger<'_>, transaction: &VerifiedTransaction) -> Result<(Shannons, Account), Stop> {
    let body = transaction.transaction();
    let size_bytes = transaction.size_bytes();
    let limit_bytes = TRANSACTION_BYTES_MAX as u64;
    if size_bytes > limit_bytes {
        return Err(Rejection::TooLarge {
            size_bytes,
            limit_bytes,
        }
        .into());
    }
    let chain = ledger.hot.network.chain;
    if body.chain != chain {
        return Err(Rejection::WrongChain {
            given: body.chain,
            expected: chain,
        }
        .into());
    }
    let account = ledger.account(&transaction.sender())?;
    let (given, expected) = (body.nonce, account.nonce);
    if given < expected {
        return Err(Rejection::NonceUsed { given, expected }.into());
    }
    if given > expected {
        return Err(Rejection::NonceAhead { given, expected }.into());
    }
    let fee = terms::fee(&ledger.hot.params, &ledger.hot.now, transaction)?;
    if fee > account.balance {
        return Err(Rejection::CannotPayFee {
            balance: account.balance,
            fee,
        }
        .into());
    }
    Ok((fee, account))
}

/// Executes one transaction on `state`, which is changed only when it is included.
pub(crate) fn apply(
    state: &mut dyn State,
    block: &BlockInfo,
    hot: Hot,
    transaction: &VerifiedTransaction,
    index: u32,
) -> Result<(Hot, Receipt), Stop> {
    let sender = transaction.sender();
    let mut overlay = Overlay::new(state);
    let mut ledger = Ledger {
        state: &mut overlay,
        block,
        hot,
        events: Vec::new(),
    };
    let (fee, mut account) = admit(&mut ledger, transaction)?;
    let balance = account.balance;

    // It is included: the fee is paid whatever happens.
    ledger.charge(&mut account, fee)?;
    account.nonce = account.nonce.checked_add(1).or_broken("a nonce overflowed")?;
    ledger.set(&ACCOUNTS, &sender, &account);
    ledger.hot.now.transactions += 1;
    let Ledger { hot: paid, .. } = ledger;

    let mut inner = Overlay::new(&mut overlay);
    let mut ledger = Ledger {
        state: &mut inner,
        block,
        hot: paid.clone(),
        events: Vec::new(),
    };
    let (hot, outcome, events) = match execute(&mut ledger, transaction) {
        Ok(created) => {
            let Ledger { hot, events, .. } = ledger;
            inner.commit();
            (hot, Outcome::Applied { created }, events)
        }
        Err(Stop::Rejected(rejection)) => (
            paid,
            Outcome::Failed {
                rejection: *rejection,
            },
            Vec::new(),
        ),
        Err(stop) => return Err(stop),
    };
    debug_assert!(
        {
            let left = ACCOUNTS.get(&mut overlay, &sender)?.unwrap_or_default().balance;
            let outlay = terms::outlay(&hot.params, &hot.now, transaction);
            u128::from(left.0) + u128::from(fee.0) + u128::from(outlay.0) >= u128::from(balance.0)
        },
        "{} takes more than its outlay",
        transaction.transaction().kind.name()
    );
    debug_assert_eq!(
        hot.check_supply(),
        Ok(()),
        "{}",
        transaction.transaction().kind.name()
    );
    overlay.commit();
    let hash = transaction.hash();
    Ok((
        hot,
        Receipt {
            transaction: hash,
            sender,
            height: block.height,
            index,
            fee,
            outcome,
            events,
        },
    ))
}

/// What the transaction asks for.
fn execute(ledger: &mut Ledger<'_>, transaction: &VerifiedTransaction) -> Result<Option<Created>, Stop> {
    use TransactionKind as Kind;
    let (sender, hash) = (transaction.sender(), transaction.hash());
    match &transaction.transaction().kind {
        Kind::Transfer { payments } => ledger.transfer(&sender, payments)?,
        Kind::AddStake { pool, amount } => ledger.add_stake(&sender, *pool, *amount)?,
        Kind::WithdrawStake { pool, amount } => ledger.withdraw_stake(&sender, *pool, *amount)?,
        Kind::CreateModel {
            commission,
            stake,
            architecture,
        } => {
            let model = ledger.create_model(&sender, &hash, *commission, *stake, *architecture)?;
            return Ok(Some(Created::Model(model)));
        }
        Kind::CommitModel {
            model,
            url,
            size_bytes,
            hash,
            embedding,
        } => {
            ledger.commit_model(&sender, model, url, *size_bytes, *hash, *embedding)?;
        }
        Kind::RevealModel {
            model,
            key,
            embedding,
        } => {
            ledger.reveal_model(&sender, model, *key, embedding)?;
        }
        Kind::SetModelCommission { model, commission } => {
            ledger.set_model_commission(&sender, model, *commission)?;
        }
        Kind::DeactivateModel { model } => ledger.deactivate_model(&sender, model)?,
        Kind::CommitSubmission { target, commitment } => {
            let submission = ledger.commit_submission(&sender, &hash, target, *commitment)?;
            return Ok(Some(Created::Submission(submission)));
        }
        Kind::RevealSubmission {
            submission,
            salt,
            reveal,
        } => {
            ledger.reveal_submission(&sender, submission, salt, reveal)?;
        }
        Kind::CommitAudit {
            submission,
            commitment,
        } => ledger.commit_audit(&sender, submission, *commitment)?,
        Kind::RevealAudit {
            submission,
            salt,
            verdict,
            transcript,
        } => {
            ledger.reveal_audit(&sender, submission, salt, *verdict, *transcript)?;
        }
        Kind::ReportModel { model, fault } => ledger.report_model(&sender, model, *fault)?,
        Kind::RegisterValidator {
            network_key,
            proof,
            commission,
            stake,
        } => {
            ledger.register_validator(&sender, *network_key, proof, *commission, *stake)?;
        }
        Kind::LeaveValidator => ledger.leave_validator(&sender)?,
        Kind::SetValidatorCommission { commission } => {
            ledger.set_validator_commission(&sender, *commission)?;
        }
        Kind::SetRentVote { rent_per_mib_epoch } => ledger.set_rent_vote(&sender, *rent_per_mib_epoch)?,
        Kind::ChallengeSubmission { submission } => ledger.challenge_submission(&sender, submission)?,
        Kind::ProposeUpgrade { upgrade } => {
            let proposal = ledger.propose_upgrade(&sender, upgrade)?;
            return Ok(Some(Created::Proposal(proposal)));
        }
        Kind::VoteUpgrade { proposal, ballot } => ledger.vote_upgrade(&sender, *proposal, *ballot)?,
        Kind::ReportEquivocation { evidence } => ledger.report_equivocation(evidence)?,
    }
    Ok(None)
}

/// The block that would follow, as far as it is known before it exists.
fn next_block(hot: &Hot) -> BlockInfo {
    BlockInfo {
        height: hot.counters.height.next(),
        seed: hot.now.seed,
        timestamp_ms: hot.counters.timestamp_ms,
        proposer: None,
    }
}

/// What the transaction would do if it were next. Changes nothing.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn simulate(
    state: &mut dyn State,
    transaction: &VerifiedTransaction,
) -> Result<Result<Receipt, Rejection>, Error> {
    let hot = Hot::load(state).map_err(Stop::expect_no_rejection)?;
    let block = next_block(&hot);
    let mut scratch = Overlay::new(state);
    match apply(&mut scratch, &block, hot, transaction, 0) {
        Ok((_, receipt)) => Ok(Ok(receipt)),
        Err(Stop::Rejected(rejection)) => Ok(Err(*rejection)),
        Err(stop) => Err(stop.expect_no_rejection()),
    }
}
