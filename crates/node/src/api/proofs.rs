//! Proofs for light clients, who check them by themselves: what is answered here is bytes.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use soma_http::Error;
use soma_light::{proof::Proof, subject::Held};
use soma_types::{
    Address, Height, ModelId, TargetId, TransactionHash,
    api::{Problem, ProofView},
};

use super::{
    Api, Shared,
    request::{InPath, Number, Query},
};
use crate::prove::ProveError;

/// In which block.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InBlock {
    /// The block's height. Where left out, the block that the transaction is in.
    #[param(inline)]
    height: Option<Number>,
}

fn shown(proof: &Proof) -> Json<ProofView> {
    let first = proof.finality.links.first();
    Json(ProofView {
        height: Height(first.map_or(0, |link| link.header.height.get())),
        proof: format!("0x{}", hex::encode(proof.encoded())),
    })
}

async fn prove(api: &Shared, held: Held) -> Result<Json<ProofView>, Error> {
    Ok(shown(&api.query.prove(held).await?))
}

/// Proof of an account as it is in the last finalized state, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/accounts/{address}", params(("address" = Address, Path)),
    responses((status = 200, body = ProofView),
        (status = 410, description = "The block is not kept here", body = Problem)))]
pub async fn account_proof(
    State(api): Api,
    InPath(address): InPath<Address>,
) -> Result<Json<ProofView>, Error> {
    prove(&api, Held::Account(address)).await
}

/// Proof of a model as it is in the last finalized state, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/models/{id}", params(("id" = ModelId, Path)),
    responses((status = 200, body = ProofView),
        (status = 410, description = "The block is not kept here", body = Problem)))]
pub async fn model_proof(State(api): Api, InPath(id): InPath<ModelId>) -> Result<Json<ProofView>, Error> {
    prove(&api, Held::Model(id)).await
}

/// Proof of a target as it is in the last finalized state, or that there is none.
#[utoipa::path(get, path = "/v1/proofs/targets/{id}", params(("id" = TargetId, Path)),
    responses((status = 200, body = ProofView),
        (status = 410, description = "The block is not kept here", body = Problem)))]
pub async fn target_proof(State(api): Api, InPath(id): InPath<TargetId>) -> Result<Json<ProofView>, Error> {
    prove(&api, Held::Target(id)).await
}

/// Proof of a transaction's receipt, or that a block has none of it.
#[utoipa::path(get, path = "/v1/proofs/receipts/{hash}", params(("hash" = TransactionHash, Path), InBlock),
    responses((status = 200, body = ProofView), (status = 404, body = Problem),
        (status = 410, description = "The block is not kept here", body = Problem)))]
pub async fn receipt_proof(
    State(api): Api,
    InPath(hash): InPath<TransactionHash>,
    Query(block): Query<InBlock>,
) -> Result<Json<ProofView>, Error> {
    let height = block.height.map(|Number(height)| height);
    Ok(shown(&api.query.prove_receipt(hash, height).await?))
}

impl From<ProveError> for Error {
    fn from(error: ProveError) -> Self {
        let status = match error {
            ProveError::Read(_) | ProveError::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
            ProveError::NotFinal(_) => StatusCode::SERVICE_UNAVAILABLE,
            ProveError::NotKept(_) => StatusCode::GONE,
            ProveError::NotIncluded(_) | ProveError::NotYet { .. } => StatusCode::NOT_FOUND,
        };
        Self::new(status, error.to_string())
    }
}
