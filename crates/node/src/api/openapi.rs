//! The interface described in OpenAPI 3.1.

use axum::Json;
use soma_scoring::score;
use utoipa::OpenApi;

use super::{accounts, blobs, chain, events, generations, global, market, transactions};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SOMA node",
        description = "Amounts are decimal strings of shannons (1 SOMA = 10^9). 32-byte names are 0x and hex. \
                       Embeddings are base64 of little-endian i16. Errors are RFC 9457 problem details.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        chain::health,
        chain::metrics,
        chain::status,
        chain::params,
        chain::proposals,
        chain::genesis,
        chain::supply,
        chain::epoch,
        chain::block,
        chain::finality,
        events::events,
        accounts::account,
        accounts::account_transactions,
        accounts::validators,
        global::global,
        market::models,
        market::model,
        blobs::weights,
        generations::generations,
        market::targets,
        market::target,
        blobs::target_data,
        market::submissions,
        market::submission,
        blobs::submission_data,
        market::audits,
        market::data,
        transactions::submit,
        transactions::simulate,
        transactions::transaction,
        transactions::faucet,
        score::score,
        blobs::blob,
        blobs::put_blob,
    ),
    components(schemas(soma_types::api::EventView))
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Serves the document.
pub async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
