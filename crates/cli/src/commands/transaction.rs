//! `soma transaction`: what became of a transaction, and what was left behind.

use std::time::Duration;

use serde::Serialize;
use soma_client::{
    ClientError, NodeClient,
    follow::{End, follow},
    left_behind,
    outbox::Outbox,
};
use soma_types::{
    Address, ChainId, Epoch, Receipt, Shannons, SignedTransaction, TransactionHash, api::TransactionView,
    receipt::Outcome,
};

use crate::{
    args::TransactionCommand,
    commands::money::{receipt_text, show_receipt},
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts, short, table},
};

/// A transaction that was handed in from here, and no command has told how it ended.
#[derive(Serialize)]
struct LeftOutput {
    transaction: TransactionHash,
    kind: &'static str,
    state: &'static str,
    sender: Address,
    nonce: u64,
    expires: Epoch,
    max_fee: Shannons,
}

/// `soma transaction`.
pub async fn run(printer: Printer, context: &Context, command: &TransactionCommand) -> CliResult {
    let node = context.node()?;
    match command {
        TransactionCommand::Show { transaction } => show(printer, context, &node, transaction).await,
        TransactionCommand::List => list(printer, context, &node).await,
        TransactionCommand::Resend { transaction, wait } => {
            let wait = Duration::from_secs(*wait);
            resend(printer, context, &node, transaction, wait).await
        }
    }
}

async fn show(printer: Printer, context: &Context, node: &NodeClient, hash: &TransactionHash) -> CliResult {
    if let Some(view) = node.transaction(hash).await? {
        return printer.show(&view, view_text);
    }
    let error = CliError::new(format!("the node knows no transaction {hash}"));
    let chain = node.status().await?.chain;
    let found = all(context, &chain)?
        .into_iter()
        .find(|signed| signed.hash() == *hash);
    Err(match found {
        Some(signed) => error.hint(format!(
            "it was handed in from here, and may still happen until epoch {} ends: `soma transaction resend {hash}`",
            signed.transaction.expires
        )),
        None => error.hint("check the hash, and that --network names the right network"),
    })
}

fn view_text(view: &TransactionView) -> String {
    let body = &view.transaction;
    let state = match &view.receipt {
        None => format!("waits for a block, until epoch {} ends", body.expires),
        Some(receipt) => match &receipt.outcome {
            Outcome::Applied { .. } => "took effect".to_owned(),
            Outcome::Failed { rejection } => {
                format!(
                    "failed: {rejection} (code {} {})",
                    rejection.code(),
                    rejection.name()
                )
            }
        },
    };
    let mut text = facts(&[
        ("state", state),
        ("kind", body.kind.name().to_owned()),
        ("sender", body.sender.address().to_string()),
        ("nonce", body.nonce.to_string()),
    ]);
    text += &match &view.receipt {
        Some(receipt) => receipt_text(receipt),
        None => facts(&[("transaction", view.hash.to_string())]),
    };
    text
}

async fn list(printer: Printer, context: &Context, node: &NodeClient) -> CliResult {
    let left: Vec<_> = left_behind(node, &context.wallets()?.journal())
        .await?
        .iter()
        .map(|left| {
            let body = &left.transaction.transaction;
            LeftOutput {
                transaction: left.transaction.hash(),
                kind: body.kind.name(),
                state: match left.receipt.as_ref().map(|receipt| &receipt.outcome) {
                    None => "unknown",
                    Some(Outcome::Applied { .. }) => "applied",
                    Some(Outcome::Failed { .. }) => "failed",
                },
                sender: body.sender.address(),
                nonce: body.nonce,
                expires: body.expires,
                max_fee: body.max_fee,
            }
        })
        .collect();
    printer.show(&left, |left| {
        let rows = left.iter().map(|left| {
            vec![
                left.transaction.to_string(),
                left.kind.to_owned(),
                left.state.to_owned(),
                short(left.sender),
                left.nonce.to_string(),
                format!("epoch {}", left.expires),
            ]
        });
        if left.is_empty() {
            String::new()
        } else {
            table(
                &["transaction", "kind", "state", "sender", "nonce", "until"],
                &["nonce"],
                rows,
            )
        }
    })?;
    if left.is_empty() {
        printer.note("Nothing was left behind: how every transaction from here ended was told.");
    }
    Ok(())
}

async fn resend(
    printer: Printer,
    context: &Context,
    node: &NodeClient,
    hash: &TransactionHash,
    wait: Duration,
) -> CliResult {
    let chain = node.status().await?.chain;
    let mut kept = None;
    for outbox in outboxes(context, &chain)? {
        kept = outbox.claim(hash)?;
        if kept.is_some() {
            break;
        }
    }
    let Some(kept) = kept else {
        return Err(CliError::new(format!("transaction {hash} was not left behind here")).hint(format!(
            "`soma transaction list` shows what was, and `soma transaction show {hash}` what the node knows; a command \
             may also be waiting for it now"
        )));
    };
    let end = follow(node, kept.transaction(), wait).await?;
    kept.forget()?;
    let why = match end {
        End::Included(receipt) => return show_end(printer, receipt),
        End::Superseded => "another transaction has its nonce",
        End::Expired => "its last epoch is over",
    };
    Err(CliError::new(format!("transaction {hash} never happens: {why}")).hint("nothing was paid for it"))
}

fn show_end(printer: Printer, receipt: Receipt) -> CliResult {
    match &receipt.outcome {
        Outcome::Applied { .. } => show_receipt(printer, "it took effect", &receipt),
        Outcome::Failed { rejection } => Err(ClientError::Failed {
            rejection: rejection.clone(),
            receipt: Box::new(receipt),
        }
        .into()),
    }
}

fn outboxes(context: &Context, chain: &ChainId) -> CliResult<Vec<Outbox>> {
    Ok(context.wallets()?.journal().outboxes(chain)?)
}

fn all(context: &Context, chain: &ChainId) -> CliResult<Vec<SignedTransaction>> {
    let mut all = Vec::new();
    for outbox in outboxes(context, chain)? {
        all.extend(outbox.all()?);
    }
    Ok(all)
}
