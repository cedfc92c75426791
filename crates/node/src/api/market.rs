//! Models, targets, submissions.

use axum::{Json, extract::State};
use serde::Deserialize;
use soma_http::Error;
use soma_ledger::{Error as LedgerError, State as LedgerState, view};
use soma_types::{
    Address, ContentHash, Epoch, ModelId, SubmissionId, TargetId,
    api::{AuditView, DataView, ModelView, Page, Problem, SubmissionView, TargetView},
    objects::{AuditStage, Model, ModelStatus, Submission, SubmissionStatus},
    phase::{SubmissionPhase, TargetPhase},
    transaction::PoolId,
};

use super::{
    Api, Part, filled,
    looked::{SCANNED_MAX, is_over, target_view},
    problem::not_started,
    request::{InPath, Named, Number, Query},
};
use crate::query::LiveReader;

type Read<T> = Result<T, LedgerError>;

/// Which models.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ModelFilter {
    /// How they stand.
    #[param(inline, value_type = Option<ModelStatus>)]
    pub status: Option<Named<ModelStatus>>,
    /// An address.
    pub owner: Option<Address>,
}

/// Which targets.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TargetFilter {
    /// How they stand.
    #[param(inline, value_type = Option<TargetPhase>)]
    pub status: Option<Named<TargetPhase>>,
    /// An epoch. Where left out: of those that are filled all epochs', of others the current one's.
    #[param(inline)]
    pub epoch: Option<Number>,
}

/// Which submissions.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubmissionFilter {
    /// An address.
    pub submitter: Option<Address>,
    /// A target.
    pub target: Option<TargetId>,
    /// A model: what it predicts best, once revealed.
    pub model: Option<ModelId>,
    /// How they stand.
    #[param(inline, value_type = Option<SubmissionPhase>)]
    pub status: Option<Named<SubmissionPhase>>,
}

/// The items that `read` finds at `indices`: at most `limit`, from at most [`SCANNED_MAX`] places; and how
/// many places were looked at. All are as of one block: a page ends early where the next one waits to be
/// applied.
pub(super) async fn scan<T>(
    reader: &mut LiveReader<'_>,
    indices: impl Iterator<Item = u64>,
    limit: usize,
    mut read: impl FnMut(&mut dyn LedgerState, u64) -> Read<Option<T>>,
) -> Result<(Vec<T>, u64), Error> {
    let (mut items, mut looked) = (Vec::new(), 0);
    for index in indices.take(SCANNED_MAX) {
        if items.len() == limit || is_over(reader, looked as usize).await {
            break;
        }
        items.extend(reader.read(|state| read(state, index)).await?);
        looked += 1;
    }
    Ok((items, looked))
}

/// A page of a list that is read from its end; `end` is where it went on.
fn page_before<T>((items, looked): (Vec<T>, u64), end: u64) -> Json<Page<T>> {
    let next = end - looked;
    Json(Page {
        items,
        next: (next > 0).then(|| next.to_string()),
    })
}

/// Whose audits.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// An address: only what this validator has a vote on.
    pub auditor: Option<Address>,
}

fn model_view(state: &mut dyn LedgerState, model: Model) -> Read<ModelView> {
    let pool = view::pool(state, PoolId::Model(model.id))?.unwrap_or_default();
    let embedding = match view::model_embedding(state, model.id)? {
        None => view::revealed_embedding(state, model.id)?,
        some => some,
    };
    Ok(ModelView {
        model,
        pool,
        embedding,
    })
}

/// All models, in the order of their creation.
#[utoipa::path(get, path = "/v1/models", params(ModelFilter, Part),
    responses((status = 200, body = Page<ModelView>)))]
pub async fn models(
    State(api): Api,
    Query(filter): Query<ModelFilter>,
    Query(part): Query<Part>,
) -> Result<Json<Page<ModelView>>, Error> {
    let status = filter.status.map(|Named(status)| status);
    let start = part.cursor().unwrap_or(0);
    let limit = part.limit();
    let mut reader = api.query.reader().await;
    let counters = reader.read(view::counters).await?.ok_or_else(not_started)?;
    let found = scan(&mut reader, start..counters.models, limit, |state, index| {
        let Some(id) = view::model_at(state, index)? else {
            return Ok(None);
        };
        let Some(model) = view::model(state, id)? else {
            return Ok(None);
        };
        let matches = filter.owner.is_none_or(|owner| model.owner == owner)
            && status.is_none_or(|status| model.status == status);
        if matches {
            model_view(state, model).map(Some)
        } else {
            Ok(None)
        }
    });
    let (items, looked) = found.await?;
    let next = start + looked;
    Ok(Json(Page {
        items,
        next: (next < counters.models).then(|| next.to_string()),
    }))
}

/// A model.
#[utoipa::path(get, path = "/v1/models/{id}", params(("id" = ModelId, Path)),
    responses((status = 200, body = ModelView), (status = 404, body = Problem)))]
pub async fn model(State(api): Api, InPath(id): InPath<ModelId>) -> Result<Json<ModelView>, Error> {
    let found = api.query.view(|state| match view::model(state, id)? {
        Some(model) => model_view(state, model).map(Some),
        None => Ok(None),
    });
    found
        .await?
        .map(Json)
        .ok_or_else(|| Error::not_found("model", id))
}

/// An epoch's targets, latest first. Those that are filled: in the order of their wins, latest first, also
/// across epochs.
#[utoipa::path(get, path = "/v1/targets", params(TargetFilter, Part),
    responses((status = 200, body = Page<TargetView>), (status = 404, body = Problem)))]
pub async fn targets(
    State(api): Api,
    Query(filter): Query<TargetFilter>,
    Query(part): Query<Part>,
) -> Result<Json<Page<TargetView>>, Error> {
    let phase = filter.status.map(|Named(phase)| phase);
    let cursor = part.cursor();
    let limit = part.limit();
    let mut reader = api.query.reader().await;
    let current = reader.read(view::epoch).await?.ok_or_else(not_started)?;
    let epoch = filter.epoch.map(|Number(epoch)| Epoch(epoch));
    if phase == Some(TargetPhase::Filled) {
        let page = filled::page(&mut reader, &current, epoch, cursor, limit);
        return page.await.map(Json);
    }
    let epoch = epoch.unwrap_or(current.epoch);
    let count = if epoch == current.epoch {
        current.targets_opened
    } else {
        let record = reader.read(|state| view::epoch_record(state, epoch)).await?;
        record.map_or(0, |record| record.state.targets_opened)
    };
    let end = cursor.unwrap_or(count).min(count);
    let found = scan(&mut reader, (0..end).rev(), limit, |state, index| {
        let Some(id) = view::target_at(state, epoch, index)? else {
            return Ok(None);
        };
        let Some(target) = view::target(state, id)? else {
            return Ok(None);
        };
        if phase.is_none_or(|phase| target.status.phase() == phase) {
            target_view(state, target, current.epoch)
        } else {
            Ok(None)
        }
    });
    Ok(page_before(found.await?, end))
}

/// A target.
#[utoipa::path(get, path = "/v1/targets/{id}", params(("id" = TargetId, Path)),
    responses((status = 200, body = TargetView), (status = 404, body = Problem)))]
pub async fn target(State(api): Api, InPath(id): InPath<TargetId>) -> Result<Json<TargetView>, Error> {
    let found = api.query.view(|state| {
        let (Some(target), Some(current)) = (view::target(state, id)?, view::epoch(state)?) else {
            return Ok(None);
        };
        target_view(state, target, current.epoch)
    });
    found
        .await?
        .map(Json)
        .ok_or_else(|| Error::not_found("target", id))
}

fn submission_view(state: &mut dyn LedgerState, submission: Submission) -> Read<SubmissionView> {
    let embedding = match submission.found {
        Some(_) => view::submission_embedding(state, submission.id)?,
        None => None,
    };
    let audited = matches!(
        submission.status,
        SubmissionStatus::Won | SubmissionStatus::Paid { .. } | SubmissionStatus::FoundFalse { .. }
    );
    let (mut audits, mut audit_outcome) = (Vec::new(), None);
    if audited && let Some(target) = view::target(state, submission.target)? {
        // A winner is audited in the epoch after its own.
        let committee = view::committee(state, target.epoch.next())?.unwrap_or_default();
        let voters = committee.seats.iter().map(|seat| seat.validator);
        for (auditor, stage) in voters.flat_map(|voter| AuditStage::ALL.map(|stage| (voter, stage))) {
            if let Some(vote) = view::audit_vote(state, submission.id, stage, auditor)? {
                audits.push(AuditView { stage, auditor, vote });
            }
        }
        audit_outcome = view::audit_outcome(state, submission.id)?;
    }
    let polled = view::polled(state, &submission)?;
    Ok(SubmissionView {
        submission,
        embedding,
        audit_stage: polled.as_ref().map(|polled| polled.stage),
        auditors: polled.map_or_else(Vec::new, |polled| polled.voters),
        audits,
        audit_outcome,
    })
}

/// All submissions, latest first.
#[utoipa::path(get, path = "/v1/submissions", params(SubmissionFilter, Part),
    responses((status = 200, body = Page<SubmissionView>)))]
pub async fn submissions(
    State(api): Api,
    Query(filter): Query<SubmissionFilter>,
    Query(part): Query<Part>,
) -> Result<Json<Page<SubmissionView>>, Error> {
    let phase = filter.status.map(|Named(phase)| phase);
    let cursor = part.cursor();
    let limit = part.limit();
    let mut reader = api.query.reader().await;
    let counters = reader.read(view::counters).await?.ok_or_else(not_started)?;
    let end = cursor.unwrap_or(counters.submissions).min(counters.submissions);
    let found = scan(&mut reader, (0..end).rev(), limit, |state, index| {
        let Some(id) = view::submission_at(state, index)? else {
            return Ok(None);
        };
        let Some(submission) = view::submission(state, id)? else {
            return Ok(None);
        };
        let matches = filter
            .submitter
            .is_none_or(|submitter| submission.submitter == submitter)
            && filter.target.is_none_or(|target| submission.target == target)
            && filter.model.is_none_or(|model| {
                let found = submission.found.as_ref();
                found.is_some_and(|found| found.model == model)
            })
            && phase.is_none_or(|phase| submission.status.phase() == phase);
        if matches {
            submission_view(state, submission).map(Some)
        } else {
            Ok(None)
        }
    });
    Ok(page_before(found.await?, end))
}

/// A submission.
#[utoipa::path(get, path = "/v1/submissions/{id}", params(("id" = SubmissionId, Path)),
    responses((status = 200, body = SubmissionView), (status = 404, body = Problem)))]
pub async fn submission(
    State(api): Api,
    InPath(id): InPath<SubmissionId>,
) -> Result<Json<SubmissionView>, Error> {
    let found = api.query.view(|state| match view::submission(state, id)? {
        Some(submission) => submission_view(state, submission).map(Some),
        None => Ok(None),
    });
    found
        .await?
        .map(Json)
        .ok_or_else(|| Error::not_found("submission", id))
}

/// Whose data a BLAKE3 names. A commit to data that is someone's loses its deposit, so ask first.
#[utoipa::path(get, path = "/v1/data/{hash}", params(("hash" = ContentHash, Path)),
    responses((status = 200, body = DataView), (status = 404, body = Problem)))]
pub async fn data(State(api): Api, InPath(hash): InPath<ContentHash>) -> Result<Json<DataView>, Error> {
    let claim = api.query.view(|state| view::data_claim(state, hash)).await?;
    claim
        .map(|claim| {
            Json(DataView {
                hash,
                submission: claim.submission,
                won: claim.won,
            })
        })
        .ok_or_else(|| Error::not_found("claim to data", hash))
}

/// The winners on which votes are taken in the current epoch: the sample first, in the order of their wins,
/// then those that were challenged, once their auditors are drawn. Once hearings have begun, those that are
/// heard, and those whose auditors are the whole committee.
#[utoipa::path(get, path = "/v1/audits", params(AuditFilter, Part),
    responses((status = 200, body = Page<SubmissionView>)))]
pub async fn audits(
    State(api): Api,
    Query(filter): Query<AuditFilter>,
    Query(part): Query<Part>,
) -> Result<Json<Page<SubmissionView>>, Error> {
    let auditor = filter.auditor;
    let start = part.cursor().unwrap_or(0);
    let mut reader = api.query.reader().await;
    let current = reader.read(view::epoch).await?.ok_or_else(not_started)?;
    let Some(closed) = current.epoch.minus(1) else {
        return Ok(Json(Page {
            items: Vec::new(),
            next: None,
        }));
    };
    let record = reader.read(|state| view::epoch_record(state, closed)).await?;
    let winners = record.map_or(0, |record| record.state.hits);
    let challenges = reader.read(|state| view::challenges(state, closed)).await?;
    let end = winners + challenges;
    let found = scan(&mut reader, start..end, part.limit(), |state, index| {
        let task = match index.checked_sub(winners) {
            None => view::audit_tasks(state, index, index + 1)?,
            Some(index) => view::challenge_tasks(state, index, index + 1)?,
        };
        let mine = task
            .into_iter()
            .find(|task| auditor.is_none_or(|auditor| task.polled.voters.contains(&auditor)));
        mine.map(|task| submission_view(state, task.submission))
            .transpose()
    });
    let (items, looked) = found.await?;
    let next = start + looked;
    Ok(Json(Page {
        items,
        next: (next < end).then(|| next.to_string()),
    }))
}
