//! `soma score serve`: the scoring service alone, over weights files.

use std::{collections::BTreeMap, future::Future, io, net::TcpListener, sync::Arc};

use axum::{Json, Router, extract::State, middleware, routing::get};
use serde::{Deserialize, Serialize};
use soma_http::{
    connections::{self, Bounds},
    contract::{Contract, DOCUMENT_PATH, admit, no_such_path},
    descriptors,
    document::Border,
};
use soma_types::ContentHash;
use utoipa::OpenApi;

use crate::{
    files::Files,
    // What utoipa wrote down of the handler `score`.
    score::{__path_score, Scoring, router},
};

/// How a scoring service stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// What it computes with.
    pub backend: String,
    /// The models it offers.
    pub models: Vec<String>,
    /// BLAKE3 of each model's weights file as it was last read.
    #[schema(value_type = BTreeMap<String, String>)]
    pub weights: BTreeMap<String, ContentHash>,
    /// Memory that resident models take.
    pub resident_bytes: u64,
    /// Memory that they may take.
    pub memory_bytes: u64,
    /// Requests that are served or wait.
    pub requests: usize,
    /// Requests that may.
    pub requests_max: usize,
}

/// How the service stands.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)))]
pub async fn health(State(Scoring { service, library }): State<Scoring<Files>>) -> Json<Health> {
    let limits = service.limits();
    Json(Health {
        backend: service.scorer().backend(),
        models: library.names().map(str::to_owned).collect(),
        weights: library
            .last()
            .map(|(name, weights)| (name.to_owned(), weights))
            .collect(),
        resident_bytes: service.resident_bytes(),
        memory_bytes: limits.memory_bytes,
        requests: service.requests(),
        requests_max: limits.waiting_max + 1,
    })
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SOMA scoring service",
        description = "Exact scores of documents by models. Errors are RFC 9457 problem details.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(score, health),
    modifiers(&Border)
)]
struct Document;

/// Serves weights files on `listener` until `stopped` ends; then requests in hand have
/// [`connections::GRACE`] to finish.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    scoring: Scoring<Files>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = Arc::clone(&scoring.service);
    let routes = Router::new()
        .route("/health", get(health))
        .route(DOCUMENT_PATH, get(async || Json(Document::openapi())))
        .with_state(scoring.clone())
        .merge(router(scoring))
        .fallback(no_such_path)
        .layer(middleware::from_fn_with_state(
            Arc::new(Contract::new(&Document::openapi())),
            admit,
        ));
    let stop = async move {
        stopped.await;
        tokio::spawn(async move {
            tokio::time::sleep(connections::GRACE).await;
            service.stop();
        });
    };
    let clients = descriptors::connections_alone(descriptors::raise_limit());
    connections::serve(listener, routes, Bounds::of(clients), stop).await
}
