//! A node's HTTP interface, typed (`soma_types::api` is its contract).
//!
//! # Bounds
//!
//! Every request has a time limit, every answer a size limit. Requests that change nothing, and submissions
//! of a transaction (which has a name, so that a second one is recognised), are repeated on a broken
//! connection or a busy node until [`NodeOptions::retry_window`] is over; others are sent once.
//!
//! A request without an answer may have been carried out ([`ClientError::is_lost`]).

mod address;
mod backoff;
mod batch;
mod blobs;
mod chain;
mod filter;
mod global;
mod lists;
mod market;
mod problem;
mod proofs;
mod request;
mod traffic;
mod transactions;
mod transport;
mod waiting;

use std::{fmt, sync::Arc, time::Duration};

use soma_blobs::http::{self, HttpError};
use soma_types::secrecy::{repeatable, without_credentials};
use url::Url;

use self::address::{base_of, is_loopback};
use crate::error::ClientError;

pub(crate) use self::backoff::Backoff;
pub use self::{
    filter::{ModelFilter, SubmissionFilter, TargetFilter},
    global::Global,
    lists::LIST_ITEMS_MAX,
    traffic::Traffic,
};

/// Where a localnet's first node listens.
pub const LOCAL_URL: &str = "http://127.0.0.1:9000";

/// Limits of a [`NodeClient`].
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// For one JSON request, from connecting to the last byte.
    pub timeout: Duration,
    /// For one blob, up or down.
    pub blob_timeout: Duration,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// How long requests that may be repeated are.
    pub retry_window: Duration,
    /// Longest JSON answer, in bytes.
    pub answer_bytes_max: u64,
    /// Longest blob, in bytes.
    pub blob_bytes_max: u64,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            blob_timeout: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(5),
            retry_window: Duration::from_secs(10),
            answer_bytes_max: 64 << 20,
            blob_bytes_max: 8 << 30,
        }
    }
}

/// One node, over HTTP. Clones share connections. User name and password of its URL go to the node and
/// nowhere else.
#[derive(Clone)]
pub struct NodeClient {
    http: reqwest::Client,
    /// What stands before `/v1`, without a slash at the end.
    base: Url,
    /// The base as people see it: without credentials.
    address: String,
    options: NodeOptions,
    counters: Arc<traffic::Counters>,
}

impl fmt::Debug for NodeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeClient({})", self.address)
    }
}

impl NodeClient {
    /// The node at `address`: a URL with or without `/v1` at its end, or `local` for a localnet on this
    /// machine. Sends nothing yet.
    ///
    /// # Errors
    /// When `address` is none, or no HTTP client can be built.
    pub fn new(address: &str) -> Result<Self, ClientError> {
        Self::with_options(address, NodeOptions::default())
    }

    /// [`NodeClient::new`] with other limits.
    ///
    /// # Errors
    /// When `address` is none, or no HTTP client can be built.
    pub fn with_options(address: &str, options: NodeOptions) -> Result<Self, ClientError> {
        let text = if matches!(address, "local" | "localnet") {
            LOCAL_URL
        } else {
            address
        };
        let base = base_of(text).map_err(|reason| ClientError::BadUrl {
            text: repeatable(text),
            reason,
        })?;
        let address = without_credentials(base.as_str().trim_end_matches('/')).into_owned();
        let mut builder = http::client_builder()?
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout);
        if is_loopback(&base) {
            // A proxy is for the outside.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(HttpError::from)?;
        Ok(Self {
            http,
            base,
            address,
            options,
            counters: Arc::default(),
        })
    }

    /// The node's address as it may be shown: without credentials, and without a slash at the end.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was moved so far, by this client and its clones.
    pub fn traffic(&self) -> Traffic {
        self.counters.now()
    }

    /// The limits.
    pub fn options(&self) -> &NodeOptions {
        &self.options
    }
}
