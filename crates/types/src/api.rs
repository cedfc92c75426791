//! What the node's HTTP interface answers, shared by node and clients (docs/interfaces.md).
//!
//! Amounts are decimal strings of shannons, 32-byte names `0x` and hex, embeddings base64 of little-endian
//! i16. Lists come in [`Page`]s. Every error is a [`Problem`] (RFC 9457, `application/problem+json`). What a
//! request says and the node does not know (a query parameter, a field of a body, a body where none is taken)
//! is refused, never ignored. Pages of other origins may read, without credentials, and not write.
//!
//! | method and path | answer |
//! |---|---|
//! | GET `/health` | 200 once the node serves, and its height is not stuck |
//! | GET `/v1/status` | [`Status`] |
//! | GET `/v1/params` | [`Params`](crate::params::Params) |
//! | GET `/v1/genesis` | [`Genesis`](crate::genesis::Genesis) |
//! | GET `/v1/supply` | [`Supply`] |
//! | GET `/v1/epochs/{n\|latest}` | [`EpochView`] |
//! | GET `/v1/accounts/{address}` | [`AccountView`] |
//! | GET `/v1/accounts/{address}/transactions?cursor=&limit=` | [`Page`] of [`TransactionView`], latest first |
//! | GET `/v1/validators` | [`Page`] of [`ValidatorView`] |
//! | GET `/v1/proposals?cursor=&limit=` | [`Page`] of [`ProposalView`], in the order in which they were made |
//! | GET `/v1/models?status=&owner=&cursor=&limit=` | [`Page`] of [`ModelView`] |
//! | GET `/v1/models/{id}` | [`ModelView`] |
//! | GET `/v1/models/{id}/weights` | the encrypted weights it competes with (or revealed, or committed) |
//! | GET `/v1/models/{id}/generations?cursor=&limit=` | [`Page`] of [`GenerationView`]: all the weights it has had, latest first |
//! | GET `/v1/global?cursor=&limit=` | [`GlobalView`]: the models that compete in this epoch, which are the global model |
//! | GET `/v1/targets?status=open\|settling\|filled&epoch=&cursor=&limit=` | [`Page`] of [`TargetView`], latest first; without `epoch` the current one's, and all epochs' filled ones by when they were won |
//! | GET `/v1/targets/{id}` | [`TargetView`] |
//! | GET `/v1/targets/{id}/data` | the winner's data |
//! | GET `/v1/submissions?submitter=&target=&model=&status=&cursor=&limit=` | [`Page`] of [`SubmissionView`], latest first |
//! | GET `/v1/submissions/{id}` | [`SubmissionView`] |
//! | GET `/v1/submissions/{id}/data` | its data, if it has won |
//! | GET `/v1/blocks/{height\|latest}` | [`BlockView`] |
//! | GET `/v1/transactions/{hash}` | [`TransactionView`] |
//! | POST `/v1/transactions` | body: a signed transaction's encoding (`application/octet-stream`); 202 and [`Submitted`], or a [`Problem`] with the rejection's code |
//! | POST `/v1/transactions` | body: a [`TransactionBatch`] (`application/json`); 200 and [`BatchAnswers`] |
//! | POST `/v1/transactions/simulate` | same body; [`Simulated`] |
//! | GET `/v1/data/{hash}` | [`DataView`]: whose data this BLAKE3 names; 404 while it is new |
//! | GET `/v1/finality/{height}` | [`FinalityView`] |
//! | GET `/v1/proofs/accounts/{address}`, `/models/{id}`, `/targets/{id}` | [`ProofView`]: of its value in the last finalized state, or that it has none |
//! | GET `/v1/proofs/receipts/{hash}?height=` | [`ProofView`]: of a transaction's receipt, or that the block at `height` has none of it |
//! | GET `/v1/events?from={height}` | server-sent events: each `data` is an [`EventView`]; resumed after header `Last-Event-ID`, or after `?last_event_id=` |
//! | PUT `/v1/blobs/{hash}` | stores the body under its BLAKE3; 201 and [`BlobView`] |
//! | GET `/v1/blobs/{hash}` | the bytes |
//! | POST `/v1/score` | body [`ScoreRequest`](score::ScoreRequest); [`ScoreAnswer`](score::ScoreAnswer), 503 when too many wait |
//! | POST `/v1/faucet` | localnets: body [`FaucetRequest`]; 202 and [`Submitted`] |
//! | GET `/metrics`, `/openapi.json` | Prometheus text, OpenAPI 3.1 |

macro_rules! answers {
    ($( $(#[$doc:meta])* pub struct $name:ident { $($body:tt)* } )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            pub struct $name { $($body)* }
        )*
    };
}

mod account;
mod batch;
mod chain;
mod global;
mod market;
mod network;
mod page;
mod problem;
pub mod score;

pub use self::{
    account::{AccountView, StakeView, UnbondingView, ValidatorView},
    batch::{
        BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, BatchAnswer, BatchAnswers, EncodedTransaction,
        TransactionBatch,
    },
    chain::{
        BlobView, BlockView, EventView, FaucetRequest, FinalityView, ProofView, Simulated, Submitted,
        TransactionView,
    },
    global::{ExpertView, GlobalView},
    market::{AuditView, DataView, GenerationView, ModelView, SubmissionView, TargetView},
    network::{EpochView, Percentiles, ProposalView, ScheduledUpgrade, Status, Supply},
    page::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, Page, page},
    problem::Problem,
};
