//! `soma model`: publish models, and look at them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use soma_client::{
    Account, ModelFilter, NodeClient,
    flows::{CommittedModel, Publication},
};
use soma_files::Output;
use soma_model::Model;
use soma_types::{
    ContentHash, Embedding, Epoch, ModelId, Receipt, Shannons, TransactionKind, Url,
    api::{ModelView, PAGE_ITEMS_MAX, Status},
    objects::{Inactivity, ModelStatus, Pool, Weights},
    text::printable,
    transaction::BasisPoints,
};

use crate::{
    args::ModelCommand,
    commands::{
        money::{receipt_text, show_receipt},
        scoring::{read_text, specialization},
    },
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts, short, table},
    reference::Reference,
};

/// The next epoch may take this many times as long as it should.
const PATIENCE: u32 = 6;
/// And at least this.
const PATIENCE_MIN: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct CreateOutput {
    model: ModelId,
    stake: Shannons,
    commission: BasisPoints,
}

#[derive(Serialize)]
struct CommitOutput {
    model: ModelId,
    hash: ContentHash,
    size_bytes: u64,
    url: Url,
    reveal_in: Epoch,
    /// None where an earlier command has committed.
    receipt: Option<Receipt>,
}

impl From<CommittedModel> for CommitOutput {
    fn from(committed: CommittedModel) -> Self {
        let CommittedModel {
            model,
            hash,
            size_bytes,
            url,
            reveal_in,
            receipt,
        } = committed;
        Self {
            model,
            hash,
            size_bytes,
            url,
            reveal_in,
            receipt,
        }
    }
}

#[derive(Serialize)]
struct FetchOutput {
    model: ModelId,
    weights: String,
    size_bytes: u64,
}

/// `soma model`.
pub async fn run(printer: Printer, context: &Context, command: &ModelCommand) -> CliResult {
    match command {
        ModelCommand::Create {
            commission,
            stake,
            signer,
        } => {
            let account = context.account(signer).await?;
            create(printer, &account, *commission, *stake).await
        }
        ModelCommand::Commit {
            model,
            weights,
            signer,
        } => {
            let account = context.account(signer).await?;
            let model = resolve(account.node(), model).await?;
            let (weights, _) = read(&account, weights).await?;
            let committed = account.commit_model(model, weights, None).await?;
            printer.show(&CommitOutput::from(committed), commit_text)
        }
        ModelCommand::Reveal {
            model,
            data,
            weights,
            signer,
        } => {
            let account = context.account(signer).await?;
            let id = resolve(account.node(), model).await?;
            let embedding = match weights {
                Some(weights) => {
                    let (_, parsed) = read(&account, weights).await?;
                    Some(embed(printer, parsed, data).await?)
                }
                None => None,
            };
            let receipt = account.reveal_model(id, embedding).await?;
            show_receipt(printer, &revealed(id), &receipt)
        }
        ModelCommand::Update {
            model,
            weights,
            data,
            signer,
        } => {
            let account = context.account_at(context.patient_node()?, signer).await?;
            let model = resolve(account.node(), model).await?;
            update(printer, context, &account, model, weights, data).await
        }
        ModelCommand::SetCommission {
            model,
            commission,
            signer,
        } => {
            let account = context.account(signer).await?;
            let model = resolve(account.node(), model).await?;
            let commission = BasisPoints::new(*commission)?;
            let receipt = account.set_model_commission(model, commission).await?;
            let done = format!(
                "the owner of model {model} keeps {} of its rewards from the next epoch",
                percent(commission)
            );
            show_receipt(printer, &done, &receipt)
        }
        ModelCommand::Deactivate { model, signer } => {
            let account = context.account(signer).await?;
            let model = resolve(account.node(), model).await?;
            let receipt = account.deactivate_model(model).await?;
            let done = format!(
                "model {model} stops competing at the next boundary; `soma stake withdraw model:{model}` takes its stake out"
            );
            show_receipt(printer, &done, &receipt)
        }
        ModelCommand::List => {
            let node = context.node()?;
            let (models, status) = (node.models(&ModelFilter::default()).await?, node.status().await?);
            printer.show(&models, |models| list_text(models, &status))?;
            if models.is_empty() {
                printer.note("There are no models yet; `soma model create` makes one.");
            }
            Ok(())
        }
        ModelCommand::Show { model } => {
            let node = context.node()?;
            let model = resolve(&node, model).await?;
            let (view, status) = (node.model(&model).await?, node.status().await?);
            printer.show(&view, |view| show_text(view, &status))
        }
        ModelCommand::Fetch { model, out } => {
            let place = Output::check(out)?;
            let node = context.node()?;
            let model = resolve(&node, model).await?;
            let weights = node.fetch_model(&model).await?;
            place.write(&weights)?;
            let (weights, size_bytes) = (out.display().to_string(), weights.len() as u64);
            printer.show(
                &FetchOutput {
                    model,
                    weights,
                    size_bytes,
                },
                |output| {
                    format!(
                        "wrote {} ({} bytes)",
                        printable(&output.weights),
                        output.size_bytes
                    )
                },
            )
        }
    }
}

/// The model that was typed.
pub async fn resolve(node: &NodeClient, model: &Reference) -> CliResult<ModelId> {
    match model.whole() {
        Some(model) => Ok(model),
        None => {
            let all = node.models(&ModelFilter::default()).await?;
            model.pick("model", all.iter().map(|view| view.model.id))
        }
    }
}

async fn create(printer: Printer, account: &Account, commission: u16, stake: Option<Shannons>) -> CliResult {
    let commission = BasisPoints::new(commission)?;
    let stake = match stake {
        Some(stake) => stake,
        None => account.params().await?.model_stake_min,
    };
    let model = account.create_model(commission, stake).await?;
    printer.show(
        &CreateOutput {
            model,
            stake,
            commission,
        },
        |output| {
            facts(&[
                ("model", output.model.to_string()),
                ("stake", format!("{} SOMA", output.stake)),
                ("commission", percent(output.commission)),
            ])
        },
    )
}

/// Commit, wait, reveal; from where an earlier command stopped.
async fn update(
    printer: Printer,
    context: &Context,
    account: &Account,
    model: ModelId,
    weights: &Path,
    data: &[PathBuf],
) -> CliResult {
    let (weights, parsed) = read(account, weights).await?;
    let publication = account.publication(model, ContentHash::of(&weights)).await?;
    if let Publication::Revealed(_) = publication {
        printer.note("An earlier command has revealed these weights");
        return show_receipt(printer, &revealed(model), &reveal_of(account, model).await?);
    }
    let embedding = embed(printer, parsed, data).await?;
    let committed = match publication {
        Publication::Committed(committed) => *committed,
        Publication::Begins | Publication::Revealed(_) => {
            account
                .commit_model(model, weights, Some(embedding.clone()))
                .await?
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
    let done = match committed.receipt {
        Some(receipt) => format!("Committed in block {}", receipt.height),
        None => "Going on with the commit of an earlier command".to_owned(),
    };
    printer.note(format!(
        "{done}; waiting about {} s for epoch {reveal_in} to reveal",
        wait.as_secs()
    ));
    node.wait_for_epoch(reveal_in, (wait * PATIENCE).max(PATIENCE_MIN))
        .await?;
    let receipt = account.reveal_model(model, Some(embedding)).await?;
    context.record().set_due(None);
    show_receipt(printer, &revealed(model), &receipt)
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

/// Reads weights, and refuses those that the committee would fault.
async fn read(account: &Account, path: &Path) -> CliResult<(Vec<u8>, Model)> {
    let architecture = account.params().await?.architecture;
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let bytes = fs::read(&path)
            .map_err(|error| CliError::new(format!("cannot read {}: {error}", path.display())))?;
        let model = Model::from_bytes(&bytes, &architecture).map_err(|error| {
            CliError::new(format!("{}: {error}", path.display()))
                .hint("the file must be safetensors of the network's architecture; see `soma params`")
        })?;
        Ok((bytes, model))
    })
    .await?
}

async fn embed(printer: Printer, model: Model, data: &[PathBuf]) -> CliResult<Embedding> {
    let data = data.to_owned();
    tokio::task::spawn_blocking(move || {
        let reading = read_text(printer, &data)?;
        specialization(&model, &reading.dataset)
    })
    .await?
}

fn commit_text(output: &CommitOutput) -> String {
    format!(
        "committed {} bytes for model {}; reveal them in epoch {}\n{}{}",
        output.size_bytes,
        output.model,
        output.reveal_in,
        facts(&[("weights", output.url.to_string())]),
        output.receipt.as_ref().map(receipt_text).unwrap_or_default()
    )
}

fn list_text(models: &[ModelView], status: &Status) -> String {
    if models.is_empty() {
        return String::new();
    }
    let rows = models.iter().map(|view| {
        let model = &view.model;
        vec![
            short(model.id),
            short(model.owner),
            standing(view),
            staked(&view.pool).to_string(),
            percent(model.commission.at(status.epoch)),
            model.hits.to_string(),
            model.hits_total.to_string(),
            model.rewards_total.to_string(),
            model
                .weights
                .as_ref()
                .map_or("".into(), |weights| age(weights.active_from, status.epoch)),
        ]
    });
    let right = ["stake", "commission", "hits", "ever", "earned"];
    table(
        &[
            "model",
            "owner",
            "status",
            "stake",
            "commission",
            "hits",
            "ever",
            "earned",
            "weights",
        ],
        &right,
        rows,
    )
}

fn show_text(view: &ModelView, status: &Status) -> String {
    let model = &view.model;
    let mut lines = vec![
        ("model", model.id.to_string()),
        ("owner", model.owner.to_string()),
        ("status", standing(view)),
        ("created", age(model.created, status.epoch)),
        (
            "stake",
            format!(
                "{} SOMA, of which {} count in this epoch",
                staked(&view.pool),
                view.pool.counted
            ),
        ),
        ("commission", percent(model.commission.at(status.epoch))),
        (
            "hits",
            format!("{} in this epoch, {} ever", model.hits, model.hits_total),
        ),
        ("earned", format!("{} SOMA", model.rewards_total)),
    ];
    if let Some(weights) = &model.weights {
        lines.extend(weights_lines(
            "weights",
            weights,
            &age(weights.active_from, status.epoch),
        ));
    }
    if let Some(weights) = &model.revealed {
        lines.extend(weights_lines(
            "revealed",
            weights,
            &format!("compete from epoch {}", weights.active_from),
        ));
    }
    if let Some(committed) = &model.committed {
        lines.push((
            "committed",
            format!(
                "{} bytes, to reveal in epoch {}",
                committed.size_bytes,
                committed.epoch.next()
            ),
        ));
        lines.push(("committed", committed.url.to_string()));
    }
    if let Some(embedding) = &view.embedding {
        let head: Vec<String> = embedding
            .as_slice()
            .iter()
            .take(6)
            .map(|value| format!("{:+.3}", f64::from(*value) / 32768.0))
            .collect();
        lines.push((
            "embedding",
            format!("{} .. ({} dimensions)", head.join(" "), embedding.dim()),
        ));
    }
    facts(&lines)
}

fn weights_lines(name: &'static str, weights: &Weights, when: &str) -> Vec<(&'static str, String)> {
    vec![
        (name, format!("{} bytes, {when}", weights.committed.size_bytes)),
        (name, weights.committed.url.to_string()),
    ]
}

/// How a model stands, in words.
fn standing(view: &ModelView) -> String {
    let model = &view.model;
    let status = match model.status {
        ModelStatus::Created => "created",
        ModelStatus::Active => "active",
        ModelStatus::Stale => "stale",
        ModelStatus::Retired => "retired",
    };
    match model.retiring {
        Some(Inactivity::Stale) => format!("{status}, too old"),
        Some(Inactivity::Deactivated) if model.status != ModelStatus::Retired => {
            format!("{status}, retiring")
        }
        Some(Inactivity::Faulted) => format!("{status}, faulted"),
        _ => status.to_owned(),
    }
}

/// All that is in a pool, whether it counts yet or not.
fn staked(pool: &Pool) -> Shannons {
    let parts = [pool.stake, pool.pending, pool.young, pool.maturing];
    Shannons(parts.iter().fold(0, |sum, part| sum.saturating_add(part.0)))
}

/// An age in epochs.
fn age(since: Epoch, now: Epoch) -> String {
    match now.0.saturating_sub(since.0) {
        0 => format!("epoch {since}, this one"),
        1 => format!("epoch {since}, the last"),
        epochs => format!("epoch {since}, {epochs} ago"),
    }
}

/// A share as people write it.
pub fn percent(share: BasisPoints) -> String {
    format!("{:.2}%", f64::from(share.get()) / 100.0)
}
