//! `soma content`: what a node's operator takes down, in the node's own folder. Nobody else can.

use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

use serde::Serialize;
use soma_blobs::{Withdrawal, Withdrawn, WithdrawnError};
use soma_localnet::blobs_of;
use soma_node::runtime::since_1970_ms;
use soma_operator::Home;
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
    /// The stores that it is taken from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<PathBuf>,
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
            let folders = stores(context, network)?;
            let (hash, text, from) = (*hash, reason.clone(), folders.clone());
            let now_ms = since_1970_ms(SystemTime::now());
            let added = tokio::task::spawn_blocking(move || {
                let each = from
                    .iter()
                    .map(|folder| Withdrawn::add(folder, hash, &text, now_ms));
                each.collect::<Result<Vec<bool>, _>>()
            });
            let was_up = added.await?.map_err(of_list)?.contains(&true);
            let withdrawal = Withdrawal {
                reason: reason.trim().to_owned(),
                since_ms: now_ms,
                restored: false,
            };
            let dropped = Dropped {
                hash,
                from: folders.clone(),
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
                listed(&folders)
            ));
            Ok(())
        }
        ContentCommand::Restore { hash, network } => {
            let mut was_dropped = false;
            for folder in stores(context, network)? {
                was_dropped |= Withdrawn::restore(&folder, hash).map_err(of_list)?;
            }
            if !was_dropped {
                return Err(CliError::new(format!("{hash} was not dropped here"))
                    .hint("`soma content list` shows what was"));
            }
            printer.show(hash, |hash| format!("{hash} may be stored and served again"))
        }
        ContentCommand::List { network } => {
            let mut all = BTreeMap::new();
            for folder in stores(context, network)? {
                let list = Withdrawn::read(&folder).map_err(of_list)?;
                all.extend(list.iter().map(|(hash, withdrawal)| (*hash, withdrawal.clone())));
            }
            let all: Vec<_> = all
                .iter()
                .map(|(hash, withdrawal)| Dropped {
                    hash: *hash,
                    from: Vec::new(),
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

/// The content stores of the node or the localnet whose folder was typed: that of a home; of a localnet the
/// one that its validators share, or each one's own.
fn stores(context: &Context, network: &NetworkFolder) -> CliResult<Vec<PathBuf>> {
    let home = context.home()?;
    let directory = match &network.dir {
        Some(directory) => directory.clone(),
        None if Home::new(home.clone()).network().exists() => home,
        None => home.join("localnet"),
    };
    let node = Home::new(directory.clone());
    if node.network().exists() {
        return Ok(vec![node.blobs()]);
    }
    if !directory.join("genesis.json").exists() {
        return Err(
            CliError::new(format!("there is no network in {}", directory.display()))
                .hint("--home names that of a node, --dir the folder that `soma localnet` was given"),
        );
    }
    let own = (0..).map(|index| Home::new(directory.join(format!("validator-{index}"))).blobs());
    let mut stores: Vec<PathBuf> = own.take_while(|blobs| blobs.exists()).collect();
    let shared = blobs_of(&directory);
    if stores.is_empty() || shared.exists() {
        stores.push(shared);
    }
    Ok(stores)
}

fn listed(folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| shown(folder)).collect();
    folders.join(", ")
}

fn of_list(error: WithdrawnError) -> CliError {
    match error {
        error @ WithdrawnError::Reason { .. } => CliError::usage(error),
        error => error.into(),
    }
}
