//! `soma serve`: the routes, behind the border that all servers here have.

use std::{future::Future, io, net::TcpListener, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::header,
    middleware,
    response::IntoResponse,
    routing::{get, post},
};
use serde::Serialize;
use soma_http::{
    Error,
    connections::{self, Bounds},
    contract::{Contract, DOCUMENT_PATH, admit, no_such_path},
    descriptors,
    document::Border,
    exposition,
};
use soma_types::{ContentHash, api::Problem};
use utoipa::OpenApi;

use crate::{
    completions::{__path_completions, completions},
    embeddings::{__path_embeddings, embeddings},
    models::Models,
    refusal::{InEither, in_either},
    request::unknown,
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

impl Served {
    /// Who is called `name`; none where nobody is.
    fn of(models: &Models, name: &str) -> Option<Self> {
        let chosen = models.chosen(name)?;
        Some(Self {
            id: name.to_owned(),
            object: "model",
            created: 0,
            owned_by: "soma",
            weights: models.of(&chosen).map(|expert| expert.weights).collect(),
        })
    }
}

/// What may be asked for.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList)))]
pub async fn list(State(serving): State<Serving>) -> Json<ModelList> {
    let models = serving.current().models;
    let served = models.names().filter_map(|name| Served::of(&models, name));
    Json(ModelList {
        object: "list",
        data: served.collect(),
    })
}

/// One of them.
///
/// # Errors
/// When there is none of that name.
#[utoipa::path(get, path = "/v1/models/{id}", params(("id" = String, Path, description = "Its name")),
    responses((status = 200, body = Served), (status = 404, body = Problem)))]
pub async fn retrieve(
    State(serving): State<Serving>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Served>, Error> {
    let Path(name) = id.map_err(Error::bad_request)?;
    let models = serving.current().models;
    let served = Served::of(&models, &name).ok_or_else(|| unknown(&models, &name))?;
    Ok(Json(served))
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
        description = "Completions and embeddings after OpenAI's interface; a token is a byte. Errors are RFC 9457 problem details, with OpenAI's `error` beside them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(list, retrieve, completions, embeddings, metrics),
    modifiers(&Border, &InEither)
)]
struct Document;

/// The routes.
pub fn router(serving: Serving) -> Router {
    Router::new()
        .route("/v1/models", get(list))
        .route("/v1/models/{id}", get(retrieve))
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
        .layer(middleware::from_fn(in_either))
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
