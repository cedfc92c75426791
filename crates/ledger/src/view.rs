//! Reads, for the API and for nodes. They never change the state.
//!
//! Each returns `Ok(None)` where there is nothing under the name given, and [`Error::Missing`] where the
//! state has not loaded what is needed: load and call again.

use std::collections::BTreeSet;

use soma_types::{
    Address, ContentHash, Embedding, Epoch, ModelId, Shannons, SubmissionId, TargetId,
    objects::{
        Account, AuditOutcome, AuditStage, AuditVote, Committee, DataClaim, Duty, EpochRecord, EpochState,
        Model, Pool, Shares, Submission, SupplyBreakdown, Target, TargetStatus, Validator,
    },
    params::Params,
    transaction::PoolId,
    upgrade::Proposal,
};

use crate::{
    audit::{draw::is_sampled, hearing::Turn},
    block::BlockInfo,
    error::{Error, OrBroken, Stop},
    ledger::{Hot, Ledger},
    stake::pool::{face_value, worth},
    state::State,
    tables,
    upgrades::Support,
};

pub use crate::tables::{Counters, NetworkRecord};

type Read<T> = Result<T, Error>;

/// What one account holds in one pool, worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stake {
    /// The pool.
    pub pool: PoolId,
    /// Its shares.
    pub shares: Shares,
    /// The stake that counts: what the shares are worth now, and what counts but is not shares yet.
    pub counting: Shannons,
    /// Added in this epoch, counting from the next.
    pub pending: Shannons,
}

/// A winner that is audited in the current epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditTask {
    /// The winner.
    pub submission: Submission,
    /// Its target, with the models to score.
    pub target: Target,
    /// Whose votes on it are taken.
    pub polled: Polled,
}

/// Whose votes on a winner are taken now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The stage of its audit.
    pub stage: AuditStage,
    /// Its auditors, or in a hearing the whole committee.
    pub voters: Vec<Address>,
}

fn read<T>(result: Result<T, Stop>) -> Read<T> {
    result.map_err(Stop::expect_no_rejection)
}

macro_rules! getters {
    ($( $(#[$doc:meta])* $name:ident($($key:ident: $type:ty),*) -> $value:ty = $table:ident; )*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Error::Missing`] or [`Error::Broken`].
            pub fn $name(state: &mut dyn State, $($key: $type),*) -> Read<Option<$value>> {
                #[allow(unused_parens)]
                read(tables::$table.get(state, &($($key),*)))
            }
        )*
    };
}

getters! {
    /// The network's constants; `None` before genesis.
    network() -> NetworkRecord = NETWORK;
    /// The parameters in force; `None` before genesis.
    params() -> Params = PARAMS;
    /// The epoch in progress; `None` before genesis.
    epoch() -> EpochState = EPOCH;
    /// Where every shannon is; `None` before genesis.
    supply() -> SupplyBreakdown = SUPPLY;
    /// The ledger's counters: last height, lengths of lists; `None` before genesis.
    counters() -> Counters = COUNTERS;
    /// A closed epoch.
    epoch_record(epoch: Epoch) -> EpochRecord = EPOCHS;
    /// An epoch's committee, the current one's included.
    committee(epoch: Epoch) -> Committee = COMMITTEES;
    /// What a validator did in an epoch.
    duty(epoch: Epoch, validator: Address) -> Duty = DUTIES;
    /// A staking pool.
    pool(pool: PoolId) -> Pool = POOLS;
    /// A validator.
    validator(validator: Address) -> Validator = VALIDATORS;
    /// The validator at a position of the list, `0..counters.validators`.
    validator_at(index: u64) -> Address = VALIDATOR_AT;
    /// A proposal by its number, `0..counters.proposals`.
    proposal(index: u64) -> Proposal = PROPOSALS;
    /// A model.
    model(model: ModelId) -> Model = MODELS;
    /// The model at a position of the list of all, `0..counters.models`.
    model_at(index: u64) -> ModelId = MODEL_AT;
    /// The model at a position of the list of live ones, `0..counters.live_models`; some may be retired.
    live_model_at(index: u64) -> ModelId = LIVE_MODEL_AT;
    /// The embedding a model competes with.
    model_embedding(model: ModelId) -> Embedding = EMBEDDINGS;
    /// The embedding that takes over at the next boundary.
    revealed_embedding(model: ModelId) -> Embedding = REVEALED_EMBEDDINGS;
    /// A target.
    target(target: TargetId) -> Target = TARGETS;
    /// The target at a position of an epoch's list, `0..targets_opened`.
    target_at(epoch: Epoch, index: u64) -> TargetId = TARGET_AT;
    /// A submission.
    submission(submission: SubmissionId) -> Submission = SUBMISSIONS;
    /// The submission at a position of the list of all, `0..counters.submissions`.
    submission_at(index: u64) -> SubmissionId = SUBMISSION_AT;
    /// The embedding that a revealed submission claims.
    submission_embedding(submission: SubmissionId) -> Embedding = SUBMISSION_EMBEDDINGS;
    /// The winner at a position of an epoch's list, `0..hits`.
    winner_at(epoch: Epoch, index: u64) -> SubmissionId = WINNER_AT;
    /// Whose data a content hash is.
    data_claim(hash: ContentHash) -> DataClaim = CLAIMS;
    /// One auditor's work on one winner in one stage of its audit.
    audit_vote(submission: SubmissionId, stage: AuditStage, auditor: Address) -> AuditVote = AUDIT_VOTES;
    /// How a winner's audit ended, once its epoch is settled.
    audit_outcome(submission: SubmissionId) -> AuditOutcome = AUDIT_OUTCOMES;
}

/// An account, all zeros if it was never used.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn account(state: &mut dyn State, address: Address) -> Read<Account> {
    Ok(read(tables::ACCOUNTS.get(state, &address))?.unwrap_or_default())
}

/// Accounts, loaded together; all zeros where one was never used.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn accounts(state: &mut dyn State, addresses: &[Address]) -> Read<Vec<Account>> {
    let accounts = read(tables::ACCOUNTS.get_all(state, addresses.iter().copied()))?;
    Ok(accounts.into_iter().map(Option::unwrap_or_default).collect())
}

/// The fee of a transaction of `size_bytes` now.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn fee(state: &mut dyn State, size_bytes: u64) -> Read<Shannons> {
    let hot = read(Hot::load(state))?;
    Ok(hot.now.fee_of(&hot.params, size_bytes))
}

/// Runs `view` with a ledger that nothing is written through.
fn with_ledger<T>(state: &mut dyn State, view: impl FnOnce(&mut Ledger<'_>) -> Result<T, Stop>) -> Read<T> {
    let hot = read(Hot::load(state))?;
    let block = BlockInfo {
        height: hot.counters.height,
        seed: hot.now.seed,
        timestamp_ms: hot.counters.timestamp_ms,
        proposer: None,
    };
    read(view(&mut Ledger {
        state,
        block: &block,
        hot,
        events: Vec::new(),
    }))
}

/// What `owner` holds in `pool`.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn stake(state: &mut dyn State, pool: PoolId, owner: Address) -> Read<Stake> {
    with_ledger(state, |ledger| {
        let position = ledger.position(pool, &owner)?;
        let record = ledger.get(&tables::POOLS, &pool)?.unwrap_or_default();
        let (added, added_counting) = face_value(&position, ledger.epoch())?;
        let in_shares = worth(&record, position.shares)?;
        Ok(Stake {
            pool,
            shares: position.shares,
            counting: in_shares
                .checked_add(added_counting)
                .or_broken("a stake overflowed")?,
            pending: added.saturating_sub(added_counting),
        })
    })
}

/// How many of an epoch's winners were challenged.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn challenges(state: &mut dyn State, epoch: Epoch) -> Read<u64> {
    read(tables::CHALLENGES.len(state, &epoch))
}

/// Up to `limit` of an account's stakes, from position `start` of its list, and the list's length. What was
/// withdrawn in full is not in it, and the last takes its place.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn stakes(state: &mut dyn State, owner: Address, start: u64, limit: u64) -> Read<(Vec<Stake>, u64)> {
    let count = read(tables::STAKES.len(state, &owner))?;
    let indices = start.min(count)..start.saturating_add(limit).min(count);
    let pools = read(tables::STAKES.at_all(state, &owner, indices))?;
    let stakes: Read<Vec<Stake>> = pools.into_iter().map(|pool| stake(state, pool, owner)).collect();
    Ok((stakes?, count))
}

/// The least dot product, in Q30, that a commit to `target` is held to now.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn commit_threshold_q30(state: &mut dyn State, target: &Target) -> Read<i64> {
    with_ledger(state, |ledger| Ok(ledger.commit_threshold_q30(target)))
}

/// What is open or scheduled, in the order of proposals.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn pending_proposals(state: &mut dyn State) -> Read<Vec<Proposal>> {
    with_ledger(state, |ledger| {
        let pending = ledger.pending_proposals()?;
        ledger.expect_all(&tables::PROPOSALS, pending.iter().map(|entry| entry.index))
    })
}

/// How much of the current committee is for `proposal`.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn support(state: &mut dyn State, proposal: &Proposal) -> Read<Support> {
    with_ledger(state, |ledger| {
        let committee = ledger.expect(&tables::COMMITTEES, &ledger.epoch())?;
        Ok(Support::of(proposal, &committee))
    })
}

/// The targets that are open, or being raced for, in the current epoch.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn open_targets(state: &mut dyn State) -> Read<Vec<Target>> {
    let hot = read(Hot::load(state))?;
    let slots = read(tables::OPEN_TARGET_AT.get_all(state, 0..hot.params.open_targets))?;
    let mut targets = read(tables::TARGETS.expect_all(state, slots.into_iter().flatten()))?;
    targets.retain(|target| {
        target.epoch == hot.now.epoch && !matches!(target.status, TargetStatus::Filled { .. })
    });
    Ok(targets)
}

/// The models that the targets at positions `start..end` of an epoch's list name. The list's length is the
/// epoch's `targets_opened`.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn models_named(state: &mut dyn State, epoch: Epoch, start: u64, end: u64) -> Read<BTreeSet<ModelId>> {
    let places = (start..end).map(|index| (epoch, index));
    let ids = read(tables::TARGET_AT.expect_all(state, places))?;
    let targets = read(tables::TARGETS.expect_all(state, ids))?;
    Ok(targets.into_iter().flat_map(|target| target.models).collect())
}

/// The winners of the last epoch at positions `start..end` of its list that are in this one's sample and on
/// which votes are taken: all of it while auditors vote, those that they accused once hearings have begun.
/// The list's length is the last epoch's `hits`.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn audit_tasks(state: &mut dyn State, start: u64, end: u64) -> Read<Vec<AuditTask>> {
    with_ledger(state, |ledger| {
        let Some(closed) = ledger.epoch().minus(1) else {
            return Ok(Vec::new());
        };
        let hits = ledger.expect(&tables::EPOCHS, &closed)?.state.hits;
        let now = ledger.hot.now;
        let sampled = (start..end.min(hits)).filter(|index| is_sampled(&now, *index));
        let ids = ledger.expect_all(&tables::WINNER_AT, sampled.map(|index| (closed, index)))?;
        tasks_of(ledger, ids)
    })
}

/// The same for challenged winners, at positions `start..end` of the list of the last epoch's challenges,
/// once their auditors are drawn; without those that are in the sample anyway.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn challenge_tasks(state: &mut dyn State, start: u64, end: u64) -> Read<Vec<AuditTask>> {
    with_ledger(state, |ledger| {
        let Some(closed) = ledger.epoch().minus(1) else {
            return Ok(Vec::new());
        };
        let count = tables::CHALLENGES.len(ledger.state, &closed)?;
        let ids = tables::CHALLENGES.at_all(ledger.state, &closed, start..end.min(count))?;
        let mut tasks = tasks_of(ledger, ids)?;
        let now = ledger.hot.now;
        let found = |task: &AuditTask| {
            task.submission
                .found
                .as_ref()
                .and_then(|found| found.winner_index)
        };
        tasks.retain(|task| found(task).is_some_and(|index| !is_sampled(&now, index)));
        Ok(tasks)
    })
}

fn tasks_of(ledger: &mut Ledger<'_>, winners: Vec<SubmissionId>) -> Result<Vec<AuditTask>, Stop> {
    let mut tasks = Vec::new();
    for submission in ledger.expect_all(&tables::SUBMISSIONS, winners)? {
        if let Some(polled) = polled_on(ledger, &submission)? {
            let target = ledger.expect(&tables::TARGETS, &submission.target)?;
            tasks.push(AuditTask {
                submission,
                target,
                polled,
            });
        }
    }
    Ok(tasks)
}

fn polled_on(ledger: &mut Ledger<'_>, submission: &Submission) -> Result<Option<Polled>, Stop> {
    match ledger.turn(submission) {
        Ok(Turn { stage, voters, .. }) => {
            let voters = voters.into_iter().map(|seat| seat.validator).collect();
            Ok(Some(Polled { stage, voters }))
        }
        Err(Stop::Rejected(_)) => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// Whose votes on `submission` are taken now; `None` unless it won in the last epoch and is in the sample, or
/// was challenged and its auditors are drawn, or once those have voted and did not accuse it.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Broken`].
pub fn polled(state: &mut dyn State, submission: &Submission) -> Read<Option<Polled>> {
    with_ledger(state, |ledger| polled_on(ledger, submission))
}
