//! A node's HTTP interface, typed (`soma_types::api` is its contract).
//!
//! # Bounds
//!
//! Every request has a time limit, every answer a size limit. Requests that change nothing, and submissions
//! of a transaction (which has a name, so that a second one is recognised), are repeated on a broken
//! connection or a busy node until [`NodeOptions::retry_window`] is over; others are sent once.
//!
//! # Lost answers
//!
//! A request without an answer may have been carried out ([`ClientError::is_lost`]). [`NodeClient::submit`] then looks
//! the transaction up, and says [`ClientError::OutcomeUnknown`] where that does not tell.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use soma_blobs::http::{self, HttpError};
use soma_types::api::{
    AccountView, BlobView, BlockView, DataView, EpochView, FaucetRequest, FinalityView, ModelView,
    PAGE_ITEMS_MAX, Page, Problem, ProposalView, Simulated, Status, SubmissionView, Submitted, Supply,
    TargetView, TransactionView, ValidatorView,
};
use soma_types::genesis::Genesis;
use soma_types::objects::ModelStatus;
use soma_types::params::Params;
use soma_types::secrecy::{repeatable, without_credentials};
use soma_types::text::printable;
use soma_types::{
    Address, ContentHash, Epoch, Height, ModelId, Receipt, Shannons, SignedTransaction, SubmissionId,
    TargetId, TransactionHash,
};
use url::{Host, Url};

use crate::error::ClientError;
use crate::events::EventStream;
use crate::flows::verified;

/// Where a localnet's first node listens.
pub const LOCAL_URL: &str = "http://127.0.0.1:9000";
/// Most items that the methods returning whole lists collect.
pub const LIST_ITEMS_MAX: usize = 100_000;
/// Most pages that they ask for.
const LIST_PAGES_MAX: usize = 10_000;

const RETRY_DELAY_FIRST: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);
/// A transaction is looked up when the node has not answered for so long.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// An error answer is read up to this length.
const PROBLEM_LENGTH_BYTES_MAX: u64 = 64 << 10;

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

/// Which models to list.
#[derive(Clone, Debug, Default)]
pub struct ModelFilter {
    /// Only those that stand so.
    pub status: Option<ModelStatus>,
    /// Only this owner's.
    pub owner: Option<Address>,
}

/// How a listed target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetPhase {
    /// Waits for a hit.
    Open,
    /// Has a valid reveal.
    Settling,
    /// Has a winner.
    Filled,
}

/// Which targets to list.
#[derive(Clone, Debug, Default)]
pub struct TargetFilter {
    /// Only those that stand so.
    pub phase: Option<TargetPhase>,
    /// Only this epoch's; the current one's where left out.
    pub epoch: Option<Epoch>,
}

/// How a listed submission stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionPhase {
    /// Waits for its reveal.
    Committed,
    /// Valid, in its target's race.
    Revealed,
    /// Won, not yet paid.
    Won,
    /// Another won.
    LostRace,
    /// Its data was another's.
    NotNew,
    /// Never revealed.
    Expired,
    /// Won and was paid.
    Paid,
    /// Found false.
    FoundFalse,
}

/// Which submissions to list.
#[derive(Clone, Debug, Default)]
pub struct SubmissionFilter {
    /// Only this account's.
    pub submitter: Option<Address>,
    /// Only for this target.
    pub target: Option<TargetId>,
    /// Only those that stand so.
    pub phase: Option<SubmissionPhase>,
}

type Query = Vec<(&'static str, String)>;

impl ModelFilter {
    fn query(&self) -> Query {
        let mut query = Query::new();
        if let Some(status) = self.status {
            let status = match status {
                ModelStatus::Created => "created",
                ModelStatus::Active => "active",
                ModelStatus::Stale => "stale",
                ModelStatus::Retired => "retired",
            };
            query.push(("status", status.to_owned()));
        }
        query.extend(self.owner.map(|owner| ("owner", owner.to_string())));
        query
    }
}

impl TargetFilter {
    fn query(&self) -> Query {
        let mut query = Query::new();
        if let Some(phase) = self.phase {
            let phase = match phase {
                TargetPhase::Open => "open",
                TargetPhase::Settling => "settling",
                TargetPhase::Filled => "filled",
            };
            query.push(("status", phase.to_owned()));
        }
        query.extend(self.epoch.map(|epoch| ("epoch", epoch.to_string())));
        query
    }
}

impl SubmissionFilter {
    fn query(&self) -> Query {
        let mut query = Query::new();
        query.extend(
            self.submitter
                .map(|submitter| ("submitter", submitter.to_string())),
        );
        query.extend(self.target.map(|target| ("target", target.to_string())));
        if let Some(phase) = self.phase {
            let phase = match phase {
                SubmissionPhase::Committed => "committed",
                SubmissionPhase::Revealed => "revealed",
                SubmissionPhase::Won => "won",
                SubmissionPhase::LostRace => "lost_race",
                SubmissionPhase::NotNew => "not_new",
                SubmissionPhase::Expired => "expired",
                SubmissionPhase::Paid => "paid",
                SubmissionPhase::FoundFalse => "found_false",
            };
            query.push(("status", phase.to_owned()));
        }
        query
    }
}

/// One node, over HTTP. Clones share connections. User name and password of its URL go to the node and nowhere else.
#[derive(Clone)]
pub struct NodeClient {
    http: reqwest::Client,
    /// What stands before `/v1`, without a slash at the end.
    base: Url,
    /// The base as people see it: without credentials.
    address: String,
    options: NodeOptions,
}

impl fmt::Debug for NodeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeClient({})", self.address)
    }
}

impl NodeClient {
    /// The node at `address`: a URL with or without `/v1` at its end, or `local` for a localnet on this machine.
    /// Sends nothing yet.
    pub fn new(address: &str) -> Result<Self, ClientError> {
        Self::with_options(address, NodeOptions::default())
    }

    /// [`NodeClient::new`] with other limits.
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
        })
    }

    /// The node's address as it may be shown: without credentials, and without a slash at the end.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The limits.
    pub fn options(&self) -> &NodeOptions {
        &self.options
    }

    /// How the node stands.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status", &[]).await
    }

    /// The protocol's parameters in force.
    pub async fn params(&self) -> Result<Params, ClientError> {
        self.get("/v1/params", &[]).await
    }

    /// How the network began.
    pub async fn genesis(&self) -> Result<Genesis, ClientError> {
        self.get("/v1/genesis", &[]).await
    }

    /// Where every shannon is.
    pub async fn supply(&self) -> Result<Supply, ClientError> {
        self.get("/v1/supply", &[]).await
    }

    /// An epoch; the current one for `None`.
    pub async fn epoch(&self, epoch: Option<Epoch>) -> Result<EpochView, ClientError> {
        self.get(&format!("/v1/epochs/{}", latest(epoch)), &[]).await
    }

    /// An account.
    pub async fn account(&self, address: &Address) -> Result<AccountView, ClientError> {
        self.get(&format!("/v1/accounts/{address}"), &[]).await
    }

    /// A page of an account's transactions, latest first.
    pub async fn account_transactions(
        &self,
        address: &Address,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<TransactionView>, ClientError> {
        self.page(
            &format!("/v1/accounts/{address}/transactions"),
            Query::new(),
            cursor,
            limit,
        )
        .await
    }

    /// All validators.
    pub async fn validators(&self) -> Result<Vec<ValidatorView>, ClientError> {
        self.list("/v1/validators", &Query::new()).await
    }

    /// All proposed changes of the protocol.
    pub async fn proposals(&self) -> Result<Vec<ProposalView>, ClientError> {
        self.list("/v1/proposals", &Query::new()).await
    }

    /// All models that `filter` admits.
    pub async fn models(&self, filter: &ModelFilter) -> Result<Vec<ModelView>, ClientError> {
        self.list("/v1/models", &filter.query()).await
    }

    /// A model.
    pub async fn model(&self, model: &ModelId) -> Result<ModelView, ClientError> {
        self.get(&format!("/v1/models/{model}"), &[]).await
    }

    /// A model's encrypted weights as the node has them. [`crate::flows`] fetches, checks and decrypts.
    pub async fn model_weights(&self, model: &ModelId) -> Result<Vec<u8>, ClientError> {
        self.get_bytes(
            &format!("/v1/models/{model}/weights"),
            self.options.blob_bytes_max,
        )
        .await
    }

    /// All targets that `filter` admits, latest first.
    pub async fn targets(&self, filter: &TargetFilter) -> Result<Vec<TargetView>, ClientError> {
        self.list("/v1/targets", &filter.query()).await
    }

    /// A target.
    pub async fn target(&self, target: &TargetId) -> Result<TargetView, ClientError> {
        self.get(&format!("/v1/targets/{target}"), &[]).await
    }

    /// The data that won a target, as the node has it.
    pub async fn target_data(&self, target: &TargetId) -> Result<Vec<u8>, ClientError> {
        self.get_bytes(&format!("/v1/targets/{target}/data"), self.options.blob_bytes_max)
            .await
    }

    /// A page of submissions that `filter` admits, latest first.
    pub async fn submissions_page(
        &self,
        filter: &SubmissionFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<SubmissionView>, ClientError> {
        self.page("/v1/submissions", filter.query(), cursor, limit).await
    }

    /// All submissions that `filter` admits, latest first.
    pub async fn submissions(&self, filter: &SubmissionFilter) -> Result<Vec<SubmissionView>, ClientError> {
        self.list("/v1/submissions", &filter.query()).await
    }

    /// A submission.
    pub async fn submission(&self, submission: &SubmissionId) -> Result<SubmissionView, ClientError> {
        self.get(&format!("/v1/submissions/{submission}"), &[]).await
    }

    /// Whose data a hash names; `None` where it is new to the ledger.
    pub async fn data_claim(&self, data: &ContentHash) -> Result<Option<DataView>, ClientError> {
        match self.get(&format!("/v1/data/{data}"), &[]).await {
            Ok(view) => Ok(Some(view)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The winners on which `auditor` has a vote in the current epoch: as one of their auditors, or once hearings have
    /// begun as one of the committee. Challenged ones are among them once their auditors are drawn.
    pub async fn audits(&self, auditor: &Address) -> Result<Vec<SubmissionView>, ClientError> {
        self.list("/v1/audits", &vec![("auditor", auditor.to_string())])
            .await
    }

    /// A finalized block; the last for `None`.
    pub async fn block(&self, height: Option<Height>) -> Result<BlockView, ClientError> {
        self.get(&format!("/v1/blocks/{}", latest(height)), &[]).await
    }

    /// The certificate of a finalized block.
    pub async fn finality(&self, height: Height) -> Result<FinalityView, ClientError> {
        self.get(&format!("/v1/finality/{height}"), &[]).await
    }

    /// A transaction, or `None` where the node does not know it.
    pub async fn transaction(&self, hash: &TransactionHash) -> Result<Option<TransactionView>, ClientError> {
        match self.get(&format!("/v1/transactions/{hash}"), &[]).await {
            Ok(view) => Ok(Some(view)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a signed transaction in. Handing it in again is harmless.
    ///
    /// A refusal is an error of its own; where the transaction may have been taken up although no good answer came,
    /// the error is [`ClientError::OutcomeUnknown`].
    pub async fn submit(&self, transaction: &SignedTransaction) -> Result<TransactionHash, ClientError> {
        let (start, mut delay, mut lost) = (Instant::now(), RETRY_DELAY_FIRST, false);
        let hash = transaction.hash();
        loop {
            let error = match self.submit_once(transaction).await {
                Ok(()) => return Ok(hash),
                Err(error) => error,
            };
            lost |= error.is_lost();
            // An earlier answer was lost, or an earlier process handed it in: it may be there.
            if (lost || error.is_conflict()) && self.has(transaction).await {
                return Ok(hash);
            }
            let again = (error.is_lost() || error.is_passing())
                && start.elapsed() + delay <= self.options.retry_window;
            if !again {
                return Err(if lost {
                    ClientError::OutcomeUnknown {
                        hash,
                        expires: transaction.transaction.expires,
                        cause: Box::new(error),
                    }
                } else {
                    error
                });
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn submit_once(&self, transaction: &SignedTransaction) -> Result<(), ClientError> {
        let (body, hash) = (transaction.encode(), transaction.hash());
        let request = Request {
            load: Load::Transaction,
            ..Request::new(Method::POST, "/v1/transactions", false)
        };
        let submitted: Submitted = self
            .json(&request, |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .body(body.clone())
            })
            .await?;
        if submitted.hash == hash {
            Ok(())
        } else {
            Err(request.bad(format!(
                "it calls the transaction {}, it is {hash}",
                submitted.hash
            )))
        }
    }

    /// Whether the node is known to have a transaction.
    async fn has(&self, transaction: &SignedTransaction) -> bool {
        matches!(self.transaction_of(transaction).await, Ok(Some(_)))
    }

    /// What the node knows of a transaction; an answer about another one is an error.
    pub async fn transaction_of(
        &self,
        transaction: &SignedTransaction,
    ) -> Result<Option<TransactionView>, ClientError> {
        let hash = transaction.hash();
        let Some(view) = self.transaction(&hash).await? else {
            return Ok(None);
        };
        let body = &transaction.transaction;
        let is_receipt_of = |receipt: &Receipt| {
            receipt.transaction == hash
                && receipt.sender == body.sender.address()
                && receipt.fee <= body.max_fee
        };
        if view.hash == hash && view.transaction == *body && view.receipt.as_ref().is_none_or(is_receipt_of) {
            Ok(Some(view))
        } else {
            Err(ClientError::BadAnswer {
                request: format!("GET /v1/transactions/{hash}"),
                reason: "it describes another transaction".to_owned(),
            })
        }
    }

    /// What a signed transaction would lead to in the next block.
    pub async fn simulate(&self, transaction: &SignedTransaction) -> Result<Simulated, ClientError> {
        let body = transaction.encode();
        self.json(
            &Request::new(Method::POST, "/v1/transactions/simulate", true),
            |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .body(body.clone())
            },
        )
        .await
    }

    /// Asks a localnet's faucet to pay `address`; the paying transaction.
    pub async fn faucet(
        &self,
        address: &Address,
        amount: Option<Shannons>,
    ) -> Result<TransactionHash, ClientError> {
        let body = encode(&FaucetRequest {
            address: *address,
            amount,
        });
        let submitted: Submitted = self
            .json(&Request::new(Method::POST, "/v1/faucet", false), |builder| {
                builder
                    .header("content-type", "application/json")
                    .body(body.clone())
            })
            .await?;
        Ok(submitted.hash)
    }

    /// Hands bytes to the node's store; their name.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<ContentHash, ClientError> {
        let hash = ContentHash::of(&bytes);
        // Repeating a large body needs its bytes more than once; they are shared, not copied.
        let bytes = bytes::Bytes::from(bytes);
        let request = Request {
            load: Load::Blob,
            ..Request::new(Method::PUT, &format!("/v1/blobs/{hash}"), true)
        };
        let view: BlobView = self
            .json(&request, |builder| {
                builder
                    .header("content-type", "application/octet-stream")
                    .body(bytes.clone())
            })
            .await?;
        if view.hash != hash {
            return Err(request.bad(format!("it calls the bytes {}, they are {hash}", view.hash)));
        }
        Ok(hash)
    }

    /// The bytes named `hash`, verified.
    pub async fn blob(&self, hash: &ContentHash) -> Result<Vec<u8>, ClientError> {
        verified(
            self.get_bytes(&format!("/v1/blobs/{hash}"), self.options.blob_bytes_max)
                .await?,
            *hash,
        )
    }

    /// Where the node serves `hash`, for [`soma_blobs::Fetcher`].
    pub fn blob_url(&self, hash: &ContentHash) -> Url {
        self.url(&format!("/v1/blobs/{hash}"), &[])
    }

    /// What changes in the ledger from block `from` on, or from now on. Reconnects by itself.
    pub fn events(&self, from: Option<Height>) -> EventStream {
        EventStream::new(self.clone(), from)
    }

    /// GETs JSON at `path`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&'static str, String)],
    ) -> Result<T, ClientError> {
        let mut request = Request::new(Method::GET, path, true);
        query.clone_into(&mut request.query);
        self.json(&request, |builder| builder).await
    }

    async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        mut query: Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<T>, ClientError> {
        query.push(("limit", limit.clamp(1, PAGE_ITEMS_MAX).to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.get(path, &query).await
    }

    async fn list<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        // A page may be empty and not the last: the node looks at a bounded number of places for each.
        for _ in 0..LIST_PAGES_MAX {
            let page: Page<T> = self
                .page(path, query.clone(), cursor.as_deref(), PAGE_ITEMS_MAX)
                .await?;
            items.extend(page.items);
            match page.next {
                // A cursor that stands still would go on for ever.
                Some(next) if cursor.as_ref() != Some(&next) && items.len() < LIST_ITEMS_MAX => {
                    cursor = Some(next);
                }
                _ => break,
            }
        }
        Ok(items)
    }

    async fn get_bytes(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, ClientError> {
        let request = Request {
            load: Load::Blob,
            ..Request::new(Method::GET, path, true)
        };
        self.send(&request, |builder| builder, limit_bytes).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: &Request,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let bytes = self.send(request, prepare, self.options.answer_bytes_max).await?;
        serde_json::from_slice(&bytes).map_err(|error| request.bad(error.to_string()))
    }

    /// Sends a request, again if that is allowed and helps; the body of a good answer.
    async fn send(
        &self,
        request: &Request,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let start = Instant::now();
        let mut delay = RETRY_DELAY_FIRST;
        loop {
            let error = match self.send_once(request, &prepare, limit_bytes).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if !request.repeatable
                || !error.is_passing()
                || start.elapsed() + delay > self.options.retry_window
            {
                return Err(error);
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn send_once(
        &self,
        request: &Request,
        prepare: &impl Fn(RequestBuilder) -> RequestBuilder,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let timeout = match request.load {
            Load::Json => self.options.timeout,
            Load::Transaction => self.options.timeout.min(SUBMIT_TIMEOUT),
            Load::Blob => self.options.blob_timeout,
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
        self.body(request, response, limit_bytes, timeout).await
    }

    async fn body(
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

    /// The error that an answer carries; a plain one where it carries none.
    async fn problem(&self, request: &Request, response: Response, timeout: Duration) -> ClientError {
        let status = response.status();
        let location = response
            .headers()
            .get("location")
            .filter(|_| status.is_redirection());
        if let Some(location) = location {
            let location = String::from_utf8_lossy(location.as_bytes());
            let text = format!("it points to {}: give that address", printable(&location));
            return ClientError::Problem(Box::new(plain_problem(request, status, &text)));
        }
        let body = match self
            .body(request, response, PROBLEM_LENGTH_BYTES_MAX, timeout)
            .await
        {
            Ok(body) => body,
            Err(ClientError::AnswerTooLarge { .. }) => Vec::new(),
            Err(error) => return error,
        };
        let problem = match serde_json::from_slice(&body) {
            Ok(problem) => problem,
            Err(_) => {
                let text = String::from_utf8_lossy(&body);
                let line = text.lines().next().unwrap_or_default();
                let text = line.chars().take(200).collect::<String>().trim().to_owned();
                // A node gives its reasons; gateways do not.
                if matches!(status.as_u16(), 502..=504) {
                    return ClientError::Hop {
                        request: request.name(),
                        status: status.to_string(),
                        text,
                    };
                }
                plain_problem(request, status, &text)
            }
        };
        ClientError::Problem(Box::new(Problem {
            status: status.as_u16(),
            ..problem
        }))
    }

    fn failed(&self, error: &reqwest::Error, timeout: Duration) -> ClientError {
        let node = self.address().to_owned();
        let reason = reason(error);
        if error.is_connect() {
            ClientError::Unreachable { node, reason }
        } else if error.is_timeout() {
            ClientError::TimedOut { node, timeout }
        } else {
            ClientError::Broken { node, reason }
        }
    }

    /// Opens `path` as an endless stream, after the event with the id given: no limit on its length, one on its silence.
    pub(crate) async fn open_stream(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        last_event_id: Option<&str>,
        silence_max: Duration,
    ) -> Result<Response, ClientError> {
        let mut request = Request::new(Method::GET, path, true);
        query.clone_into(&mut request.query);
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
            return Err(self.problem(&request, response, self.options.timeout).await);
        }
        Ok(response)
    }

    pub(crate) fn stream_failed(&self, error: &reqwest::Error) -> ClientError {
        self.failed(error, self.options.timeout)
    }

    fn url(&self, path: &str, query: &[(&'static str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// One request, before it is sent.
struct Request {
    method: Method,
    path: String,
    query: Query,
    /// Whether sending it twice does no more than sending it once.
    repeatable: bool,
    load: Load,
}

/// What a request moves, and so how long it may take.
enum Load {
    Json,
    Transaction,
    Blob,
}

impl Request {
    fn new(method: Method, path: &str, repeatable: bool) -> Self {
        Self {
            method,
            path: path.to_owned(),
            query: Query::new(),
            repeatable,
            load: Load::Json,
        }
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn bad(&self, reason: String) -> ClientError {
        ClientError::BadAnswer {
            request: self.name(),
            reason,
        }
    }
}

fn plain_problem(request: &Request, status: StatusCode, text: &str) -> Problem {
    let mut detail = format!("the node answered {status} to {}", request.name());
    if !text.is_empty() {
        detail.push_str(": ");
        detail.push_str(text);
    }
    Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("error").to_owned(),
        status: status.as_u16(),
        detail,
        code: None,
        name: None,
    }
}

/// The useful end of a transport error: its innermost cause.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("requests are plain data with string keys")
}

fn latest(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "latest".to_owned(), |number| number.to_string())
}

/// What stands before `/v1` in a node's address, or why the text is none.
fn base_of(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if !text.contains("://") {
        return Err(format!(
            "it has no scheme: try http://{}",
            without_credentials(text)
        ));
    }
    let mut base = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(format!("its scheme is {}, not http or https", base.scheme()));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("it has a query or a fragment: give only what stands before /v1".to_owned());
    }
    let path = base.path().trim_end_matches('/');
    let path = path
        .strip_suffix("/v1")
        .unwrap_or(path)
        .trim_end_matches('/')
        .to_owned();
    base.set_path(&path);
    Ok(base)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
