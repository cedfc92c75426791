//! Accounts and validators.

use axum::{Json, extract::State};
use soma_http::Error;
use soma_ledger::view;
use soma_types::{
    Address,
    api::{AccountView, Page, StakeView, TransactionView, ValidatorView},
    transaction::PoolId,
};

use super::{
    Api, Part,
    problem::not_started,
    request::{InPath, Query},
};

/// Stakes shown with an account.
const STAKES_MAX: u64 = 1_000;

/// An account. One that was never used is all zeros.
#[utoipa::path(get, path = "/v1/accounts/{address}", params(("address" = Address, Path)),
    responses((status = 200, body = AccountView)))]
pub async fn account(State(api): Api, InPath(address): InPath<Address>) -> Result<Json<AccountView>, Error> {
    let read = api.query.view(|state| {
        if view::epoch(state)?.is_none() {
            return Ok(None);
        }
        let (stakes, _) = view::stakes(state, address, 0, STAKES_MAX)?;
        Ok(Some((view::account(state, address)?, stakes)))
    });
    let (account, stakes) = read.await?.ok_or_else(not_started)?;
    let stakes = stakes
        .into_iter()
        .filter(|stake| !stake.counting.is_zero() || !stake.pending.is_zero())
        .map(|stake| StakeView {
            pool: stake.pool,
            shares: stake.shares,
            counting: stake.counting,
            pending: stake.pending,
        })
        .collect();
    let nonce_pending = api.query.mempool().next_nonce(&address, account.nonce);
    Ok(Json(AccountView {
        address,
        balance: account.balance,
        nonce: account.nonce,
        nonce_pending,
        stakes,
        unbonding: api.query.index().unbonding(&address),
    }))
}

/// The transactions an account sent, and those that paid it, latest first.
#[utoipa::path(get, path = "/v1/accounts/{address}/transactions", params(("address" = Address, Path), Part),
    responses((status = 200, body = Page<TransactionView>)))]
pub async fn account_transactions(
    State(api): Api,
    InPath(address): InPath<Address>,
    Query(part): Query<Part>,
) -> Result<Json<Page<TransactionView>>, Error> {
    let end = part
        .cursor()
        .map(|end| usize::try_from(end).unwrap_or(usize::MAX));
    let (start, hashes) = api.query.index().account(&address, end, part.limit());
    let mut items = Vec::with_capacity(hashes.len());
    for hash in hashes.iter().rev() {
        items.extend(api.query.transaction(hash).await);
    }
    Ok(Json(Page {
        items,
        next: (start > 0).then(|| start.to_string()),
    }))
}

/// All validators.
#[utoipa::path(get, path = "/v1/validators", params(Part),
    responses((status = 200, body = Page<ValidatorView>)))]
pub async fn validators(
    State(api): Api,
    Query(part): Query<Part>,
) -> Result<Json<Page<ValidatorView>>, Error> {
    let start = part.cursor().unwrap_or(0);
    let limit = part.limit() as u64;
    let mut reader = api.query.reader().await;
    let (Some(counters), Some(epoch)) = (
        reader.read(view::counters).await?,
        reader.read(view::epoch).await?,
    ) else {
        return Err(not_started());
    };
    let epoch = epoch.epoch;
    let committee = reader
        .read(|state| view::committee(state, epoch))
        .await?
        .unwrap_or_default();
    let end = start.saturating_add(limit).min(counters.validators);
    let mut items = Vec::new();
    for index in start..end {
        let item = reader.read(|state| {
            let Some(address) = view::validator_at(state, index)? else {
                return Ok(None);
            };
            let Some(validator) = view::validator(state, address)? else {
                return Ok(None);
            };
            Ok(Some(ValidatorView {
                validator,
                pool: view::pool(state, PoolId::Validator(address))?.unwrap_or_default(),
                seat: committee
                    .seats
                    .iter()
                    .find(|seat| seat.validator == address)
                    .copied(),
                duty: view::duty(state, epoch, address)?,
            }))
        });
        items.extend(item.await?);
    }
    Ok(Json(Page {
        items,
        next: (end < counters.validators).then(|| end.to_string()),
    }))
}
