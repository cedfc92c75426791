//! Content: stored and served under its BLAKE3.

use std::net::Ipv4Addr;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use soma_blobs::{Expected, Location, Pouring, Store, StoreError};
use soma_http::{
    Error,
    body::{Media, check_media},
    connections::Peer,
};
use soma_ledger::view;
use soma_scoring::score::Content;
use soma_types::{
    ContentHash, ModelId, SubmissionId, TargetId, Url,
    api::{BlobView, Problem},
    objects::{Found, SubmissionStatus, TargetStatus},
};

use tokio::task::JoinError;

use super::{
    Api, Shared,
    problem::{of_fetch, of_store},
    request::InPath,
};

/// Runs disk work where it may block.
async fn on_disk<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    let store = store.clone();
    of_disk(tokio::task::spawn_blocking(move || work(store)).await)
}

fn of_disk<T>(done: Result<Result<T, StoreError>, JoinError>) -> Result<T, Error> {
    let done = done.map_err(|_| Error::new(StatusCode::INTERNAL_SERVER_ERROR, "the content store failed"))?;
    done.map_err(|error| of_store(&error))
}

/// Content that the store has, as an answer. It flows from the disk: weights are too many bytes for memory.
/// It is hashed before, as long as that takes: few at once.
async fn serve(api: &Shared, hash: ContentHash) -> Result<Response, Error> {
    let store = api.services.blobs.clone();
    let found = api.looks.blocking(move || store.body(&hash)).await;
    let body = of_disk(found)?;
    let body = Body::new(body.ok_or_else(|| Error::not_found("content", hash))?);
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Content that the store has, in memory if it is not longer than `size_bytes_max`.
pub(super) async fn stored(api: &Shared, hash: ContentHash, size_bytes_max: u64) -> Result<Content, Error> {
    let store = &api.services.blobs;
    if let Some(size_bytes) = store.length_bytes(&hash).filter(|size| *size > size_bytes_max) {
        return Ok(Content::TooLong { size_bytes });
    }
    let bytes = on_disk(store, move |store| store.get(&hash)).await?;
    Ok(bytes.map_or(Content::Missing, Content::Bytes))
}

/// Content by its hash.
#[utoipa::path(get, path = "/v1/blobs/{hash}", params(("hash" = ContentHash, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem), (status = 451, body = Problem)))]
pub async fn blob(State(api): Api, InPath(hash): InPath<ContentHash>) -> Result<Response, Error> {
    serve(&api, hash).await
}

/// Stores the body under its hash.
#[utoipa::path(put, path = "/v1/blobs/{hash}", params(("hash" = ContentHash, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = BlobView), (status = 411, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 451, body = Problem), (status = 507, body = Problem)))]
pub async fn put_blob(
    State(api): Api,
    InPath(hash): InPath<ContentHash>,
    request: axum::extract::Request,
) -> Result<(StatusCode, Json<BlobView>), Error> {
    check_media(request.headers(), Media::Octets)?;
    let store = &api.services.blobs;
    // What is needed stays anyway. What nobody needs yet stays for who brings it, once more all of it.
    let here = on_disk(store, move |store| {
        store.admit(&hash).map(|()| store.needed_bytes(&hash))
    });
    if let Some(size_bytes) = here.await? {
        return Ok((StatusCode::CREATED, Json(BlobView { hash, size_bytes })));
    }
    // No blob of the protocol is longer than the longest weights.
    let limit = api.query.genesis().params.weights_size_max_bytes;
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .ok_or_else(|| {
            Error::new(
                StatusCode::LENGTH_REQUIRED,
                "say how long the content is: Content-Length",
            )
        })?;
    if announced > limit {
        let detail = format!("{announced} bytes are more than the longest weights of this network ({limit})");
        return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let peer = request.extensions().get().copied();
    let Peer(peer) = peer.unwrap_or(Peer(Ipv4Addr::UNSPECIFIED.into()));
    let writer = on_disk(store, move |store| store.guest_writer(peer.into(), announced)).await?;
    let mut pouring = Pouring::into(writer);
    let mut body = Body::into_data_stream(request.into_body());
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Error::bad_request(format!("the body broke off: {error}")))?;
        let poured = pouring.push(&chunk).await;
        pouring = poured.map_err(|error| of_store(&error))?;
    }
    let stored = pouring.finish(move |writer| {
        let size_bytes = writer.written_bytes();
        writer.finish_as(hash).map(|_| size_bytes)
    });
    let size_bytes = stored.await.map_err(|error: StoreError| of_store(&error))?;
    Ok((StatusCode::CREATED, Json(BlobView { hash, size_bytes })))
}

/// Content from the store, or else from where its owner says it is; then the store has it.
async fn obtain(api: &Shared, url: &Url, expected: Expected) -> Result<Response, Error> {
    ensure(api, url, expected).await?;
    serve(api, expected.hash).await
}

/// Has the store hold content that its owner says is at `url`.
pub(super) async fn ensure(api: &Shared, url: &Url, expected: Expected) -> Result<(), Error> {
    let store = &api.services.blobs;
    store.admit(&expected.hash).map_err(|error| of_store(&error))?;
    if store.contains(&expected.hash) {
        return Ok(());
    }
    let Ok(Location::Http(address)) = Location::parse_public(url.as_str()) else {
        store
            .explain_absence(&expected.hash)
            .map_err(|error| of_store(&error))?;
        let detail = format!("this node does not hold {} ({url})", expected.hash);
        return Err(Error::new(StatusCode::NOT_FOUND, detail));
    };
    let fetched = api.services.fetcher.fetch_into(&address, expected, store).await;
    fetched.map_err(|error| of_fetch(&error, url))
}

/// A model's encrypted weights: those it competes with, else those revealed, else those committed.
#[utoipa::path(get, path = "/v1/models/{id}/weights", params(("id" = ModelId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem), (status = 451, body = Problem), (status = 502, body = Problem), (status = 507, body = Problem)))]
pub async fn weights(State(api): Api, InPath(id): InPath<ModelId>) -> Result<Response, Error> {
    let model = api.query.view(|state| view::model(state, id)).await?;
    let model = model.ok_or_else(|| Error::not_found("model", id))?;
    let committed = model
        .weights
        .map(|weights| weights.committed)
        .or(model.revealed.map(|weights| weights.committed))
        .or(model.committed)
        .ok_or_else(|| Error::new(StatusCode::NOT_FOUND, format!("model {id} has no weights yet")))?;
    obtain(
        &api,
        &committed.url,
        Expected {
            hash: committed.hash,
            size_bytes: committed.size_bytes,
        },
    )
    .await
}

/// The data that filled a target.
#[utoipa::path(get, path = "/v1/targets/{id}/data", params(("id" = TargetId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem), (status = 451, body = Problem), (status = 502, body = Problem), (status = 507, body = Problem)))]
pub async fn target_data(State(api): Api, InPath(id): InPath<TargetId>) -> Result<Response, Error> {
    let found = api.query.view(|state| {
        let Some(target) = view::target(state, id)? else {
            return Ok(None);
        };
        let TargetStatus::Filled { submission, .. } = target.status else {
            return Ok(Some(None));
        };
        Ok(Some(
            view::submission(state, submission)?.and_then(|submission| submission.found),
        ))
    });
    let found = found.await?.ok_or_else(|| Error::not_found("target", id))?;
    let found =
        found.ok_or_else(|| Error::new(StatusCode::NOT_FOUND, format!("target {id} has no winner")))?;
    obtain_data(&api, &found).await
}

/// The data of a submission that has won.
#[utoipa::path(get, path = "/v1/submissions/{id}/data", params(("id" = SubmissionId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, body = Problem), (status = 451, body = Problem), (status = 502, body = Problem), (status = 507, body = Problem)))]
pub async fn submission_data(State(api): Api, InPath(id): InPath<SubmissionId>) -> Result<Response, Error> {
    let submission = api.query.view(|state| view::submission(state, id)).await?;
    let submission = submission.ok_or_else(|| Error::not_found("submission", id))?;
    let has_won = matches!(
        submission.status,
        SubmissionStatus::Won | SubmissionStatus::Paid { .. } | SubmissionStatus::FoundFalse { .. }
    );
    let found = submission.found.filter(|_| has_won).ok_or_else(|| {
        let detail = format!("submission {id} has not won, so its data is its submitter's own");
        Error::new(StatusCode::NOT_FOUND, detail)
    })?;
    obtain_data(&api, &found).await
}

async fn obtain_data(api: &Shared, found: &Found) -> Result<Response, Error> {
    obtain(
        api,
        &found.data_url,
        Expected {
            hash: found.data_hash,
            size_bytes: found.data_size_bytes,
        },
    )
    .await
}
