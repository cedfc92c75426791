//! One request, before it is sent.

use reqwest::Method;
use serde::Serialize;

use super::filter::Query;
use crate::error::ClientError;

pub(super) struct Request {
    pub method: Method,
    pub path: String,
    pub query: Query,
    pub repetition: Repetition,
    pub load: Load,
}

/// Whether sending a request twice does no more than sending it once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repetition {
    Harmless,
    Harmful,
}

/// What a request moves, and so how long it may take.
#[derive(Clone, Copy)]
pub(super) enum Load {
    Json,
    Transaction,
    Blob,
}

impl Request {
    /// A request that may be sent again where its answer is lost.
    pub fn repeatable(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            query: Query::new(),
            repetition: Repetition::Harmless,
            load: Load::Json,
        }
    }

    /// A request that is sent once.
    pub fn once(method: Method, path: &str) -> Self {
        Self {
            repetition: Repetition::Harmful,
            ..Self::repeatable(method, path)
        }
    }

    /// The same request, moving `load`.
    pub fn moving(self, load: Load) -> Self {
        Self { load, ..self }
    }

    /// Method and path.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The answer to it makes no sense.
    pub fn bad(&self, reason: String) -> ClientError {
        ClientError::BadAnswer {
            request: self.name(),
            reason,
        }
    }
}

/// A request's body as JSON.
pub(super) fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("requests are plain data with string keys")
}
