//! The weights that a model has had.

use axum::{Json, extract::State};
use soma_http::Error;
use soma_ledger::view;
use soma_types::{
    Epoch, ModelId, TransactionKind,
    api::{GenerationView, Page, Problem},
};

use super::{
    Api, Part, Shared,
    request::{InPath, Query},
};
use crate::index::generations::{Generation, Place, transaction};

/// The weights that a model has had, latest commit first. The ledger itself keeps those of two epochs.
#[utoipa::path(get, path = "/v1/models/{id}/generations", params(("id" = ModelId, Path), Part),
    responses((status = 200, body = Page<GenerationView>), (status = 404, body = Problem)))]
pub async fn generations(
    State(api): Api,
    InPath(id): InPath<ModelId>,
    Query(part): Query<Part>,
) -> Result<Json<Page<GenerationView>>, Error> {
    let model = api.query.view(|state| view::model(state, id)).await?;
    model.ok_or_else(|| Error::not_found("model", id))?;
    let all = api.query.index().generations(&id);
    let end = part
        .cursor()
        .map_or(all.len(), |cursor| usize::try_from(cursor).unwrap_or(usize::MAX));
    let end = end.min(all.len());
    let start = end.saturating_sub(part.limit());
    let mut items = Vec::new();
    for (index, generation) in all.iter().enumerate().take(end).skip(start).rev() {
        items.extend(generation_view(&api, index, generation).await);
    }
    Ok(Json(Page {
        items,
        next: (start > 0).then(|| start.to_string()),
    }))
}

/// What a transaction did, and in which epoch.
async fn kind_at(api: &Shared, (height, index): Place) -> Option<(Epoch, TransactionKind)> {
    let record = api.query.index().record(height).await?;
    Some((record.epoch, transaction(&record, index)?.kind))
}

async fn generation_view(api: &Shared, index: usize, generation: &Generation) -> Option<GenerationView> {
    let (committed, kind) = kind_at(api, generation.committed).await?;
    let TransactionKind::CommitModel {
        url,
        size_bytes,
        hash,
        ..
    } = kind
    else {
        return None;
    };
    let revealed = match generation.revealed {
        Some(place) => kind_at(api, place).await,
        None => None,
    };
    let (key, embedding) = match revealed {
        Some((_, TransactionKind::RevealModel { key, embedding, .. })) => (Some(key), Some(embedding)),
        _ => (None, None),
    };
    Some(GenerationView {
        index: index as u64,
        committed,
        url,
        size_bytes,
        hash,
        key,
        embedding,
        active_from: generation.active_from,
        active_until: generation.active_until,
    })
}
