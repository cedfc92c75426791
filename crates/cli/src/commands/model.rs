//! `soma model`: publish models, and look at them.

mod publish;
mod sealed;
mod text;

use serde::Serialize;
use soma_client::{Account, ModelFilter, NodeClient};
use soma_types::{ModelId, Shannons, text::printable, transaction::BasisPoints};

use self::{
    publish::{Corpus, commit, reveal, update},
    text::{list_text, show_text},
};
use crate::{
    args::ModelCommand,
    commands::{money::show_receipt, vacant::vacant},
    context::Context,
    error::CliResult,
    printer::{Printer, facts},
    reference::Reference,
};

pub use self::text::percent;

#[derive(Serialize)]
struct CreateOutput {
    model: ModelId,
    stake: Shannons,
    commission: BasisPoints,
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
            storage,
            signer,
        } => {
            let account = context.account(signer).await?;
            let model = resolve(account.node(), model).await?;
            commit(printer, &account, model, weights, storage).await
        }
        ModelCommand::Reveal {
            model,
            data,
            selection,
            weights,
            committed,
            signer,
        } => {
            let account = context.account(signer).await?;
            let model = resolve(account.node(), model).await?;
            let text = Corpus { data, selection };
            reveal(printer, &account, model, weights.as_deref(), text, committed).await
        }
        ModelCommand::Update {
            model,
            weights,
            storage,
            data,
            selection,
            signer,
        } => {
            let account = context.account_at(context.patient_node()?, signer).await?;
            let model = resolve(account.node(), model).await?;
            let text = Corpus { data, selection };
            update(printer, context, &account, model, weights, storage, text).await
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
            let place = vacant(out)?;
            let node = context.node()?;
            let model = resolve(&node, model).await?;
            let size_bytes = node.fetch_model_to(&model, place).await?;
            printer.show(
                &FetchOutput {
                    model,
                    weights: out.display().to_string(),
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
