//! The ledger's changes as they happen.
//!
//! Upon a broken connection: reconnect, and resume after the last event by its id, or from its block at a
//! node that gives no ids; what was already given is left out. So each event comes once and in order. A node
//! that cannot resume there, because it no longer has the events or is on another network, says so, and that
//! is the error.
//!
//! # Failures
//!
//! A node that stays away for longer than the client's retry window ends the stream with the error; calling
//! [`EventStream::next`] again tries again.

use std::{collections::VecDeque, time::Duration};

use reqwest::Response;
use soma_types::{Height, api::EventView};

use crate::{
    error::ClientError,
    node::{Backoff, NodeClient},
    sse::Decoder,
};

const PATH: &str = "/v1/events";
/// A stream that is silent for longer is taken for dead. Nodes send comments more often than this.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An endless stream of events.
#[derive(Debug)]
pub struct EventStream {
    node: NodeClient,
    from: Option<Height>,
    last: Option<(Height, u32)>,
    /// The node's id of what came last.
    last_id: Option<String>,
    connection: Option<(Response, Decoder)>,
    waiting: VecDeque<EventView>,
}

impl EventStream {
    pub(crate) fn new(node: NodeClient, from: Option<Height>) -> Self {
        Self {
            node,
            from,
            last: None,
            last_id: None,
            connection: None,
            waiting: VecDeque::new(),
        }
    }

    /// Connects, so that nothing from now on is missed. [`EventStream::next`] does it too.
    ///
    /// # Errors
    /// When the node does not answer, or no longer has the events asked for.
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        if self.connection.is_none() {
            let from = self.last.map(|(height, _)| height).or(self.from);
            let query: Vec<_> = from
                .map(|height| ("from", height.to_string()))
                .into_iter()
                .collect();
            let response = self
                .node
                .open_stream(PATH, &query, self.last_id.as_deref(), SILENCE_MAX)
                .await?;
            self.connection = Some((response, Decoder::default()));
        }
        Ok(())
    }

    /// The next event. Waits for as long as it takes.
    ///
    /// # Errors
    /// When the node stays away for longer than the retry window, no longer has the events asked for, or
    /// sends what is no event.
    pub async fn next(&mut self) -> Result<EventView, ClientError> {
        let mut away: Option<Backoff> = None;
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            match self.receive().await {
                Ok(()) => away = None,
                Err(error) => {
                    self.connection = None;
                    let backoff = away.get_or_insert_with(|| Backoff::new(self.node.options().retry_window));
                    let passes = match &error {
                        ClientError::TimedOut { .. } => true,
                        error => error.is_passing(),
                    };
                    if !passes || !backoff.is_open() {
                        return Err(error);
                    }
                    backoff.pause().await;
                }
            }
        }
    }

    /// Reads what comes next into `waiting`.
    async fn receive(&mut self) -> Result<(), ClientError> {
        self.connect().await?;
        let Some((response, decoder)) = &mut self.connection else {
            return Ok(());
        };
        let ended = |reason: &str| ClientError::Broken {
            node: self.node.address().to_owned(),
            reason: reason.to_owned(),
        };
        let chunk = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.node.stream_failed(&error))?,
            Err(_) => return Err(ended("its event stream fell silent")),
        };
        let Some(chunk) = chunk else {
            return Err(ended("its event stream ended"));
        };
        let messages = decoder.push(&chunk)?;
        let last_id = decoder.last_id().map(str::to_owned);
        for message in messages {
            if message.data.is_empty() {
                continue;
            }
            let event: EventView =
                serde_json::from_str(&message.data).map_err(|error| ClientError::BadAnswer {
                    request: format!("GET {PATH}"),
                    reason: error.to_string(),
                })?;
            let place = (event.height, event.index);
            if self.last.is_none_or(|last| place > last) {
                self.last = Some(place);
                self.waiting.push_back(event);
            }
        }
        // Not before all that came with it is kept.
        if last_id.is_some() {
            self.last_id = last_id;
        }
        Ok(())
    }
}
