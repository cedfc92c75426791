//! `soma data`: what won, taken home.

mod table;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use soma_agents::won_data::{Destination, Format, JsonLines, Synced, sync};
use soma_types::{Epoch, text::printable};

use self::table::Table;
use crate::{
    args::{DataCommand, WonFormat},
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
    let DataCommand::Sync { since, out, format } = command;
    let node = context.patient_node()?;
    // Says at once that there is no node.
    context.node()?.status().await?;
    interrupt.hold();
    let format = of_name(*format, out);
    let destination = Destination::of(out, &*format);
    let (stopped, log) = (interrupt.flag(), Log::new(printer));
    let synced = sync(
        &node,
        Epoch(*since),
        &destination,
        &format,
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

/// As was asked for, or else as the file's name says.
fn of_name(asked: Option<WonFormat>, out: &Path) -> Arc<dyn Format> {
    let is_table = || out.extension().is_some_and(|end| end == Table.ending());
    match asked {
        Some(WonFormat::Parquet) => Arc::new(Table),
        None if is_table() => Arc::new(Table),
        Some(WonFormat::Jsonl) | None => Arc::new(JsonLines),
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
        text += &format!("; {} replaced", count(synced.damaged, "damaged record"));
    }
    if !synced.missing.is_empty() {
        text += &format!("; {} not to be had", synced.missing.len());
    }
    text
}
