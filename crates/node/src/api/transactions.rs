//! Transactions: submit, simulate, look up; and the localnet's faucet.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use soma_http::Error;
use soma_ledger::view;
use soma_types::{
    Shannons, Transaction, TransactionHash, TransactionKind,
    amount::SHANNONS_PER_SOMA,
    api::{
        BatchAnswer, BatchAnswers, EncodedTransaction, FaucetRequest, Problem, Simulated, Submitted,
        TransactionBatch, TransactionView,
    },
    list::List,
    transaction::Payment,
};

use super::{
    Api,
    problem::not_started,
    request::{HandedIn, InPath, JsonBody, Octets},
};

/// What the faucet gives where no amount is named: a few epochs' bonds on a localnet.
const FAUCET_AMOUNT_DEFAULT: Shannons = Shannons(5_000 * SHANNONS_PER_SOMA);
/// The most it gives at once.
const FAUCET_AMOUNT_MAX: Shannons = Shannons(100_000 * SHANNONS_PER_SOMA);
/// Epochs after which a faucet payment that was not included is void.
const FAUCET_EXPIRY_EPOCHS: u64 = 10;

/// Takes up a transaction, or a batch of them, each with its own answer.
#[utoipa::path(post, path = "/v1/transactions",
    request_body(description = "A signed transaction's encoding, or a batch", content(
        (Vec<u8> = "application/octet-stream"),
        (TransactionBatch = "application/json"))),
    responses((status = 202, body = Submitted, description = "It waits for a block"),
        (status = 200, body = BatchAnswers, description = "What became of each of a batch"),
        (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem)))]
pub async fn submit(State(api): Api, handed_in: HandedIn) -> Result<Response, Error> {
    let batch = match handed_in {
        HandedIn::One(body) => {
            let hash = api.query.submit(body).await?;
            return Ok((StatusCode::ACCEPTED, Json(Submitted { hash })).into_response());
        }
        HandedIn::Many(batch) => batch.transactions.into_inner(),
    };
    let encoded = batch.into_iter().map(|EncodedTransaction(bytes)| bytes.into());
    let answers = api.query.submit_all(encoded.collect()).await?;
    let answers = answers.into_iter().map(|answer| match answer {
        Ok(hash) => BatchAnswer::Taken { hash },
        Err(error) => BatchAnswer::Refused {
            problem: Error::from(error).into_problem(),
        },
    });
    Ok(Json(BatchAnswers {
        answers: answers.collect(),
    })
    .into_response())
}

/// What a transaction would do if it were next.
#[utoipa::path(post, path = "/v1/transactions/simulate",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "A signed transaction's encoding"),
    responses((status = 200, body = Simulated), (status = 422, body = Problem)))]
pub async fn simulate(State(api): Api, Octets(body): Octets) -> Result<Json<Simulated>, Error> {
    Ok(Json(Simulated {
        receipt: api.query.simulate(body).await?,
    }))
}

/// A transaction, waiting or included.
#[utoipa::path(get, path = "/v1/transactions/{hash}", params(("hash" = TransactionHash, Path)),
    responses((status = 200, body = TransactionView), (status = 404, body = Problem)))]
pub async fn transaction(
    State(api): Api,
    InPath(hash): InPath<TransactionHash>,
) -> Result<Json<TransactionView>, Error> {
    api.query
        .transaction(&hash)
        .await
        .map(Json)
        .ok_or_else(|| Error::not_found("transaction", hash))
}

/// Money, on a localnet.
#[utoipa::path(post, path = "/v1/faucet", request_body = FaucetRequest,
    responses((status = 202, body = Submitted), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn faucet(
    State(api): Api,
    JsonBody(request): JsonBody<FaucetRequest>,
) -> Result<(StatusCode, Json<Submitted>), Error> {
    let Some(keys) = &api.services.faucet else {
        return Err(Error::new(StatusCode::NOT_FOUND, "this network has no faucet"));
    };
    let amount = request.amount.unwrap_or(FAUCET_AMOUNT_DEFAULT);
    if amount.is_zero() || amount > FAUCET_AMOUNT_MAX {
        let detail = format!("the faucet gives up to {FAUCET_AMOUNT_MAX} SOMA at once, not {amount}");
        return Err(Error::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let _turn = api.faucet.lock().await;
    let epoch = api.query.view(view::epoch).await?.ok_or_else(not_started)?.epoch;
    let (_, nonce) = api.query.nonces(&keys.address()).await?;
    let payments = List::new(vec![Payment {
        to: request.address,
        amount,
    }])
    .map_err(Error::bad_request)?;
    let transaction = Transaction {
        chain: api.query.genesis().chain_id(),
        sender: keys.public_key(),
        nonce,
        expires: epoch.plus(FAUCET_EXPIRY_EPOCHS),
        max_fee: Shannons(SHANNONS_PER_SOMA),
        kind: TransactionKind::Transfer { payments },
    };
    let hash = api.query.submit(transaction.sign(keys).encode().into()).await?;
    Ok((StatusCode::ACCEPTED, Json(Submitted { hash })))
}
