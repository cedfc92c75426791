//! A model's way to the network: create, commit in one epoch, reveal in the next.
//!
//! Upon a commit without a model:
//! - a creation that an earlier call has handed in, and whose end it did not learn: that model;
//! - a model of the signer, created with the same commission, that never had weights: that model;
//! - otherwise one is created with the least stake.
//!
//! So a call that is repeated after a crash, a lost answer or a cancellation makes no second model and stakes
//! nothing twice. Two calls at once by one client are two models: each looks for its model and commits to it
//! before the next looks.
//!
//! Upon a commit of a container that is committed or revealed already: nothing is sent.
//!
//! Where this process encrypted the weights, the key is in the journal before the commit is sent.

use std::sync::Arc;

use pyo3::{prelude::*, pybacked::PyBackedBytes};
use soma_blobs::{Decrypting, Location};
use soma_client::{Account, ClientError, CommittedModel, Encrypted, ModelFilter};
use soma_types::{
    ContentHash, Embedding, Epoch, Keypair as Keys, ModelId, TransactionKind, Url,
    api::ModelView,
    objects::{Model, ModelStatus},
    receipt::{Created, Outcome as Ended},
    transaction::BasisPoints,
};

use crate::{
    connection::{Client, Connection, keys_of, parse},
    failure::Failure,
    keys::{DecryptionKey, Keypair},
    operation::{Answer, Operation, Outcome, blocking},
    weights::sealed,
};

/// What to commit.
struct Given {
    /// Where it can be had; on the node where none is given.
    url: Option<Url>,
    container: PyBackedBytes,
    key: Option<soma_blobs::DecryptionKey>,
    embedding: Option<Embedding>,
}

/// A container as the chain names it.
struct Named {
    url: Url,
    hash: ContentHash,
}

impl Named {
    fn of(url: Option<Url>, hash: ContentHash) -> Result<Self, Failure> {
        let url = match url {
            Some(url) => url,
            None => parse(&Location::Soma(hash).to_string())?,
        };
        Location::parse_public(url.as_str()).map_err(Failure::argument)?;
        Ok(Self { url, hash })
    }
}

/// Commits to a container: of `model`, or of one that is created with `commission`. The model's id.
#[pyfunction]
#[pyo3(signature = (client, signer, container, url=None, commission=None, model=None, key=None, embedding=None))]
#[allow(clippy::too_many_arguments, reason = "Python's own")]
pub fn commit_model(
    client: &Client,
    signer: &Keypair,
    container: PyBackedBytes,
    url: Option<&str>,
    commission: Option<u16>,
    model: Option<&str>,
    key: Option<&DecryptionKey>,
    embedding: Option<Vec<f32>>,
) -> Result<Operation, Failure> {
    let keys = keys_of(signer);
    let model: Option<ModelId> = model.map(parse).transpose()?;
    let commission = BasisPoints::new(commission.unwrap_or_default()).map_err(Failure::argument)?;
    let given = Given {
        url: url.map(parse).transpose()?,
        container,
        key: key.map(|key| key.key().clone()),
        embedding: embedding
            .map(|embedding| Embedding::from_f32(&embedding))
            .transpose()
            .map_err(Failure::argument)?,
    };
    client.operation(move |connection| commit(connection, keys, model, commission, given))
}

/// Reveals what `model` has committed; the epoch from which it competes.
#[pyfunction]
#[pyo3(signature = (client, signer, model, embedding, container=None, url=None, key=None))]
pub fn reveal_model(
    client: &Client,
    signer: &Keypair,
    model: &str,
    embedding: Vec<f32>,
    container: Option<PyBackedBytes>,
    url: Option<&str>,
    key: Option<&DecryptionKey>,
) -> Result<Operation, Failure> {
    let keys = keys_of(signer);
    let model: ModelId = parse(model)?;
    let embedding = Embedding::from_f32(&embedding).map_err(Failure::argument)?;
    let given = Revealed {
        url: url.map(parse).transpose()?,
        container,
        key: key.map(|key| key.key().clone()),
    };
    client.operation(move |connection| reveal(connection, keys, model, embedding, given))
}

/// This machine's commits of `signer` that wait for their reveal: model, container, epoch of the reveal.
#[pyfunction]
pub fn pending_models(client: &Client, signer: &Keypair) -> Result<Operation, Failure> {
    let keys = keys_of(signer);
    client.operation(move |connection| async move {
        let account = connection.account(&keys).await?.account;
        let due = account.pending_models().await?;
        let due: Vec<(ModelId, ContentHash, Epoch)> = due
            .iter()
            .map(|due| (due.pending.model, due.pending.hash, due.reveal_in))
            .collect();
        Answer::json(&due)
    })
}
async fn commit(
    connection: Arc<Connection>,
    keys: Keys,
    model: Option<ModelId>,
    commission: BasisPoints,
    given: Given,
) -> Outcome {
    let known = connection.account(&keys).await?;
    let account = &known.account;
    if let Some(embedding) = &given.embedding {
        check_dim(account, embedding).await?;
    }
    let (given, hash) = hashed(given).await?;
    let named = Named::of(given.url.clone(), hash)?;
    let _turn = known.publishing.lock().await;
    let own = account
        .node()
        .models(&ModelFilter {
            owner: Some(account.address()),
            ..ModelFilter::default()
        })
        .await?;
    if let Some((model, epoch)) = own.iter().find_map(|view| waiting(&view.model, &named)) {
        connection.note_commit(model, epoch);
        return Answer::json(&model);
    }
    if let Some(view) = own.iter().find(|view| is_revealed(&view.model, &named)) {
        return Answer::json(&view.model.id);
    }
    let model = match model {
        Some(model) => model,
        None => created(account, own, commission).await?,
    };
    let committed = send(account, model, named, given).await?;
    connection.note_commit(model, Epoch(committed.reveal_in.0.saturating_sub(1)));
    Answer::json(&model)
}

/// Hashes a container off the executor.
async fn hashed(given: Given) -> Result<(Given, ContentHash), Failure> {
    let work = move || {
        let hash = ContentHash::of(&given.container);
        (given, hash)
    };
    blocking(work).await
}

/// Whether the model waits for the reveal of this container; the epoch of the commit.
fn waiting(model: &Model, named: &Named) -> Option<(ModelId, Epoch)> {
    let committed = model.committed.as_ref()?;
    (committed.hash == named.hash).then_some((model.id, committed.epoch))
}

/// Whether the model has revealed this container.
fn is_revealed(model: &Model, named: &Named) -> bool {
    [&model.revealed, &model.weights]
        .into_iter()
        .flatten()
        .any(|weights| weights.committed.hash == named.hash)
}

/// The model that a first commit is for.
async fn created(
    account: &Account,
    own: Vec<ModelView>,
    commission: BasisPoints,
) -> Result<ModelId, Failure> {
    let params = account.params().await?;
    let kind = TransactionKind::CreateModel {
        commission,
        stake: params.model_stake_min,
        architecture: params.architecture,
    };
    // What an earlier call has handed in comes first: its bytes are forgotten with it.
    if let Some(receipt) = account.resume(&kind).await?
        && let Ended::Applied {
            created: Some(Created::Model(model)),
        } = receipt.outcome
    {
        let view = account.node().model(&model).await?;
        if never_had_weights(&view.model) {
            return Ok(model);
        }
    }
    let left = own
        .into_iter()
        .find(|view| never_had_weights(&view.model) && view.model.commission.next == commission);
    match left {
        Some(view) => Ok(view.model.id),
        None => Ok(account.create_model(commission, params.model_stake_min).await?),
    }
}

/// Whether a model was created and nothing more.
fn never_had_weights(model: &Model) -> bool {
    model.status == ModelStatus::Created
        && model.is_live()
        && model.committed.is_none()
        && model.revealed.is_none()
}

async fn send(
    account: &Account,
    model: ModelId,
    named: Named,
    given: Given,
) -> Result<CommittedModel, Failure> {
    let made = sealed(&named.hash);
    let encrypted = Encrypted {
        hash: named.hash,
        size_bytes: given.container.len() as u64,
        key: given
            .key
            .as_ref()
            .or(made.as_ref().map(|made| &made.key))
            .map(Into::into),
        weights: made.as_ref().map(|made| made.weights),
    };
    if given.url.is_none() {
        account.node().put_blob(&given.container.to_vec().into()).await?;
    }
    Ok(account
        .commit_encrypted(model, named.url, encrypted, given.embedding)
        .await?)
}

/// An embedding has as many numbers as the network's models.
async fn check_dim(account: &Account, embedding: &Embedding) -> Result<(), Failure> {
    let expected = account.params().await?.architecture.embedding_dim as usize;
    if embedding.dim() == expected {
        return Ok(());
    }
    Err(Failure::argument(format!(
        "the embedding has {} numbers, the network's models have {expected}: give the one of compute_loss with this \
         model",
        embedding.dim()
    )))
}

/// What a reveal is given; what is left out is in the journal.
struct Revealed {
    url: Option<Url>,
    container: Option<PyBackedBytes>,
    key: Option<soma_blobs::DecryptionKey>,
}

async fn reveal(
    connection: Arc<Connection>,
    keys: Keys,
    model: ModelId,
    embedding: Embedding,
    given: Revealed,
) -> Outcome {
    let account = connection.account(&keys).await?.account;
    check_dim(&account, &embedding).await?;
    let (url, key) = (given.url, given.key);
    let named = match given.container {
        Some(container) => Some(opened(container, key.clone()).await?),
        None => None,
    };
    let view = account.node().model(&model).await?.model;
    let Some(committed) = &view.committed else {
        let done = [&view.revealed, &view.weights].into_iter().flatten();
        let same = named.and_then(|hash| done.into_iter().find(|weights| weights.committed.hash == hash));
        if let Some(weights) = same {
            connection.note_reveal(model);
            return Answer::json(&weights.active_from);
        }
        let what = "committed weights to reveal";
        return Err(ClientError::ModelLacks { model, what }.into());
    };
    if let Some(hash) = named
        && hash != committed.hash
    {
        return Err(Failure::Mismatch(format!(
            "model {model} has committed the container {}, not {hash}: reveal the very bytes that were committed",
            committed.hash
        )));
    }
    if let Some(url) = url
        && url != committed.url
    {
        return Err(Failure::Mismatch(format!(
            "model {model} has committed the address {}, not {}: reveal where it was committed",
            committed.url.as_str(),
            url.as_str()
        )));
    }
    let receipt = match key {
        Some(key) => {
            let hash = committed.hash;
            account
                .reveal_model_with(model, hash, (&key).into(), embedding)
                .await
        }
        None => account.reveal_model(model, Some(embedding)).await,
    };
    receipt?;
    connection.note_reveal(model);
    let view = account.node().model(&model).await?.model;
    let weights = view.revealed.or(view.weights);
    Answer::json(&weights.map(|weights| weights.active_from))
}

/// A container's hash, once it is sure that the key opens it.
async fn opened(
    container: PyBackedBytes,
    key: Option<soma_blobs::DecryptionKey>,
) -> Result<ContentHash, Failure> {
    let work = move || {
        if let Some(key) = &key {
            Decrypting::new(&container[..], container.len() as u64, key).map_err(ClientError::from)?;
        }
        Ok(ContentHash::of(&container))
    };
    blocking(work).await?
}
