//! The content that the ledger names: what has to be there now, and what has won or competed before.

use std::collections::{BTreeMap, BTreeSet};

use soma_blobs::Expected;
use soma_ledger::{Error as LedgerError, State, view};
use soma_types::{
    ContentHash, Epoch, SubmissionId, TransactionKind, Url,
    event::Event,
    genesis::{Genesis, GenesisWeights},
    objects::{CommittedWeights, EpochState, Found, ModelStatus},
};

use crate::{
    index::News,
    query::{Query, ReadError},
    runtime::Runtime,
};

/// Targets read in one view: blocks wait meanwhile.
const TARGETS_AT_ONCE: usize = 256;

/// What content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Weights,
    Data,
}

/// Content, and where its owner says it is.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub content: Content,
    pub url: Url,
    pub expected: Expected,
}

impl Named {
    fn weights(committed: CommittedWeights) -> Self {
        Self {
            content: Content::Weights,
            url: committed.url,
            expected: Expected {
                hash: committed.hash,
                size_bytes: committed.size_bytes,
            },
        }
    }

    fn data(found: Found) -> Self {
        Self {
            content: Content::Data,
            url: found.data_url,
            expected: Expected {
                hash: found.data_hash,
                size_bytes: found.data_size_bytes,
            },
        }
    }

    fn genesis(weights: &GenesisWeights) -> Self {
        Self {
            content: Content::Weights,
            url: weights.url.clone(),
            expected: Expected {
                hash: weights.hash,
                size_bytes: weights.size_bytes,
            },
        }
    }
}

/// The weights that the applied transactions of a block commit to.
pub(super) fn weights_in(news: &News) -> impl Iterator<Item = Named> {
    let applied = news.transactions.iter().zip(&news.record.receipts);
    applied
        .filter(|(_, receipt)| receipt.applied())
        .filter_map(|(transaction, _)| match &transaction.transaction().kind {
            TransactionKind::CommitModel {
                url,
                size_bytes,
                hash,
                ..
            } => Some(Named {
                content: Content::Weights,
                url: url.clone(),
                expected: Expected {
                    hash: *hash,
                    size_bytes: *size_bytes,
                },
            }),
            _ => None,
        })
}

/// The data that has won in a block.
pub(super) async fn data_in<E: Runtime>(query: &Query<E>, news: &News) -> Result<Vec<Named>, ReadError> {
    let mut data = Vec::new();
    for event in &news.record.events {
        if let Event::TargetFilled { submission, .. } = event {
            data.extend(query.view(|state| data_of(state, *submission)).await?);
        }
    }
    Ok(data)
}

/// What is needed, by its name.
pub(super) type Needed = BTreeMap<ContentHash, Named>;

/// The content that competition and audits need in the epoch `now`, and the genesis weights.
///
/// It is read in many views while blocks go on. What only they name is not among it.
pub(super) async fn needed<E: Runtime>(query: &Query<E>, now: &EpochState) -> Result<Needed, ReadError> {
    let Genesis { weights, .. } = query.genesis();
    let mut all: Vec<_> = weights.iter().map(Named::genesis).collect();
    let models = query.view(view::counters).await?.map_or(0, |all| all.live_models);
    for index in 0..models {
        let model = query.view(|state| match view::live_model_at(state, index)? {
            Some(id) => view::model(state, id),
            None => Ok(None),
        });
        if let Some(model) = model.await? {
            // Those that the targets of this epoch name are among the active ones.
            let competing = model.weights.filter(|_| model.status == ModelStatus::Active);
            let revealed = competing.into_iter().chain(model.revealed);
            all.extend(revealed.map(|weights| Named::weights(weights.committed)));
            all.extend(model.committed.map(Named::weights));
        }
    }
    all.extend(winners_data(query, now.epoch).await?);
    if let Some(closed) = now.epoch.minus(1) {
        all.extend(winners_data(query, closed).await?);
        all.extend(weights_named(query, closed).await?);
    }
    Ok(all
        .into_iter()
        .map(|named| (named.expected.hash, named))
        .collect())
}

/// The weights of the models that a closed epoch's targets name, of which some may have retired or have
/// others by now.
async fn weights_named<E: Runtime>(query: &Query<E>, epoch: Epoch) -> Result<Vec<Named>, ReadError> {
    let record = query.view(|state| view::epoch_record(state, epoch)).await?;
    let targets = record.map_or(0, |record| record.state.targets_opened);
    let mut models = BTreeSet::new();
    for start in (0..targets).step_by(TARGETS_AT_ONCE) {
        let end = targets.min(start + TARGETS_AT_ONCE as u64);
        models.extend(
            query
                .view(|state| view::models_named(state, epoch, start, end))
                .await?,
        );
    }
    let mut weights = Vec::new();
    for id in models {
        if let Some(model) = query.view(|state| view::model(state, id)).await? {
            weights.extend(
                model
                    .weights_in(epoch)
                    .map(|weights| Named::weights(weights.committed.clone())),
            );
        }
    }
    Ok(weights)
}

fn data_of(state: &mut dyn State, submission: SubmissionId) -> Result<Option<Named>, LedgerError> {
    let submission = view::submission(state, submission)?;
    Ok(submission
        .and_then(|submission| submission.found)
        .map(Named::data))
}

/// The data of an epoch's winners.
async fn winners_data<E: Runtime>(query: &Query<E>, epoch: Epoch) -> Result<Vec<Named>, ReadError> {
    let mut data = Vec::new();
    loop {
        let index = data.len() as u64;
        let found = query.view(|state| match view::winner_at(state, epoch, index)? {
            Some(id) => data_of(state, id),
            None => Ok(None),
        });
        match found.await? {
            Some(found) => data.push(found),
            None => return Ok(data),
        }
    }
}

/// The epoch of the target that this data has won; that is so for ever.
pub(super) async fn won_in<E: Runtime>(
    query: &Query<E>,
    data: ContentHash,
) -> Result<Option<Epoch>, ReadError> {
    let target = query.view(|state| {
        let claim = view::data_claim(state, data)?;
        let Some(claim) = claim.filter(|claim| claim.won) else {
            return Ok(None);
        };
        match view::submission(state, claim.submission)? {
            Some(submission) => view::target(state, submission.target),
            None => Ok(None),
        }
    });
    Ok(target.await?.map(|target| target.epoch))
}
