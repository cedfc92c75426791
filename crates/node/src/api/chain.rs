//! The chain: status, parameters, epochs, blocks, finality, metrics.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use commonware_codec::{Encode as _, EncodeSize as _};
use commonware_consensus::Viewable as _;
use commonware_cryptography::Digestible as _;
use soma_http::{Error, exposition};
use soma_ledger::view;
use soma_types::{
    BlockHash, Epoch, Height, Seed, StateRoot, TransactionHash,
    amount::MAX_SUPPLY,
    api::{
        BlockView, EpochView, FinalityView, Page, Problem, ProposalView, ScheduledUpgrade, Status, Supply,
    },
    genesis::Genesis,
    params::Params,
    upgrade::{PROTOCOL_VERSION, ProposalStatus},
};

use super::{
    Api, Part,
    market::scan,
    problem::not_started,
    request::{InPath, Query, Which},
    standing,
};
use crate::{
    consensus::{Digest, public_key},
    index::Tip,
    seeds::execution_seed,
};

fn bytes_of(digest: &Digest) -> [u8; 32] {
    digest.as_ref().try_into().expect("a digest has 32 bytes")
}

fn hex_of(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Whether the node serves, and its height is not stuck.
#[utoipa::path(get, path = "/health",
    responses((status = 200, description = "The node serves", body = String)))]
pub async fn health(State(api): Api) -> Result<String, Error> {
    let health = api.query.health();
    if health.serves() {
        Ok(format!("{health}\n"))
    } else {
        Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, health.to_string()))
    }
}

/// Metrics in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Metrics", body = String)))]
pub async fn metrics(State(api): Api) -> Result<impl IntoResponse, Error> {
    let text = standing::exposition(&api).await? + &api.query.metrics();
    Ok(([(header::CONTENT_TYPE, exposition::MEDIA_TYPE)], text))
}

/// How the node stands.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status)))]
pub async fn status(State(api): Api) -> Result<Json<Status>, Error> {
    let query = &api.query;
    let Tip {
        height,
        digest,
        state_root,
        timestamp_ms,
    } = query.tip().await.ok_or_else(not_started)?;
    let epoch = query.view(view::epoch).await?.ok_or_else(not_started)?;
    let (network_bytes_sent, network_bytes_received) = query.network_bytes();
    let genesis = query.genesis();
    let upgrade = query
        .view(view::pending_proposals)
        .await?
        .into_iter()
        .filter(|proposal| matches!(proposal.status, ProposalStatus::Scheduled { .. }))
        .map(|proposal| ScheduledUpgrade {
            proposal: proposal.index,
            version: proposal.upgrade.version,
            activation: proposal.upgrade.activation,
            supported: proposal.upgrade.version <= PROTOCOL_VERSION,
        })
        .min_by_key(|upgrade| (upgrade.supported, upgrade.activation));
    Ok(Json(Status {
        network: genesis.network.clone(),
        chain: genesis.chain_id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network_key: hex_of(query.network_key()),
        height: Height(height),
        block: BlockHash(bytes_of(&digest)),
        state_root: StateRoot(bytes_of(&state_root)),
        timestamp_ms,
        epoch: epoch.epoch,
        epoch_first_height: epoch.first_height,
        epoch_length_blocks: epoch.length_blocks,
        validators: u32::try_from(genesis.validators.len()).unwrap_or(u32::MAX),
        network_identity: Some(public_key(&query.identity)),
        mempool_transactions: query.mempool().len() as u64,
        finality_ms: query.index().finality(),
        block_ms: query.index().block_times(),
        network_bytes_sent,
        network_bytes_received,
        protocol_version: epoch.protocol_version,
        protocol_version_supported: PROTOCOL_VERSION,
        upgrade,
    }))
}

/// The protocol's parameters.
#[utoipa::path(get, path = "/v1/params", responses((status = 200, body = Object)))]
pub async fn params(State(api): Api) -> Result<Json<Params>, Error> {
    let params = api.query.view(view::params).await?;
    Ok(Json(params.unwrap_or_else(|| api.query.genesis().params.clone())))
}

/// Proposed changes of the protocol, in the order in which they were made.
#[utoipa::path(get, path = "/v1/proposals", params(Part),
    responses((status = 200, body = Page<ProposalView>)))]
pub async fn proposals(State(api): Api, Query(part): Query<Part>) -> Result<Json<Page<ProposalView>>, Error> {
    let start = part.cursor().unwrap_or(0);
    let mut reader = api.query.reader().await;
    let counters = reader.read(view::counters).await?.ok_or_else(not_started)?;
    let found = scan(
        &mut reader,
        start..counters.proposals,
        part.limit(),
        |state, index| {
            let Some(proposal) = view::proposal(state, index)? else {
                return Ok(None);
            };
            let support = view::support(state, &proposal)?;
            let (stake, stake_total) = support.amounts();
            Ok(Some(ProposalView {
                proposal,
                seats: support.seats,
                seats_total: support.seats_total,
                stake,
                stake_total,
            }))
        },
    );
    let (items, looked) = found.await?;
    let next = start + looked;
    Ok(Json(Page {
        items,
        next: (next < counters.proposals).then(|| next.to_string()),
    }))
}

/// The genesis.
#[utoipa::path(get, path = "/v1/genesis", responses((status = 200, body = Object)))]
pub async fn genesis(State(api): Api) -> Json<Genesis> {
    Json(api.query.genesis().clone())
}

/// Where every shannon is.
#[utoipa::path(get, path = "/v1/supply", responses((status = 200, body = Supply)))]
pub async fn supply(State(api): Api) -> Result<Json<Supply>, Error> {
    let read = api.query.view(|state| {
        Ok((
            view::network(state)?,
            view::supply(state)?,
            view::counters(state)?,
        ))
    });
    let (Some(network), Some(breakdown), Some(counters)) = read.await? else {
        return Err(not_started());
    };
    Ok(Json(Supply {
        initial: network.genesis_supply,
        emitted: network.emission.total.saturating_sub(breakdown.emission),
        burned: breakdown.burned,
        expected: MAX_SUPPLY,
        actual: breakdown.total().unwrap_or_default(),
        breakdown,
        height: counters.height,
    }))
}

/// An epoch, by number or `latest`.
#[utoipa::path(get, path = "/v1/epochs/{epoch}", params(("epoch" = inline(Which), Path, description = "A number, or latest")),
    responses((status = 200, body = EpochView), (status = 404, body = Problem)))]
pub async fn epoch(State(api): Api, InPath(which): InPath<Which>) -> Result<Json<EpochView>, Error> {
    let wanted = match which {
        Which::Latest => None,
        Which::Number(epoch) => Some(Epoch(epoch)),
    };
    let (current, record) = api
        .query
        .view(|state| {
            let record = wanted.map(|epoch| view::epoch_record(state, epoch)).transpose()?;
            Ok((view::epoch(state)?, record.flatten()))
        })
        .await?;
    let current = current.ok_or_else(not_started)?;
    match wanted {
        Some(epoch) if epoch != current.epoch => {
            let record = record.ok_or_else(|| Error::not_found("epoch", epoch))?;
            Ok(Json(EpochView {
                epoch,
                current: false,
                state: record.state,
                record: Some(record),
            }))
        }
        _ => Ok(Json(EpochView {
            epoch: current.epoch,
            current: true,
            state: current,
            record: None,
        })),
    }
}

/// The height that a path names.
async fn height_of(api: &super::Shared, which: Which) -> Result<u64, Error> {
    match which {
        Which::Latest => Ok(api.query.tip().await.ok_or_else(not_started)?.height),
        Which::Number(height) => Ok(height),
    }
}

/// A finalized block, by height or `latest`.
#[utoipa::path(get, path = "/v1/blocks/{height}", params(("height" = inline(Which), Path, description = "A number, or latest")),
    responses((status = 200, body = BlockView), (status = 404, body = Problem)))]
pub async fn block(State(api): Api, InPath(which): InPath<Which>) -> Result<Json<BlockView>, Error> {
    let height = height_of(&api, which).await?;
    let block = api
        .query
        .block(height)
        .await
        .ok_or_else(|| Error::not_found("finalized block", height))?;
    let header = block.header();
    let transactions = block.transactions().iter();
    Ok(Json(BlockView {
        height: Height(height),
        hash: BlockHash(bytes_of(&block.digest())),
        parent: BlockHash(bytes_of(&header.parent)),
        view: header.context.view().get(),
        timestamp_ms: header.timestamp_ms,
        proposer: public_key(&header.context.leader),
        seed: Seed(execution_seed(
            header.seed.as_ref(),
            api.query.genesis_digest.as_ref(),
        )),
        seed_signature: header.seed.map(|signature| hex_of(signature.0)),
        state_root: StateRoot(bytes_of(&header.state_root)),
        transactions: transactions.map(|encoded| TransactionHash::of(encoded)).collect(),
        size_bytes: block.encode_size() as u64,
    }))
}

/// Proof that a block is final.
#[utoipa::path(get, path = "/v1/finality/{height}", params(("height" = inline(Which), Path, description = "A number, or latest")),
    responses((status = 200, body = FinalityView), (status = 404, body = Problem)))]
pub async fn finality(State(api): Api, InPath(which): InPath<Which>) -> Result<Json<FinalityView>, Error> {
    let height = height_of(&api, which).await?;
    let finalization = api.query.finalization(height).await.ok_or_else(|| {
        let detail = format!(
            "there is no certificate of block {height}: it is not final yet, or final through a later block's"
        );
        Error::new(StatusCode::NOT_FOUND, detail)
    })?;
    Ok(Json(FinalityView {
        height: Height(height),
        hash: BlockHash(bytes_of(&finalization.proposal.payload)),
        certificate: hex_of(finalization.encode()),
        network_key: hex_of(api.query.network_key()),
        latency_ms: api.query.index().finality_ms(height),
    }))
}
