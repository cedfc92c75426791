//! `soma data`: what won, taken home.

use std::sync::atomic::Ordering;

use soma_agents::won_data::{Destination, Synced, sync};
use soma_types::{Epoch, text::printable};

use crate::{
    args::DataCommand,
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count},
    progress::Log,
};

/// Of documents that could not be had, so many are told of one by one.
const TOLD_MAX: usize = 5;

/// `soma data`.
pub async fn run(
    printer: Printer,
    context: &Context,
    command: &DataCommand,
    interrupt: &Interrupt,
) -> CliResult {
    let DataCommand::Sync { since, out } = command;
    let node = context.patient_node()?;
    // Says at once that there is no node.
    context.node()?.status().await?;
    interrupt.hold();
    let destination = Destination::of(out);
    let (stopped, log) = (interrupt.flag(), Log::new(printer));
    let synced = sync(
        &node,
        Epoch(*since),
        &destination,
        || stopped.load(Ordering::Relaxed),
        |epoch, synced| log.line(|_| format!("epoch {epoch}: {} came", count(synced.fetched, "document"))),
    );
    let synced = synced.await?;
    printer.show(&synced, |synced| {
        let there = printable(&out.display().to_string()).into_owned();
        text(synced, &there)
    })?;
    for missing in synced.missing.iter().take(TOLD_MAX) {
        printer.note(format!(
            "target {} of epoch {}: {}",
            missing.target, missing.epoch, missing.reason
        ));
    }
    if synced.stopped {
        return Err(CliError::interrupted());
    }
    match synced.missing.iter().filter(|missing| missing.wrong).count() {
        0 => Ok(()),
        wrong => Err(CliError::new(format!(
            "the node gave other bytes than the ledger names for {}",
            count(wrong as u64, "document")
        ))
        .hint("nothing of them was kept; ask another node with --network")),
    }
}

fn text(synced: &Synced, there: &str) -> String {
    let mut text = format!(
        "{} came ({} bytes), {} there already, in {there}",
        count(synced.fetched, "document"),
        synced.fetched_bytes,
        synced.kept
    );
    if synced.damaged > 0 {
        text += &format!("; {} replaced", count(synced.damaged, "damaged line"));
    }
    if !synced.missing.is_empty() {
        text += &format!("; {} not to be had", synced.missing.len());
    }
    text
}
