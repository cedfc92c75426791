//! A model's way to the network, the second half: what was committed is revealed in the next epoch.
//!
//! Upon a reveal: an earlier one whose end is not known is waited for first. What is given is compared with
//! the commit then, so that what would fail is not sent; weights that are revealed already are told so.
//! Weights that this machine has committed in another container, which the node hosts, are revealed in that
//! one ([`crate::publishing`]).

use std::{io::Read as _, sync::Arc};

use pyo3::{prelude::*, pybacked::PyBackedBytes};
use soma_blobs::{ContainerError, Decrypting};
use soma_client::{Account, ClientError, Publication};
use soma_types::{ContentHash, Embedding, Epoch, Keypair as Keys, ModelId, Url};

use crate::{
    connection::{Client, Connection, keys_of, parse},
    failure::Failure,
    keys::{DecryptionKey, Keypair},
    operation::{Answer, Operation, Outcome, blocking},
    publishing::{check_dim, is_hosted},
    weights::sealed,
};

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
    let given = match given.container {
        Some(container) => Some(Opened::new(container, key.clone()).await?),
        None => None,
    };
    account.settle_reveals(model).await?;
    let view = account.node().model(&model).await?.model;
    let Some(committed) = &view.committed else {
        let done = [&view.revealed, &view.weights].into_iter().flatten();
        let mut from = given.as_ref().and_then(|given| {
            let mut same = done
                .into_iter()
                .filter(|weights| weights.committed.hash == given.hash);
            same.next().map(|weights| weights.active_from)
        });
        if from.is_none()
            && let Some(given) = &given
            && let Some(weights) = given.weights().await?
            && let Publication::Revealed(epoch) = account.publication(model, weights).await?
        {
            from = Some(epoch);
        }
        if let Some(from) = from {
            connection.settle_commit(model);
            return Answer::json(&from);
        }
        let what = "committed weights to reveal";
        return Err(ClientError::ModelLacks { model, what }.into());
    };
    let is_other = given.as_ref().is_some_and(|given| given.hash != committed.hash);
    if is_other
        && let Some(given) = &given
        && !(url.is_none() && is_hosted(committed) && given.is_committed(&account, model).await?)
    {
        return Err(Failure::Mismatch(format!(
            "model {model} has committed the container {}, not {}: reveal the very bytes that were committed",
            committed.hash, given.hash
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
        // Another container's key is in the journal, with the weights that say so.
        Some(key) if !is_other => {
            let hash = committed.hash;
            account
                .reveal_model_with(model, hash, (&key).into(), embedding)
                .await
        }
        _ => account.reveal_model(model, Some(embedding)).await,
    };
    receipt?;
    connection.settle_commit(model);
    let view = account.node().model(&model).await?.model;
    let weights = view.revealed.or(view.weights);
    Answer::json(&weights.map(|weights| weights.active_from))
}

/// A container that is to be revealed, and that its key opens.
struct Opened {
    hash: ContentHash,
    container: Arc<PyBackedBytes>,
    key: Option<soma_blobs::DecryptionKey>,
}

impl Opened {
    async fn new(container: PyBackedBytes, key: Option<soma_blobs::DecryptionKey>) -> Result<Self, Failure> {
        let work = move || {
            if let Some(key) = &key {
                Decrypting::new(&container[..], container.len() as u64, key).map_err(ClientError::from)?;
            }
            Ok(Self {
                hash: ContentHash::of(&container),
                container: Arc::new(container),
                key,
            })
        };
        blocking(work).await?
    }

    /// BLAKE3 of what is in it, where that is to be had.
    async fn weights(&self) -> Result<Option<ContentHash>, Failure> {
        if let Some(made) = sealed(&self.hash) {
            return Ok(Some(made.weights));
        }
        let (container, Some(key)) = (Arc::clone(&self.container), self.key.clone()) else {
            return Ok(None);
        };
        let work = move || {
            let mut weights = Vec::new();
            Decrypting::new(&container[..], container.len() as u64, &key)?.read_to_end(&mut weights)?;
            Ok::<_, ContainerError>(ContentHash::of(&weights))
        };
        Ok(Some(blocking(work).await?.map_err(ClientError::from)?))
    }

    /// Whether its weights wait for the model's reveal, in whatever container.
    async fn is_committed(&self, account: &Account, model: ModelId) -> Result<bool, Failure> {
        let Some(weights) = self.weights().await? else {
            return Ok(false);
        };
        let known = account.publication(model, weights).await?;
        Ok(matches!(known, Publication::Committed(_)))
    }
}
