//! What a settled epoch leaves in the state and no rule reads again.
//!
//! Targets, submissions, winners, challenges and outcomes of audits of an epoch matter until its last reward
//! is paid, in the second epoch after it. From then on they are history: receipts and events tell it. What
//! outlives an epoch stays: accounts, pools and their prices, models, validators, claims on data that won
//! (data may win only once, ever), committees, and the epoch's record. What is large goes earlier: a
//! submission's embedding and the votes on it when it is settled.

use soma_types::{
    Epoch,
    objects::{EpochRecord, Target},
};

use crate::{
    error::{Broken, Error, Stop},
    state::State,
    tables::{AUDIT_OUTCOMES, CHALLENGES, EPOCHS, SUBMISSION_AT, SUBMISSIONS, TARGET_AT, TARGETS, WINNER_AT},
};

/// The keys of what is history of `epoch`, which must be settled. `first_submission` is the number of
/// submissions committed in all epochs before it.
///
/// # Errors
/// [`Error::Missing`], or [`Error::Broken`] when the epoch is not settled or its history is not all there.
pub fn history(state: &mut dyn State, epoch: Epoch, first_submission: u64) -> Result<Vec<Vec<u8>>, Error> {
    collect(state, epoch, first_submission).map_err(Stop::expect_no_rejection)
}

fn collect(state: &mut dyn State, epoch: Epoch, first_submission: u64) -> Result<Vec<Vec<u8>>, Stop> {
    let record: EpochRecord = EPOCHS.expect(state, &epoch)?;
    if !record.settled {
        return Err(Broken("the history of an epoch that is not settled").into());
    }
    let mut keys = Vec::new();
    for index in 0..record.state.targets_opened {
        let at = (epoch, index);
        let id = TARGET_AT.expect(state, &at)?;
        keys.extend([TARGET_AT.key(&at), TARGETS.key(&id)]);
    }
    for index in (first_submission..).take(record.state.submissions_committed as usize) {
        let id = SUBMISSION_AT.expect(state, &index)?;
        let submission = SUBMISSIONS.expect(state, &id)?;
        let target: Target = TARGETS.expect(state, &submission.target)?;
        if target.epoch != epoch {
            return Err(Broken("a history that begins with another epoch's submissions").into());
        }
        keys.extend([SUBMISSION_AT.key(&index), SUBMISSIONS.key(&id)]);
    }
    for index in 0..record.state.hits {
        let at = (epoch, index);
        let id = WINNER_AT.expect(state, &at)?;
        keys.push(WINNER_AT.key(&at));
        if AUDIT_OUTCOMES.get(state, &id)?.is_some() {
            keys.push(AUDIT_OUTCOMES.key(&id));
        }
    }
    let challenges = CHALLENGES.len(state, &epoch)?;
    keys.extend((0..challenges).map(|index| CHALLENGES.entry_key(&epoch, index)));
    keys.push(CHALLENGES.length_key(&epoch));
    Ok(keys)
}
