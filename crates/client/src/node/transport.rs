//! Sending a request: time, size, and repetition where that is allowed and helps.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, header::CONTENT_LENGTH};
use serde::de::DeserializeOwned;
use soma_blobs::{Blob, BlobWriter, Expected, Pouring};
use url::Url;

use super::{
    NodeClient,
    backoff::Backoff,
    request::{Load, Repetition, Request},
};
use crate::error::ClientError;

/// A transaction is looked up when the node has not answered for so long.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);

impl NodeClient {
    /// GETs JSON at `path`.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> Result<T, ClientError> {
        let mut request = Request::repeatable(Method::GET, path);
        query.clone_into(&mut request.query);
        self.json(&request, |builder| builder).await
    }

    /// The answer to a question about one thing, if it is about that one.
    pub(super) async fn get_one<T: DeserializeOwned, N: Display + Eq>(
        &self,
        path: &str,
        asked: &N,
        named: impl Fn(&T) -> N,
    ) -> Result<T, ClientError> {
        let request = Request::repeatable(Method::GET, path);
        let found = self.json(&request, |builder| builder).await?;
        let about = named(&found);
        if about == *asked {
            Ok(found)
        } else {
            Err(request.bad(format!("it is about {about}")))
        }
    }

    /// Sends a request; its answer, read as JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let bytes = self
            .send(request, prepare, self.options().answer_bytes_max)
            .await?;
        serde_json::from_slice(&bytes).map_err(|error| request.bad(error.to_string()))
    }

    /// Sends a request, again if that is allowed and helps; the body of a good answer.
    pub(super) async fn send(
        &self,
        request: &Request,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, ClientError> {
        self.repeat(request, || async {
            let response = self.answer(request, &prepare).await?;
            self.body(request, response, limit_bytes).await
        })
        .await
    }

    /// Sends a request, again if that is allowed and helps; the bytes of a good answer, if they are those
    /// `expected`, or any.
    pub(super) async fn receive(
        &self,
        request: &Request,
        expected: Option<Expected>,
    ) -> Result<Blob, ClientError> {
        self.repeat(request, || async {
            let response = self.answer(request, |builder| builder).await?;
            self.blob_in(request, response, expected).await
        })
        .await
    }

    async fn repeat<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        request: &Request,
        attempt: impl Fn() -> F,
    ) -> Result<T, ClientError> {
        let mut backoff = Backoff::new(self.options().retry_window);
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if request.repetition == Repetition::Harmful || !error.is_passing() || !backoff.is_open() {
                return Err(error);
            }
            backoff.pause().await;
        }
    }

    /// How long a request may take.
    fn timeout(&self, request: &Request) -> Duration {
        match request.load {
            Load::Json => self.options().timeout,
            Load::Transaction => self.options().timeout.min(SUBMIT_TIMEOUT),
            Load::Blob => self.options().blob_timeout,
        }
    }

    /// Sends a request once; a good answer, of which only the head is read.
    async fn answer(
        &self,
        request: &Request,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let timeout = self.timeout(request);
        let builder = self
            .http
            .request(request.method.clone(), self.url(&request.path, &request.query))
            .timeout(timeout);
        let failed = |error: reqwest::Error| self.failed(&error, timeout);
        let built = prepare(builder).build().map_err(failed)?;
        self.counters.sent(request.load, body_bytes(&built));
        let response = self.http.execute(built).await.map_err(failed)?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.problem(request, response).await)
        }
    }

    /// What an answer says, if it is no longer than `limit_bytes`.
    pub(super) async fn body(
        &self,
        request: &Request,
        response: Response,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let mut answer = Answer::within(limit_bytes, self, request, response)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.next_chunk().await? {
            self.counters.talk(chunk.len() as u64);
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The bytes of an answer, if they are those `expected`. Those of a model are too many for memory.
    async fn blob_in(
        &self,
        request: &Request,
        response: Response,
        expected: Option<Expected>,
    ) -> Result<Blob, ClientError> {
        let mut answer = Answer::within(self.options().blob_bytes_max, self, request, response)?;
        let mut pouring = Pouring::into(BlobWriter::new(expected));
        while let Some(chunk) = answer.next_chunk().await? {
            self.counters.content(chunk.len() as u64);
            pouring = pouring.push(&chunk).await?;
        }
        pouring
            .finish(|writer| writer.finish().map_err(ClientError::from))
            .await
    }

    /// Opens `path` as an endless stream, after the event with the id given: no limit on its length, one on
    /// its silence.
    pub(crate) async fn open_stream(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        last_event_id: Option<&str>,
        silence_max: Duration,
    ) -> Result<Response, ClientError> {
        let request = Request::repeatable(Method::GET, path);
        let mut builder = self
            .http
            .get(self.url(path, query))
            .header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            builder = builder.header("last-event-id", id);
        }
        let response = match tokio::time::timeout(silence_max, builder.send()).await {
            Ok(response) => response.map_err(|error| self.failed(&error, silence_max))?,
            Err(_) => {
                return Err(ClientError::TimedOut {
                    node: self.address().to_owned(),
                    timeout: silence_max,
                });
            }
        };
        if !response.status().is_success() {
            return Err(self.problem(&request, response).await);
        }
        Ok(response)
    }

    pub(crate) fn stream_failed(&self, error: &reqwest::Error) -> ClientError {
        self.failed(error, self.options().timeout)
    }

    pub(super) fn url(&self, path: &str, query: &[(&'static str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// How long a request's body is: by its bytes, or as it says where they are on a disk.
fn body_bytes(request: &reqwest::Request) -> u64 {
    let held = request.body().and_then(reqwest::Body::as_bytes);
    let said = request.headers().get(CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse().ok());
    held.map_or(said.unwrap_or_default(), |bytes| bytes.len() as u64)
}

/// An answer being read, of a bounded length.
struct Answer<'a> {
    node: &'a NodeClient,
    request: &'a Request,
    response: Response,
    limit_bytes: u64,
    found_bytes: u64,
}

impl<'a> Answer<'a> {
    /// The answer to `request`, of which at most `limit_bytes` are read.
    fn within(
        limit_bytes: u64,
        node: &'a NodeClient,
        request: &'a Request,
        response: Response,
    ) -> Result<Self, ClientError> {
        let announced_bytes = response.content_length().unwrap_or_default();
        let answer = Self {
            node,
            request,
            response,
            limit_bytes,
            found_bytes: 0,
        };
        if announced_bytes > limit_bytes {
            return Err(answer.too_large());
        }
        Ok(answer)
    }

    fn too_large(&self) -> ClientError {
        ClientError::AnswerTooLarge {
            request: self.request.name(),
            limit_bytes: self.limit_bytes,
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let timeout = self.node.timeout(self.request);
        let chunk = self.response.chunk().await;
        let Some(chunk) = chunk.map_err(|error| self.node.failed(&error, timeout))? else {
            return Ok(None);
        };
        self.found_bytes = self.found_bytes.saturating_add(chunk.len() as u64);
        if self.found_bytes > self.limit_bytes {
            return Err(self.too_large());
        }
        Ok(Some(chunk))
    }
}
