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
    market::scan,
    problem::not_started,
    request::{InPath, Query},
};

/// Blocks whose records are read for a page. Each is read and decoded whole.
const RECORDS_READ_MAX: usize = 64;
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
    let latest = hashes.iter().rev().copied();
    let (items, looked) = api.query.transactions(latest, RECORDS_READ_MAX).await;
    let next = start + hashes.len() - looked;
    Ok(Json(Page {
        items,
        next: (next > 0).then(|| next.to_string()),
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
    let limit = part.limit();
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
    let found = scan(&mut reader, start..counters.validators, limit, |state, index| {
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
    let (items, looked) = found.await?;
    let next = start + looked;
    Ok(Json(Page {
        items,
        next: (next < counters.validators).then(|| next.to_string()),
    }))
}
