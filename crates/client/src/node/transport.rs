//! Sending a request: time, size, and repetition where that is allowed and helps.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
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
        let mut backoff = Backoff::new(self.options().retry_window);
        loop {
            let error = match self.send_once(request, &prepare, limit_bytes).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if request.repetition == Repetition::Harmful || !error.is_passing() || !backoff.is_open() {
                return Err(error);
            }
            backoff.pause().await;
        }
    }

    async fn send_once(
        &self,
        request: &Request,
        prepare: &impl Fn(RequestBuilder) -> RequestBuilder,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let (response, timeout) = self.respond(request, prepare).await?;
        self.body(request, response, limit_bytes, timeout).await
    }

    /// The beginning of a good answer, and within what time its end has to come.
    pub(super) async fn respond(
        &self,
        request: &Request,
        prepare: &impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<(Response, Duration), ClientError> {
        let timeout = match request.load {
            Load::Json => self.options().timeout,
            Load::Transaction => self.options().timeout.min(SUBMIT_TIMEOUT),
            Load::Blob => self.options().blob_timeout,
        };
        let builder = self
            .http
            .request(request.method.clone(), self.url(&request.path, &request.query))
            .timeout(timeout);
        let failed = |error: &reqwest::Error| self.failed(error, timeout);
        let response = prepare(builder).send().await.map_err(|error| failed(&error))?;
        if !response.status().is_success() {
            return Err(self.problem(request, response, timeout).await);
        }
        Ok((response, timeout))
    }

    /// What an answer says, if it is no longer than `limit_bytes`.
    pub(super) async fn body(
        &self,
        request: &Request,
        mut response: Response,
        limit_bytes: u64,
        timeout: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let too_large = || ClientError::AnswerTooLarge {
            request: request.name(),
            limit_bytes,
        };
        if response
            .content_length()
            .is_some_and(|length_bytes| length_bytes > limit_bytes)
        {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.failed(&error, timeout))?
        {
            if (bytes.len() + chunk.len()) as u64 > limit_bytes {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
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
            return Err(self.problem(&request, response, self.options().timeout).await);
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
