//! `soma forecast`: what weights or documents would have earned.

mod documents;
mod weights;

use std::{ops::ControlFlow, sync::atomic::Ordering};

use soma_agents::forecast::past::epochs;
use soma_client::NodeClient;
use soma_model::ScoreError;
use soma_types::objects::EpochRecord;

use crate::{
    args::ForecastCommand,
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::Printer,
};

/// `soma forecast`.
pub async fn run(
    printer: Printer,
    context: &Context,
    command: &ForecastCommand,
    interrupt: &Interrupt,
) -> CliResult {
    match command {
        ForecastCommand::Model(args) => weights::run(printer, context, args, interrupt).await,
        ForecastCommand::Submit(args) => documents::run(printer, context, args, interrupt).await,
    }
}

/// The epochs to look at; none is an error.
async fn past_epochs(node: &NodeClient, count: u64) -> CliResult<Vec<EpochRecord>> {
    let records = epochs(node, count).await?;
    if records.is_empty() {
        return Err(
            CliError::new("no epoch is over yet").hint("`soma status` shows how far the first one is")
        );
    }
    Ok(records)
}

/// Goes on until Ctrl-C.
fn watch(interrupt: &Interrupt) -> impl Fn(u64) -> ControlFlow<()> + Send + Sync + 'static {
    let stopped = interrupt.flag();
    move |_| {
        if stopped.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// What scoring that was stopped comes to.
fn stopped(error: ScoreError) -> CliError {
    match error {
        ScoreError::Cancelled => CliError::interrupted(),
        error => error.into(),
    }
}
