//! `POST /v1/score`: exact scores from a node or from `soma score serve`.
//!
//! Validators do not score for others unless told to: it takes the processor from consensus and audits, and
//! whoever has weights can score at home. A localnet does, within
//! [`Limits::beside_validators`](crate::Limits::beside_validators).

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use soma_http::{
    Error,
    body::{Media, body, json},
    problem::parse,
};
use soma_types::{
    Architecture, ContentHash, Seed,
    api::{
        Problem,
        score::{ContestView, DocumentView, OneOrMany, ScoreAnswer, ScoreRequest, ServedScores},
    },
};

use crate::service::{Contests, Entry, Job, JobError, Place, Service};

/// Names content that a node stores.
const CONTENT_PREFIX: &str = "soma:";

/// Where models and content come from.
pub trait Library: Send + Sync + 'static {
    /// The shape of all models.
    fn architecture(&self) -> Architecture;

    /// What directions are drawn from where the request does not say.
    fn seed(&self) -> impl Future<Output = Result<Seed, Error>> + Send;

    /// The model called `name`.
    fn entry(&self, name: &str) -> impl Future<Output = Result<Entry, Error>> + Send;

    /// Stored content, in memory if it is not longer than `size_bytes_max`.
    fn content(
        &self,
        hash: ContentHash,
        size_bytes_max: u64,
    ) -> impl Future<Output = Result<Content, Error>> + Send;
}

/// What a library has under a hash.
#[derive(Debug)]
pub enum Content {
    /// No such content.
    Missing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// More bytes than were asked for.
    TooLong {
        /// Their number.
        size_bytes: u64,
    },
}

/// A service and what it scores.
#[derive(Debug)]
pub struct Scoring<L> {
    /// What scores.
    pub service: Arc<Service>,
    /// Has the models.
    pub library: Arc<L>,
}

impl<L> Clone for Scoring<L> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            library: Arc::clone(&self.library),
        }
    }
}

/// The route, for any router.
pub fn router<L: Library, S: Clone + Send + Sync + 'static>(scoring: Scoring<L>) -> Router<S> {
    Router::new()
        .route("/v1/score", post(score::<L>))
        .with_state(scoring)
}

/// Scores documents exactly with models.
#[utoipa::path(post, path = "/v1/score", request_body = ScoreRequest,
    responses((status = 200, body = ServedScores), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 451, body = Problem),
        (status = 502, body = Problem), (status = 507, body = Problem),
        (status = 501, description = "This node does not score", body = Problem),
        (status = 503, description = "Too many requests wait (see Retry-After), or a model's weights cannot be had now", body = Problem)))]
pub async fn score<L: Library>(State(scoring): State<Scoring<L>>, request: Request) -> Response {
    // The place comes first: who has none is not even read.
    match scoring.service.enter() {
        Ok(place) => answer(&scoring, place, request).await.into_response(),
        Err(busy) => {
            let retry_after = [(header::RETRY_AFTER, busy.retry_after_seconds.to_string())];
            let error = Error::new(StatusCode::SERVICE_UNAVAILABLE, busy.to_string());
            (retry_after, error).into_response()
        }
    }
}

/// The answer of a node that does not score.
pub async fn off() -> Error {
    let detail = "this node does not score: run `soma score serve` on a machine of yours";
    Error::new(StatusCode::NOT_IMPLEMENTED, detail)
}

async fn answer<L: Library>(
    scoring: &Scoring<L>,
    place: Place,
    request: Request,
) -> Result<Json<ServedScores>, Error> {
    let Scoring { service, library } = scoring;
    let limits = service.limits();
    let body = body(request, Media::Json, limits.body_bytes_max).await?;
    let request: ScoreRequest = json(&body)?;
    let names = match &request.data {
        OneOrMany::One(text) => std::slice::from_ref(text),
        OneOrMany::Many(texts) => texts,
    };
    check_count("models", request.models.len(), limits.models_max)?;
    check_count("documents", names.len(), limits.documents_max)?;
    let mut documents = Vec::with_capacity(names.len());
    for (index, text) in names.iter().enumerate() {
        documents.push(document(library.as_ref(), index, text, limits.document_bytes_max).await?);
    }
    let mut models = Vec::with_capacity(request.models.len());
    for name in &request.models {
        models.push(library.entry(name).await?);
    }
    let seed = match request.seed {
        Some(seed) => seed,
        None => library.seed().await?,
    };
    let job = Job {
        models,
        architecture: library.architecture(),
        documents,
        seed,
    };
    let done = service.run(place, job).await.map_err(|error| refusal(&error))?;
    Ok(Json(ServedScores {
        weights: done.weights,
        scores: shaped(&request.data, done.contests)?,
    }))
}

fn check_count(what: &str, count: usize, limit: usize) -> Result<(), Error> {
    match count {
        0 => Err(Error::bad_request(format!("no {what}: give at least one"))),
        count if count > limit => {
            let detail = format!("{count} {what}, the limit is {limit}: ask in several requests");
            Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        _ => Ok(()),
    }
}

/// The bytes of one document of a request.
async fn document(library: &impl Library, index: usize, text: &str, limit: usize) -> Result<Vec<u8>, Error> {
    let bytes = match text.strip_prefix(CONTENT_PREFIX) {
        Some(hash) => {
            let hash: ContentHash = parse(hash)?;
            match library.content(hash, limit as u64).await? {
                Content::Bytes(bytes) => bytes,
                Content::Missing => return Err(Error::not_found("content", hash)),
                Content::TooLong { size_bytes } => return Err(too_long(index, size_bytes, limit)),
            }
        }
        None => STANDARD
            .decode(text)
            .map_err(|error| Error::bad_request(format!("document {index} is no base64: {error}")))?,
    };
    if bytes.len() > limit {
        return Err(too_long(index, bytes.len() as u64, limit));
    }
    Ok(bytes)
}

fn too_long(index: usize, size_bytes: u64, limit: usize) -> Error {
    let detail = format!("document {index} has {size_bytes} bytes, the limit is {limit}");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn refusal(error: &JobError) -> Error {
    let status = match error {
        JobError::Model { .. } | JobError::Score(_) => StatusCode::UNPROCESSABLE_ENTITY,
        JobError::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
        JobError::Unavailable { .. } | JobError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        JobError::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Error::new(status, error.to_string())
}

/// One document's contest alone, or all of them with their names.
fn shaped(data: &OneOrMany, contests: Contests) -> Result<ScoreAnswer, Error> {
    match data {
        OneOrMany::One(_) => match contests.into_iter().next() {
            Some(Ok(contest)) => Ok(ScoreAnswer::One(ContestView::from(&contest))),
            Some(Err(error)) => Err(refusal(&error.into())),
            None => Err(refusal(&JobError::Failed)),
        },
        OneOrMany::Many(texts) => {
            let view = |(index, (text, contest)): (usize, (&String, _))| {
                let data = if text.starts_with(CONTENT_PREFIX) {
                    text.clone()
                } else {
                    index.to_string()
                };
                match contest {
                    Ok(contest) => DocumentView::Scored {
                        data,
                        contest: ContestView::from(&contest),
                    },
                    Err(error) => DocumentView::Failed {
                        data,
                        error: soma_model::ScoreError::to_string(&error),
                    },
                }
            };
            let documents = texts.iter().zip(contests).enumerate().map(view).collect();
            Ok(ScoreAnswer::Many { documents })
        }
    }
}
