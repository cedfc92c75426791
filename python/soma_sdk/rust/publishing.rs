//! A model's way to the network, the first half: create, and commit in the epoch before the reveal
//! ([`crate::revealing`]).
//!
//! Upon anything: what earlier calls have handed in, and whose end they did not learn, is waited for first.
//! What the ledger says of models may be over once it is included.
//!
//! Upon a container that is none, or whose weights are not the network's architecture's as far as its key
//! is known here: an error. What validators could not use costs a tenth of the stake, and what is not
//! encrypted is nobody's secret any more.
//!
//! Upon a commit of a container that is committed or revealed already: nothing is sent. By another model, at
//! another address or with another commission than is asked for: an error.
//!
//! Upon a commit without a model:
//! - of weights that are committed or revealed in another container: nothing is sent either, as long as the
//!   node hosts both. A script that begins anew encrypts anew, and the journal knows the weights in a
//!   container. Its reveal reveals what was committed. (Where the model is named no second one can come of
//!   it, and the ledger says what is committed already);
//! - a creation that an earlier call has handed in, and whose end it did not learn: that model;
//! - a model of the signer, created with the same commission, that never had weights: that model;
//! - where a commit to a first model stands of which no caller was told: an error. It may be this one's, and
//!   a second model would stake a second time;
//! - otherwise one is created with the least stake.
//!
//! So a call that is repeated after a crash, a lost answer or a cancellation makes no second model and stakes
//! nothing twice. Two calls at once by one client are two models: each looks for its model and commits to it
//! before the next looks.
//!
//! Where this process encrypted the weights, the key is in the journal before the commit is sent.

use std::sync::Arc;

use pyo3::{prelude::*, pybacked::PyBackedBytes};
use soma_blobs::{Decrypting, Location, container};
use soma_client::{Account, ClientError, CommittedModel, Encrypted, ModelFilter, UnheardCommit};
use soma_model::{layout, safetensors};
use soma_types::{
    Architecture, ContentHash, Embedding, Epoch, Keypair as Keys, ModelId, TransactionKind, Url,
    api::ModelView,
    objects::{CommittedWeights, Model, ModelStatus},
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
    let architecture = account.params().await?.architecture;
    let (given, hash) = checked(given, architecture).await?;
    let named = Named::of(given.url.clone(), hash)?;
    let _turn = known.publishing.lock().await;
    let unheard = account.unheard_commits().await?;
    let own = account
        .node()
        .models(&ModelFilter {
            owner: Some(account.address()),
            ..ModelFilter::default()
        })
        .await?;
    let names = match model {
        Some(_) => vec![named.hash],
        None => same_weights(account, &named, &given).await?,
    };
    if let Some((found, committed)) = own.iter().find_map(|view| waiting(&view.model, &names)) {
        agrees(found, committed, model, &named, commission)?;
        connection.note_commit(found.id, committed.epoch);
        for commit in unheard.iter().filter(|commit| commit.hash == committed.hash) {
            commit.heard().await?;
        }
        return Answer::json(&found.id);
    }
    if let Some((found, committed)) = own.iter().find_map(|view| revealed(&view.model, &names)) {
        agrees(found, committed, model, &named, commission)?;
        return Answer::json(&found.id);
    }
    let model = match model {
        Some(model) => model,
        None => {
            none_unheard(&unheard, &own)?;
            created(&connection, account, own, commission).await?
        }
    };
    let committed = send(account, model, named, given).await?;
    connection.note_commit(model, Epoch(committed.reveal_in.0.saturating_sub(1)));
    Answer::json(&model)
}

/// Hashes and tries a container off the executor.
async fn checked(given: Given, architecture: Architecture) -> Result<(Given, ContentHash), Failure> {
    let work = move || {
        let container = &given.container[..];
        let hash = ContentHash::of(container);
        let made = sealed(&hash);
        let key = given.key.as_ref().or(made.as_ref().map(|made| &made.key));
        match key {
            Some(key) => {
                let opened = Decrypting::new(container, container.len() as u64, key);
                let weights = opened.map_err(ClientError::from)?;
                let size = weights.plaintext_bytes();
                safetensors::check(weights, size, &layout(&architecture)).map_err(|error| {
                    Failure::Weights {
                        name: "the encrypted weights".to_owned(),
                        error,
                    }
                })?;
            }
            None => container::check(container).map_err(ClientError::from)?,
        }
        Ok((given, hash))
    };
    blocking(work).await?
}

/// The account's containers that hold the same weights as far as this machine knows, this one first.
async fn same_weights(account: &Account, named: &Named, given: &Given) -> Result<Vec<ContentHash>, Failure> {
    let mut same = vec![named.hash];
    // At an address of one's own lies this container by now, and not another that was committed.
    if given.url.is_none()
        && let Some(made) = sealed(&named.hash)
    {
        let others = account.containers_of(made.weights).await?;
        same.extend(others.into_iter().map(|entry| entry.hash));
    }
    Ok(same)
}

/// Whether a container is one of these: the first wherever it lies, others on the node.
fn is_one_of(committed: &CommittedWeights, names: &[ContentHash]) -> bool {
    names.first() == Some(&committed.hash) || names.contains(&committed.hash) && is_hosted(committed)
}

/// Whether the node hosts what was committed.
pub fn is_hosted(committed: &CommittedWeights) -> bool {
    committed.url.as_str() == Location::Soma(committed.hash).to_string()
}

/// The model and what it has committed, if it waits for the reveal of one of these containers.
fn waiting<'a>(model: &'a Model, names: &[ContentHash]) -> Option<(&'a Model, &'a CommittedWeights)> {
    let committed = model.committed.as_ref()?;
    is_one_of(committed, names).then_some((model, committed))
}

/// The model and what it has revealed, if that is one of these containers.
fn revealed<'a>(model: &'a Model, names: &[ContentHash]) -> Option<(&'a Model, &'a CommittedWeights)> {
    let mut all = [&model.revealed, &model.weights].into_iter().flatten();
    let weights = all.find(|weights| is_one_of(&weights.committed, names))?;
    Some((model, &weights.committed))
}

/// Refuses to take for done what was done otherwise: by another model than `wanted`, elsewhere, or of a model
/// that was created with another commission.
fn agrees(
    found: &Model,
    committed: &CommittedWeights,
    wanted: Option<ModelId>,
    named: &Named,
    commission: BasisPoints,
) -> Result<(), Failure> {
    let id = found.id;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != id) {
        return Err(Failure::Mismatch(format!(
            "model {id} has committed these encrypted weights, not {wanted}: nothing was sent; encrypt them anew for \
             another model"
        )));
    }
    if committed.hash == named.hash && committed.url != named.url {
        return Err(Failure::Mismatch(format!(
            "model {id} has committed these encrypted weights at {}, not at {}: nothing was sent; commit what is to lie \
             elsewhere in another epoch, encrypted anew",
            committed.url.as_str(),
            named.url.as_str()
        )));
    }
    if wanted.is_none() && found.commission.next != commission {
        return Err(Failure::Mismatch(format!(
            "model {id} has committed these weights, with a commission of {} basis points, not {}: nothing was sent; \
             set_model_commission_rate changes it",
            found.commission.next.get(),
            commission.get()
        )));
    }
    Ok(())
}

/// Refuses where a model waits for the reveal of its first weights and no caller was told.
fn none_unheard(unheard: &[UnheardCommit], own: &[ModelView]) -> Result<(), Failure> {
    let first = unheard.iter().find_map(|commit| {
        let mut models = own.iter().map(|view| &view.model);
        let model = models.find(|model| model.id == commit.model)?;
        (model.revealed.is_none() && model.weights.is_none()).then_some(commit)
    });
    match first {
        Some(commit) => Err(Failure::Unheard(format!(
            "model {} has committed its first weights, the container {}, in an earlier run that was not told of it: nothing \
             was sent, so that there is no second model",
            commit.model, commit.hash
        ))),
        None => Ok(()),
    }
}

/// The model that a first commit is for.
async fn created(
    connection: &Connection,
    account: &Account,
    own: Vec<ModelView>,
    commission: BasisPoints,
) -> Result<ModelId, Failure> {
    let stake = connection.least_stake().await?;
    let kind = TransactionKind::CreateModel {
        commission,
        stake,
        architecture: account.params().await?.architecture,
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
        None => Ok(account.create_model(commission, stake).await?),
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
pub(crate) async fn check_dim(account: &Account, embedding: &Embedding) -> Result<(), Failure> {
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
