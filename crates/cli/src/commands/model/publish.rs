//! `soma model commit`, `reveal` and `update`: weights, in two steps an epoch apart.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use soma_agents::embedding::genesis;
use soma_blobs::Blob;
use soma_client::{Account, ClientError, CommittedModel, Publication};
use soma_model::Model;
use soma_types::{
    ContentHash, Embedding, ModelId, Receipt, RejectionCode, TransactionKind, Url, api::PAGE_ITEMS_MAX,
};

use super::sealed::{self, Sealed};
use crate::{
    args::{CommittedTo, OwnStorage, Selection},
    commands::{
        money::{receipt_text, show_receipt},
        scoring::read_text,
    },
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts},
};

/// The next epoch may take this many times as long as it should.
const PATIENCE: u32 = 6;
/// Draws the sequences that are embedded; as `soma embed` unless told otherwise.
const EMBEDDING_SEED: u64 = 0;
/// And at least this.
const PATIENCE_MIN: Duration = Duration::from_secs(60);

/// The text whose place a model registers.
#[derive(Clone, Copy)]
pub struct Corpus<'a> {
    pub data: &'a [PathBuf],
    pub selection: &'a Selection,
}

/// `soma model commit`.
pub async fn commit(
    printer: Printer,
    account: &Account,
    model: ModelId,
    weights: &Path,
    storage: &OwnStorage,
) -> CliResult {
    let committed = match storage.both() {
        None => {
            let (weights, _) = read(account, weights).await?;
            account.commit_model(model, weights, None).await?
        }
        Some((url, key)) => {
            let sealed = open(account, weights, key).await?;
            sealed::commit(printer, account, model, &sealed, url, None).await?
        }
    };
    printer.show(&committed, commit_text)
}

/// `soma model reveal`.
pub async fn reveal(
    printer: Printer,
    account: &Account,
    model: ModelId,
    weights: Option<&Path>,
    text: Corpus<'_>,
    to: &CommittedTo,
) -> CliResult {
    let view = account.node().model(&model).await?;
    let committed = view.model.committed.ok_or(ClientError::ModelLacks {
        model,
        what: "committed weights to reveal",
    })?;
    let key = sealed::check(&committed, to).await?;
    let embedding = match weights {
        Some(weights) => {
            let (_, parsed) = read(account, weights).await?;
            Some(embed(printer, parsed, text).await?)
        }
        None => None,
    };
    let receipt = match (key, embedding) {
        (Some(key), Some(embedding)) => {
            let hash = committed.hash;
            account
                .reveal_model_with(model, hash, (&key).into(), embedding)
                .await?
        }
        (_, embedding) => account.reveal_model(model, embedding).await?,
    };
    show_receipt(printer, &revealed(model), &receipt)
}

/// `soma model update`: commit, wait, reveal; from where an earlier command stopped.
pub async fn update(
    printer: Printer,
    context: &Context,
    account: &Account,
    model: ModelId,
    weights: &Path,
    storage: &OwnStorage,
    text: Corpus<'_>,
) -> CliResult {
    let source = match storage.both() {
        None => {
            let (weights, parsed) = read(account, weights).await?;
            Source::Plain(weights, parsed)
        }
        Some((url, key)) => Source::Sealed(open(account, weights, key).await?, url.clone()),
    };
    let publication = account.publication(model, source.weights()).await?;
    if let Publication::Revealed(_) = publication {
        printer.note("An earlier command has revealed these weights");
        return show_receipt(printer, &revealed(model), &reveal_of(account, model).await?);
    }
    let (embedding, committed) = match (source, publication) {
        (Source::Plain(_, parsed), Publication::Committed(committed)) => {
            (embed(printer, parsed, text).await?, *committed)
        }
        (Source::Plain(weights, parsed), Publication::Begins | Publication::Revealed(_)) => {
            let embedding = embed(printer, parsed, text).await?;
            let committed = account.commit_model(model, weights, Some(embedding.clone()));
            (embedding, committed.await?)
        }
        (Source::Sealed(sealed, url), _) => {
            let embedding = embed(printer, sealed.model.clone(), text).await?;
            let committed = sealed::commit(printer, account, model, &sealed, &url, Some(embedding.clone()));
            (embedding, committed.await?)
        }
    };
    let reveal_in = committed.reveal_in;
    context.record().set_due(Some(format!(
        "reveal the weights of model {model} in epoch {reveal_in}: the same command again goes on, as does `soma model \
         reveal {model}` in that epoch. Not revealed by its end, they lapse"
    )));
    let node = account.node();
    let status = node.status().await?;
    let blocks = (status.epoch_first_height.0 + status.epoch_length_blocks).saturating_sub(status.height.0);
    let wait = Duration::from_millis(blocks * account.params().await?.block_time_ms);
    let begun = match &committed.receipt {
        Some(receipt) => format!("Committed in block {}", receipt.height),
        None => "Going on with the commit of an earlier command".to_owned(),
    };
    printer.note(format!(
        "{begun}; waiting about {} s for epoch {reveal_in} to reveal",
        wait.as_secs()
    ));
    node.wait_for_epoch(reveal_in, (wait * PATIENCE).max(PATIENCE_MIN))
        .await?;
    let done = account.reveal_committed(&committed, Some(embedding)).await;
    if done.as_ref().err().is_none_or(is_over) {
        context.record().set_due(None);
    }
    let receipt = match done? {
        Some(receipt) => receipt,
        None => {
            printer.note("Another command has revealed these weights");
            reveal_of(account, model).await?
        }
    };
    show_receipt(printer, &revealed(model), &receipt)
}

/// What is to be published.
enum Source {
    /// Weights that the node will host.
    Plain(Blob, Model),
    /// Encrypted weights, and where their owner serves them.
    Sealed(Sealed, Url),
}

impl Source {
    /// BLAKE3 of the weights.
    const fn weights(&self) -> ContentHash {
        match self {
            Self::Plain(weights, _) => weights.hash(),
            Self::Sealed(sealed, _) => sealed.weights,
        }
    }
}

async fn open(account: &Account, encrypted: &Path, key: &Path) -> CliResult<Sealed> {
    let architecture = account.params().await?.architecture;
    let (encrypted, key) = (encrypted.to_owned(), key.to_owned());
    tokio::task::spawn_blocking(move || Sealed::open(&encrypted, &key, &architecture)).await?
}

/// Whether by this error nothing is left to be revealed.
fn is_over(error: &ClientError) -> bool {
    matches!(error, ClientError::ModelLacks { .. })
        || error.rejection_code() == Some(RejectionCode::NothingCommitted)
}

/// The receipt of the model's last reveal by this account.
async fn reveal_of(account: &Account, model: ModelId) -> CliResult<Receipt> {
    let reveals = |kind: &TransactionKind| matches!(kind, TransactionKind::RevealModel { model: revealed, .. } if *revealed == model);
    let latest = account
        .node()
        .account_transactions(&account.address(), None, PAGE_ITEMS_MAX)
        .await?;
    latest
        .items
        .into_iter()
        .filter(|view| reveals(&view.transaction.kind))
        .find_map(|view| view.receipt.filter(Receipt::applied))
        .ok_or_else(|| CliError::new(format!("the weights of model {model} are revealed already")))
}

fn revealed(model: ModelId) -> String {
    format!("revealed the weights of model {model}; they compete from the next epoch")
}

/// Reads weights, and refuses those that the committee would fault. What was read stays, whatever becomes of
/// the file.
async fn read(account: &Account, path: &Path) -> CliResult<(Blob, Model)> {
    let architecture = account.params().await?.architecture;
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let weights = File::open(&path).and_then(|mut file| Blob::copy(&mut file));
        let weights =
            weights.map_err(|error| CliError::new(format!("cannot read {}: {error}", path.display())))?;
        let model = Model::read(weights.reader(), weights.size_bytes(), &architecture).map_err(|error| {
            CliError::new(format!("{}: {error}", path.display()))
                .hint("the file must be safetensors of the network's architecture; see `soma params`")
        })?;
        Ok((weights, model))
    })
    .await?
}

async fn embed(printer: Printer, model: Model, text: Corpus<'_>) -> CliResult<Embedding> {
    let (data, selection) = (text.data.to_owned(), text.selection.clone());
    tokio::task::spawn_blocking(move || {
        let reading = read_text(printer, &data, &selection)?;
        Ok(genesis(&model, &reading.dataset, EMBEDDING_SEED)?)
    })
    .await?
}

fn commit_text(committed: &CommittedModel) -> String {
    format!(
        "committed {} bytes for model {}; reveal them in epoch {}\n{}{}",
        committed.size_bytes,
        committed.model,
        committed.reveal_in,
        facts(&[("weights", committed.url.to_string())]),
        committed.receipt.as_ref().map(receipt_text).unwrap_or_default()
    )
}
