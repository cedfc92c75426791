//! The HTTP interface (docs/interfaces.md). What it answers is defined in [`soma_types::api`].
//!
//! Upon a request: read finalized state or history, or hand a transaction to the mempool. Nothing here
//! changes state. Every list, body and stream is bounded; every error is a
//! [`Problem`](soma_types::api::Problem). What a request may say stands in one place, the OpenAPI document,
//! and is checked in one, [`contract`].

mod accounts;
mod blobs;
mod chain;
mod events;
mod filled;
mod generations;
mod global;
mod library;
mod looked;
mod market;
mod openapi;
mod problem;
mod proofs;
mod request;
mod standing;
mod transactions;
mod turns;

use std::{io, net::TcpListener, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use serde::Deserialize;
use soma_blobs::{Fetcher, Store};
use soma_http::{
    connections::{self, Bounds},
    contract::{self, Contract, DOCUMENT_PATH, no_such_path},
};
use soma_scoring::{Scoring, Service, score};
use soma_types::{Keypair, api::PAGE_ITEMS_DEFAULT};
use tokio::sync::{Mutex, Semaphore, watch};

use self::{
    request::{Limit, Number},
    turns::{Turns, in_turn},
};
use crate::query::LiveQuery;

pub use openapi::document;

/// What a node offers besides its ledger.
#[derive(Clone)]
pub struct Services {
    /// The content store.
    pub blobs: Store,
    /// Downloads content from where its owner says it is.
    pub fetcher: Fetcher,
    /// On a localnet, the account that gives money away.
    pub faucet: Option<Keypair>,
    /// Scores for whoever asks.
    pub scoring: Option<Arc<Service>>,
}

/// What handlers share.
struct Shared {
    query: LiveQuery,
    services: Services,
    /// One payment at a time, so that nonces follow each other.
    faucet: Mutex<()>,
    /// Content that is hashed before it is sent.
    looks: Turns,
    /// Clients that follow events: half of all, so that they never keep the others out.
    streams: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

type Api = axum::extract::State<Arc<Shared>>;

/// Serves `query` on `listener` until `stopped` turns true, to at most `clients` at once.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    query: LiveQuery,
    services: Services,
    clients: usize,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        query,
        services,
        faucet: Mutex::new(()),
        looks: Turns::new(),
        streams: Arc::new(Semaphore::new(clients.div_ceil(2))),
        stopped: stopped.clone(),
    });
    let stop = async move {
        // An error means that whoever could stop us is gone.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    connections::serve(listener, router(shared), Bounds::of(clients), stop).await
}

fn router(shared: Arc<Shared>) -> Router {
    let scoring = match &shared.services.scoring {
        Some(service) => score::router(Scoring {
            service: Arc::clone(service),
            library: Arc::clone(&shared),
        }),
        None => Router::new().route("/v1/score", post(score::off)),
    };
    Router::new()
        .merge(taking_turns(pages()))
        .merge(taking_turns(single_things()))
        .merge(taking_turns(standing()))
        .route("/health", get(chain::health))
        .route(DOCUMENT_PATH, get(openapi::openapi))
        .route("/v1/genesis", get(chain::genesis))
        .route("/v1/events", get(events::events))
        .route("/v1/models/{id}/weights", get(blobs::weights))
        .route("/v1/targets/{id}/data", get(blobs::target_data))
        .route("/v1/submissions/{id}/data", get(blobs::submission_data))
        .route("/v1/transactions", post(transactions::submit))
        .route("/v1/transactions/simulate", post(transactions::simulate))
        .route("/v1/faucet", post(transactions::faucet))
        .route("/v1/blobs/{hash}", get(blobs::blob).put(blobs::put_blob))
        .merge(scoring)
        .fallback(no_such_path)
        .layer(middleware::from_fn_with_state(
            Arc::new(Contract::new(&document())),
            contract::admit,
        ))
        .with_state(shared)
}

/// Few of `routes`' requests at once, however many come.
fn taking_turns(routes: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    routes.route_layer(middleware::from_fn_with_state(Turns::new(), in_turn))
}

/// What reads many values.
fn pages() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/proposals", get(chain::proposals))
        .route(
            "/v1/accounts/{address}/transactions",
            get(accounts::account_transactions),
        )
        .route("/v1/validators", get(accounts::validators))
        .route("/v1/global", get(global::global))
        .route("/v1/models", get(market::models))
        .route("/v1/models/{id}/generations", get(generations::generations))
        .route("/v1/targets", get(market::targets))
        .route("/v1/submissions", get(market::submissions))
        .route("/v1/audits", get(market::audits))
}

/// What reads a whole block, or what belongs to one name: who asks for it does not wait behind pages.
fn single_things() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/blocks/{height}", get(chain::block))
        .route("/v1/finality/{height}", get(chain::finality))
        .route("/v1/accounts/{address}", get(accounts::account))
        .route("/v1/params", get(chain::params))
        .route("/v1/supply", get(chain::supply))
        .route("/v1/epochs/{epoch}", get(chain::epoch))
        .route("/v1/models/{id}", get(market::model))
        .route("/v1/targets/{id}", get(market::target))
        .route("/v1/data/{hash}", get(market::data))
        .route("/v1/submissions/{id}", get(market::submission))
        .route("/v1/transactions/{hash}", get(transactions::transaction))
        .route("/v1/proofs/accounts/{address}", get(proofs::account_proof))
        .route("/v1/proofs/models/{id}", get(proofs::model_proof))
        .route("/v1/proofs/targets/{id}", get(proofs::target_proof))
        .route("/v1/proofs/receipts/{hash}", get(proofs::receipt_proof))
}

/// How the node stands: who watches it does not wait behind others.
fn standing() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/status", get(chain::status))
        .route("/metrics", get(chain::metrics))
}

/// Which part of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Where to go on: a page's `next`.
    #[param(inline)]
    cursor: Option<Number>,
    /// Most items.
    #[param(inline)]
    limit: Option<Limit>,
}

impl Part {
    fn cursor(&self) -> Option<u64> {
        self.cursor.map(|Number(cursor)| cursor)
    }

    fn limit(&self) -> usize {
        self.limit.map_or(PAGE_ITEMS_DEFAULT, |Limit(limit)| limit)
    }
}
