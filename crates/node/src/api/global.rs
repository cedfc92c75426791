//! The global model: all models that compete, as one thing.

use axum::{Json, extract::State};
use soma_http::Error;
use soma_ledger::view;
use soma_types::{
    api::{ExpertView, GlobalView},
    objects::ModelStatus,
    transaction::PoolId,
};

use super::{Api, Part, market::scan, problem::not_started, request::Query};

/// The models that compete in this epoch, which are the global model: their weights, embeddings and stakes.
#[utoipa::path(get, path = "/v1/global", params(Part),
    responses((status = 200, body = GlobalView)))]
pub async fn global(State(api): Api, Query(part): Query<Part>) -> Result<Json<GlobalView>, Error> {
    let (start, limit) = (part.cursor().unwrap_or(0), part.limit());
    let mut reader = api.query.reader().await;
    let epoch = reader.read(view::epoch).await?.ok_or_else(not_started)?;
    let counters = reader.read(view::counters).await?.ok_or_else(not_started)?;
    let (experts, looked) = scan(&mut reader, start..counters.live_models, limit, |state, index| {
        let Some(id) = view::live_model_at(state, index)? else {
            return Ok(None);
        };
        let Some(model) = view::model(state, id)?.filter(|model| model.status == ModelStatus::Active) else {
            return Ok(None);
        };
        let pool = view::pool(state, PoolId::Model(id))?.unwrap_or_default();
        let embedding = view::model_embedding(state, id)?;
        Ok(model
            .weights
            .zip(embedding)
            .map(|(weights, embedding)| ExpertView {
                model: id,
                weights,
                embedding,
                stake: pool.counted,
            }))
    })
    .await?;
    let next = start + looked;
    let genesis = api.query.genesis();
    Ok(Json(GlobalView {
        chain: genesis.chain_id(),
        epoch: epoch.epoch,
        height: epoch.first_height,
        architecture: epoch.architecture,
        genesis: genesis.weights.clone(),
        experts,
        next: (next < counters.live_models).then(|| next.to_string()),
    }))
}
