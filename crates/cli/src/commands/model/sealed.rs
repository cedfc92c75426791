//! Weights that their owner has encrypted and serves: checked before they are committed to or revealed.

use std::{fs::File, path::Path};

use soma_agents::download::Named;
use soma_blobs::{Blob, Decrypting, DecryptionKey, Expected};
use soma_client::{Account, CommittedModel, Encrypted, Publication};
use soma_model::Model;
use soma_types::{Architecture, ContentHash, Embedding, ModelId, Url, objects::CommittedWeights};

use crate::{
    args::CommittedTo,
    commands::{
        encryption::read_key,
        scoring::{shown, unreadable},
    },
    context::{FETCH_PACE, FETCH_TIMEOUT, experts},
    error::{CliError, CliResult},
    printer::Printer,
};

/// An encrypted file that opens with its key to sound weights.
#[derive(Debug)]
pub struct Sealed {
    /// Its hash and size.
    pub is: Expected,
    /// BLAKE3 of the weights in it.
    pub weights: ContentHash,
    /// The weights.
    pub model: Model,
    key: DecryptionKey,
}

impl Sealed {
    /// Opens the file with the key in another. Blocks on the disk.
    pub fn open(encrypted: &Path, key: &Path, architecture: &Architecture) -> CliResult<Self> {
        let key = read_key(key)?;
        let wrong = |reason: &dyn std::fmt::Display| CliError::new(format!("{}: {reason}", shown(encrypted)));
        let mut file = File::open(encrypted).map_err(|error| unreadable(encrypted, &error))?;
        let container = Blob::copy(&mut file).map_err(|error| unreadable(encrypted, &error))?;
        let plaintext = Decrypting::new(container.reader(), container.size_bytes(), &key);
        let mut plaintext = plaintext.map_err(|error| {
            wrong(&error).hint("with --url give the file that `soma weights encrypt` wrote, and its key")
        })?;
        let weights = Blob::copy(&mut plaintext).map_err(|error| unreadable(encrypted, &error))?;
        let model = Model::read(weights.reader(), weights.size_bytes(), architecture).map_err(|error| {
            wrong(&error).hint(
                "what is encrypted must be safetensors of the network's architecture; see `soma params`",
            )
        })?;
        Ok(Self {
            is: container.identity(),
            weights: weights.hash(),
            model,
            key,
        })
    }
}

/// Commits to it, once `url` was seen to serve it. What is committed already is not committed again.
pub async fn commit(
    printer: Printer,
    account: &Account,
    model: ModelId,
    sealed: &Sealed,
    url: &Url,
    embedding: Option<Embedding>,
) -> CliResult<CommittedModel> {
    if let Publication::Committed(committed) = account.publication(model, sealed.weights).await? {
        same(&committed.url, committed.hash, Some(url), Some(sealed.is.hash))?;
        return Ok(*committed);
    }
    let named = Named {
        url: url.clone(),
        expected: sealed.is,
    };
    printer.note(format!(
        "Fetching {} bytes from {url}, as validators will: at most {} s for each mebibyte, {} s in all",
        sealed.is.size_bytes,
        FETCH_PACE.as_secs(),
        FETCH_TIMEOUT.as_secs()
    ));
    let experts = experts(account.node(), &*account.params().await?)?;
    experts.downloader().fetch(&named).await.map_err(|error| {
        CliError::from(error).hint(
            "upload the encrypted file first, where validators can fetch it: what they cannot fetch is slashed",
        )
    })?;
    let encrypted = Encrypted {
        hash: sealed.is.hash,
        size_bytes: sealed.is.size_bytes,
        key: Some((&sealed.key).into()),
        weights: Some(sealed.weights),
    };
    Ok(account
        .commit_encrypted(model, url.clone(), encrypted, embedding)
        .await?)
}

/// What a model has committed, found to be what the person thinks it is; with the key that they gave.
pub async fn check(committed: &CommittedWeights, to: &CommittedTo) -> CliResult<Option<DecryptionKey>> {
    let (encrypted, key) = (to.encrypted.clone(), to.key.clone());
    let checked = tokio::task::spawn_blocking(move || {
        let Some(path) = encrypted else {
            return Ok((None, None));
        };
        let file = File::open(&path).and_then(|mut file| Blob::copy(&mut file));
        let container = file.map_err(|error| unreadable(&path, &error))?;
        let key = key.map(|key| read_key(&key)).transpose()?;
        if let Some(key) = &key {
            Decrypting::new(container.reader(), container.size_bytes(), key)
                .map_err(|error| CliError::new(format!("{}: {error}", shown(&path))))?;
        }
        CliResult::Ok((Some(container.hash()), key))
    });
    let (hash, key) = checked.await??;
    same(&committed.url, committed.hash, to.url.as_ref(), hash)?;
    Ok(key)
}

/// Whether what is committed is at `url`, and hashes to `hash`, where those are given.
fn same(
    committed_url: &Url,
    committed_hash: ContentHash,
    url: Option<&Url>,
    hash: Option<ContentHash>,
) -> CliResult {
    if let Some(url) = url.filter(|url| *url != committed_url) {
        return Err(CliError::new(format!(
            "the commit names {committed_url}, not {url}: nothing was sent"
        ))
        .hint("a commit's URL cannot be changed; serve the file there"));
    }
    if let Some(hash) = hash.filter(|hash| *hash != committed_hash) {
        return Err(CliError::new(format!(
            "the commit is to {committed_hash}, and the file is {hash}: nothing was sent"
        ))
        .hint("give the file that was committed to; another can be committed in the next epoch"));
    }
    Ok(())
}
