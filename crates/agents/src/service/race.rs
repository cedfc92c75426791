//! One submission from its commit to the end of its race.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use soma_client::{Account, ClientError, Notice, SourcedData, Storage, journal::PendingSubmission};
use soma_types::{Shannons, TargetId, api::SubmissionView};

use super::{Document, End, error::is_money};
use crate::submitter::Find;

/// How long the end of a race is waited for at a time.
const SETTLE_WAIT: Duration = Duration::from_secs(60);
/// How often its end, or the handing over of its data, is tried before it is left to the next run.
const SETTLE_TRIES: u32 = 6;
/// Between the first two of those; doubled for the next.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);

/// How a race ended, and what it has cost.
#[derive(Debug)]
pub(super) struct Raced {
    pub(super) document: Document,
    pub(super) attempts: usize,
    pub(super) target: TargetId,
    pub(super) fees: Shannons,
    /// None where nothing was sent; why not.
    pub(super) end: Result<End, Box<ClientError>>,
}

/// Commits, reveals, waits for the end of the race, and hands over data that has won.
pub(super) async fn race(
    account: Account,
    document: Document,
    attempts: usize,
    find: Find,
    storage: Option<Storage>,
) -> Raced {
    let paid = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&paid);
    let account = account.watched(move |notice| {
        if let Notice::Included(_, receipt) = notice {
            count.fetch_add(receipt.fee.0, Ordering::Relaxed);
        }
    });
    let target = find.target;
    let submitted = SourcedData {
        data: document.data.clone(),
        provenance: document.provenance.clone(),
    };
    let end = end_of(&account, submitted, find, storage.as_ref()).await;
    Raced {
        document,
        attempts,
        target,
        fees: Shannons(paid.load(Ordering::Relaxed)),
        end,
    }
}

async fn end_of(
    account: &Account,
    submitted: SourcedData,
    find: Find,
    storage: Option<&Storage>,
) -> Result<End, Box<ClientError>> {
    let Find { target, claim } = find;
    let committed = match storage {
        Some(storage) => {
            account
                .commit_submission_in(target, submitted, claim, storage)
                .await
        }
        None => account.commit_submission(target, submitted, claim).await,
    };
    let mut pending = match committed {
        Ok(pending) => pending,
        Err(error @ ClientError::DataKnown { .. }) => return Ok(End::Known(error.to_string())),
        Err(error) if error.rejection_code().is_some() => return Ok(End::Rejected(Box::new(error))),
        Err(error) if error.is_unknown() => return Ok(End::Left(Box::new(error))),
        Err(error) => return Err(Box::new(error)),
    };
    let mut pause = SETTLE_AGAIN;
    let mut tries = 1;
    loop {
        let error = match finish(account, &mut pending).await {
            Ok(view) => return Ok(End::Over(view.submission.id, view.submission.status)),
            // Money may come back while the deposit can still be saved.
            Err(error) if error.rejection_code().is_some() && !is_money(&error) => {
                return Ok(End::Rejected(Box::new(error)));
            }
            Err(error) => error,
        };
        if tries >= SETTLE_TRIES {
            return Ok(End::Left(Box::new(error)));
        }
        tokio::time::sleep(pause).await;
        (tries, pause) = (tries + 1, pause * 2);
    }
}

/// What is left of a race whose commit is in a block.
async fn finish(account: &Account, pending: &mut PendingSubmission) -> Result<SubmissionView, ClientError> {
    if !pending.revealed {
        account.reveal_submission(pending).await?;
        pending.revealed = true;
    }
    account.settle_submission(pending, SETTLE_WAIT).await
}
