//! `soma serve`: the routes, behind the border that all servers here have.

use std::{future::Future, io, net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::header,
    middleware,
    response::IntoResponse,
    routing::{get, post},
};
use serde::Serialize;
use soma_http::{
    connections::{self, Bounds},
    contract::{Contract, DOCUMENT_PATH, admit, no_such_path},
    descriptors,
    document::Border,
    exposition,
};
use soma_types::ContentHash;
use utoipa::OpenApi;

use crate::{
    completions::{__path_completions, completions},
    embeddings::{__path_embeddings, embeddings},
    state::Serving,
};

/// What may be asked for.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ModelList {
    /// `list`.
    pub object: &'static str,
    /// Each by its name; `whole` is all of them together.
    pub data: Vec<Served>,
}

/// A model, or all together.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Served {
    /// Its name.
    pub id: String,
    /// `model`.
    pub object: &'static str,
    /// Seconds since 1970; nobody knows.
    pub created: u64,
    /// `soma`.
    pub owned_by: &'static str,
    /// BLAKE3 of its weights files.
    #[schema(value_type = Vec<String>)]
    pub weights: Vec<ContentHash>,
}

/// What may be asked for.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList)))]
pub async fn list(State(serving): State<Serving>) -> Json<ModelList> {
    let models = serving.current().models;
    let served = |name: &str| {
        let chosen = models.chosen(name)?;
        Some(Served {
            id: name.to_owned(),
            object: "model",
            created: 0,
            owned_by: "soma",
            weights: models.of(&chosen).map(|expert| expert.weights).collect(),
        })
    };
    Json(ModelList {
        object: "list",
        data: models.names().filter_map(served).collect(),
    })
}

/// What was done, in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Metrics", body = String)))]
pub async fn metrics(State(serving): State<Serving>) -> impl IntoResponse {
    let text = serving.counts().counted().exposition();
    ([(header::CONTENT_TYPE, exposition::MEDIA_TYPE)], text)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SOMA models at work",
        description = "Completions and embeddings after OpenAI's interface; a token is a byte. Errors are RFC 9457 problem details.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(list, completions, embeddings, metrics),
    modifiers(&Border)
)]
struct Document;

/// The routes.
pub fn router(serving: Serving) -> Router {
    Router::new()
        .route("/v1/models", get(list))
        .route("/v1/completions", post(completions))
        .route("/v1/embeddings", post(embeddings))
        .route("/metrics", get(metrics))
        .route(DOCUMENT_PATH, get(async || Json(Document::openapi())))
        .with_state(serving)
        .fallback(no_such_path)
        .layer(middleware::from_fn_with_state(
            Arc::new(Contract::new(&Document::openapi())),
            admit,
        ))
}

/// Serves on `listener` until `stopped` ends.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    serving: Serving,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = router(serving);
    let clients = descriptors::connections_alone(descriptors::raise_limit());
    connections::serve(listener, routes, Bounds::of(clients), stopped).await
}
