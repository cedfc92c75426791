//! `POST /v1/score`: exact scores from a node or from `soma score serve`.
//!
//! Validators do not score for others unless told to: it takes the processor from consensus and audits, and
//! whoever has weights can score at home. A localnet does, within [`Limits::beside_validators`](crate::scoring::Limits::beside_validators).

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use soma_blobs::{DecryptionKey, Expected, decrypt};
use soma_ledger::view;
use soma_model::{Model, residency::memory_bytes_max};
use soma_types::{
    Architecture, ContentHash, ModelId, Seed,
    api::{
        Problem,
        score::{ContestView, DocumentView, OneOrMany, ScoreAnswer, ScoreRequest, ServedScores},
    },
};
use utoipa::OpenApi;

use super::{
    Shared, blobs,
    contract::{Contract, DOCUMENT_PATH, admit},
    problem::{self, Error, parse, shown},
    request::{Media, body, json},
};
use crate::{
    connections::{self, Bounds},
    descriptors,
    scoring::{Contests, Entry, Found, Job, JobError, LoadError, Place, Service},
    weights_file::{FileTrouble, WeightsFile},
};

/// How long requests in hand may take when the service is told to stop.
const GRACE: Duration = Duration::from_secs(10);
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

    /// Stored content.
    fn content(&self, hash: ContentHash) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;
}

/// A service and what it scores.
#[derive(Debug)]
pub struct Scoring<L> {
    /// Scores.
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
    responses((status = 200, body = ServedScores),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 408, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 422, body = Problem),
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
            let content = library.content(hash).await?;
            content.ok_or_else(|| Error::not_found("content", hash))?
        }
        None => STANDARD
            .decode(text)
            .map_err(|error| Error::bad_request(format!("document {index} is no base64: {error}")))?,
    };
    if bytes.len() > limit {
        let detail = format!("document {index} has {} bytes, the limit is {limit}", bytes.len());
        return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(bytes)
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

/// A node's library: revealed models by their ids, stored content, the current epoch's seed.
impl Library for Shared {
    fn architecture(&self) -> Architecture {
        self.query.genesis().params.architecture
    }

    async fn seed(&self) -> Result<Seed, Error> {
        let epoch = self.query.view(view::epoch).await?;
        Ok(epoch.ok_or_else(Error::not_started)?.seed)
    }

    async fn entry(&self, name: &str) -> Result<Entry, Error> {
        let id: ModelId = parse(name)?;
        let model = self.query.view(|state| view::model(state, id)).await?;
        let model = model.ok_or_else(|| Error::not_found("model", id))?;
        let weights = model.weights.or(model.revealed).ok_or_else(|| {
            let detail =
                format!("model {id} has not revealed its weights: nobody else can score with it yet");
            Error::new(StatusCode::CONFLICT, detail)
        })?;
        let (committed, architecture) = (weights.committed, model.architecture);
        let expected = Expected {
            hash: committed.hash,
            size_bytes: committed.size_bytes,
        };
        blobs::ensure(self, &committed.url, expected).await?;
        let (store, key) = (self.services.blobs.clone(), DecryptionKey::from(weights.key));
        let load = move || {
            let container = store
                .get(&committed.hash)
                .map_err(|error| LoadError::Unavailable(error.to_string()))?
                .ok_or_else(|| {
                    let reason = "its weights have just left the content store: try again";
                    LoadError::Unavailable(reason.to_owned())
                })?;
            let plain = decrypt(&container, &key).map_err(|error| LoadError::Unsound(error.to_string()))?;
            drop(container);
            Model::from_bytes(&plain, &architecture).map_err(|error| LoadError::Unsound(error.to_string()))
        };
        let found = Found {
            weights: committed.hash,
            size_bytes_max: memory_bytes_max(&architecture, committed.size_bytes),
            load: Box::new(load),
        };
        Ok(Entry {
            name: name.to_owned(),
            find: Box::new(|| Ok(found)),
        })
    }

    async fn content(&self, hash: ContentHash) -> Result<Option<Vec<u8>>, Error> {
        blobs::stored(self, hash).await
    }
}

/// Weights files under the names of the files. Each request finds in them what they hold then.
#[derive(Debug)]
pub struct Files {
    architecture: Architecture,
    files: BTreeMap<String, Arc<WeightsFile>>,
}

/// The most memory that the weights in `path` can take.
#[must_use]
pub fn memory_bytes_max_of(path: &Path, architecture: &Architecture) -> u64 {
    // A file that cannot be looked at will not be loaded either; what comes through a pipe may be of any size.
    let file_bytes = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => u64::MAX,
    };
    memory_bytes_max(architecture, file_bytes)
}

/// Files of one name.
#[derive(Debug, thiserror::Error)]
#[error("{} and {} are both called '{name}': rename one", .first.display(), .second.display())]
pub struct SameName {
    name: String,
    first: PathBuf,
    second: PathBuf,
}

impl Files {
    /// Files of `architecture`, each called by its name without folder and ending. None is opened yet: see
    /// [`Files::entry_of`].
    ///
    /// # Errors
    /// When two have the same name.
    pub fn new(
        architecture: Architecture,
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Self, SameName> {
        let mut named = BTreeMap::new();
        for second in files {
            let name = second.file_stem().unwrap_or(second.as_os_str());
            let name = name.to_string_lossy().into_owned();
            let file = Arc::new(WeightsFile::new(second.clone(), architecture));
            if let Some(first) = named.insert(name.clone(), file) {
                let first = first.path().to_owned();
                return Err(SameName { name, first, second });
            }
        }
        Ok(Self {
            architecture,
            files: named,
        })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The file called `name`.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.files.get(name).map(|file| file.path())
    }

    /// The model called `name`, with the weights that its file holds when they are looked for.
    #[must_use]
    pub fn entry_of(&self, name: &str) -> Option<Entry> {
        let file = Arc::clone(self.files.get(name)?);
        // Whoever asks cannot mend a file; whoever serves it can.
        let unavailable = |trouble: FileTrouble| LoadError::Unavailable(trouble.to_string());
        let find = move || {
            let seen = file.look().map_err(unavailable)?;
            Ok(Found {
                weights: seen.weights,
                size_bytes_max: seen.size_bytes_max,
                load: Box::new(move || file.load(seen.weights).map_err(unavailable)),
            })
        };
        Some(Entry {
            name: name.to_owned(),
            find: Box::new(find),
        })
    }
}

impl Library for Files {
    fn architecture(&self) -> Architecture {
        self.architecture
    }

    async fn seed(&self) -> Result<Seed, Error> {
        Ok(Seed::default())
    }

    async fn entry(&self, name: &str) -> Result<Entry, Error> {
        self.entry_of(name).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            Error::new(
                StatusCode::NOT_FOUND,
                format!("there is no model '{}' here, only {known}", shown(name)),
            )
        })
    }

    async fn content(&self, _: ContentHash) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }
}

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
        backend: service.scorer().simd().to_string(),
        models: library.names().map(str::to_owned).collect(),
        weights: library
            .files
            .iter()
            .filter_map(|(name, file)| Some((name.clone(), file.last()?)))
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
    paths(score, health)
)]
struct Document;

/// Serves weights files on `listener` until `stopped` ends; then requests in hand have [`GRACE`] to finish.
///
/// # Errors
/// If the listener fails.
pub async fn serve_files(
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
        .fallback(problem::no_such_path)
        .layer(middleware::from_fn_with_state(
            Arc::new(Contract::new(&Document::openapi())),
            admit,
        ));
    let stop = async move {
        stopped.await;
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            service.stop();
        });
    };
    let clients = descriptors::connections_alone(descriptors::raise_limit());
    connections::serve(listener, routes, Bounds::of(clients), stop).await
}
