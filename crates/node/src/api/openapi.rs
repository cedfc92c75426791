//! The interface described in OpenAPI 3.1.

use axum::Json;
use soma_http::document::Border;
use soma_scoring::score;
use utoipa::OpenApi;

use super::{accounts, blobs, chain, events, generations, global, market, proofs, transactions};

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
        proofs::account_proof,
        proofs::model_proof,
        proofs::target_proof,
        proofs::receipt_proof,
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
    components(schemas(soma_types::api::EventView, soma_types::TargetId)),
    modifiers(&Border)
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Everything in `value` that is called `key`.
    fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get(key));
                fields.values().for_each(|value| all(value, key, found));
            }
            Value::Array(items) => items.iter().for_each(|value| all(value, key, found)),
            _ => {}
        }
    }

    /// Clients are made from it: nothing is named that is not there, and no operation forgets its problems.
    #[test]
    fn the_document_is_whole() {
        let document = serde_json::to_value(document()).unwrap();
        let mut named = Vec::new();
        all(&document, "$ref", &mut named);
        assert!(named.len() > 100, "{}", named.len());
        for name in named {
            let path = name.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "there is no {name}");
        }
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                for status in ["400", "500", "503"] {
                    assert!(responses.contains_key(status), "{method} {path}: {status}");
                }
                for (status, response) in responses {
                    assert_ne!(
                        response["description"].as_str(),
                        Some(""),
                        "{method} {path}: {status}"
                    );
                    let is_problem = response["content"]["application/problem+json"].is_object();
                    assert_eq!(is_problem, !status.starts_with('2'), "{method} {path}: {status}");
                }
            }
        }
    }
}
