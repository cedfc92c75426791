//! `soma content`: what a node's operator takes down, in the node's own folder. Nobody else can.

use std::{path::PathBuf, time::SystemTime};

use serde::Serialize;
use soma_blobs::{Withdrawal, Withdrawn, WithdrawnError};
use soma_localnet::blobs_of;
use soma_node::runtime::since_1970_ms;
use soma_types::ContentHash;

use crate::{
    args::{ContentCommand, NetworkFolder},
    commands::scoring::shown,
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, table},
};

#[derive(Serialize)]
struct Dropped {
    hash: ContentHash,
    /// The store that it is taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<PathBuf>,
    #[serde(flatten)]
    withdrawal: Withdrawal,
}

/// `soma content`.
pub async fn run(printer: Printer, context: &Context, command: &ContentCommand) -> CliResult {
    match command {
        ContentCommand::Drop {
            hash,
            reason,
            network,
        } => {
            let folder = store(context, network)?;
            let (hash, text, from) = (*hash, reason.clone(), folder.clone());
            let now_ms = since_1970_ms(SystemTime::now());
            let added =
                tokio::task::spawn_blocking(move || Withdrawn::add(&from, hash, &text, now_ms)).await?;
            let was_up = added.map_err(of_list)?;
            let withdrawal = Withdrawal {
                reason: reason.trim().to_owned(),
                since_ms: now_ms,
                restored: false,
            };
            let dropped = Dropped {
                hash,
                from: Some(folder.clone()),
                withdrawal,
            };
            printer.show(&dropped, |dropped| {
                let done = if was_up {
                    "dropped"
                } else {
                    "was dropped before; now"
                };
                format!("{done} {}: {}", dropped.hash, dropped.withdrawal.reason)
            })?;
            printer.note(format!(
                "A node that runs removes it from {} with its next block, others when they start. An audit that needs \
                 it is made by others, or by nobody: docs/content.md",
                shown(&folder)
            ));
            Ok(())
        }
        ContentCommand::Restore { hash, network } => {
            let folder = store(context, network)?;
            if !Withdrawn::restore(&folder, hash).map_err(of_list)? {
                return Err(CliError::new(format!("{hash} was not dropped here"))
                    .hint("`soma content list` shows what was"));
            }
            printer.show(hash, |hash| format!("{hash} may be stored and served again"))
        }
        ContentCommand::List { network } => {
            let all = Withdrawn::read(&store(context, network)?).map_err(of_list)?;
            let all: Vec<_> = all
                .iter()
                .map(|(hash, withdrawal)| Dropped {
                    hash: *hash,
                    from: None,
                    withdrawal: withdrawal.clone(),
                })
                .collect();
            printer.show(&all, |all| {
                if all.is_empty() {
                    return String::new();
                }
                let rows = all.iter().map(|dropped| {
                    let may = if dropped.withdrawal.restored {
                        "may come back"
                    } else {
                        "down"
                    };
                    vec![
                        dropped.hash.to_string(),
                        may.into(),
                        dropped.withdrawal.reason.clone(),
                    ]
                });
                table(&["content", "is", "reason"], &[], rows)
            })?;
            if all.is_empty() {
                printer.note("Nothing was dropped.");
            }
            Ok(())
        }
    }
}

/// The content store of the network in the folder that was typed.
fn store(context: &Context, network: &NetworkFolder) -> CliResult<PathBuf> {
    let directory = match &network.dir {
        Some(directory) => directory.clone(),
        None => context.home()?.join("localnet"),
    };
    if !directory.join("genesis.json").exists() {
        return Err(
            CliError::new(format!("there is no network in {}", directory.display()))
                .hint("--dir names the folder that `soma localnet` was given"),
        );
    }
    Ok(blobs_of(&directory))
}

fn of_list(error: WithdrawnError) -> CliError {
    match error {
        error @ WithdrawnError::Reason { .. } => CliError::usage(error),
        error => error.into(),
    }
}
