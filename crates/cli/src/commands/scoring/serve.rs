//! `soma score serve`: exact scores over HTTP.

use std::{path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use soma_scoring::{Files, Limits, Scoring, Service, server, service::JobError};
use soma_types::{ContentHash, text::printable};

use super::shown;
use crate::{
    architecture,
    args::ServeArgs,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::Printer,
    weights,
};

#[derive(Serialize)]
struct ServeOutput {
    url: String,
    models: Vec<String>,
    /// BLAKE3 of their files, in the same order.
    weights: Vec<ContentHash>,
    backend: String,
}

/// `soma score serve`.
pub async fn serve(printer: Printer, args: &ServeArgs, interrupt: &Interrupt) -> CliResult {
    let architecture = architecture::parse(&args.arch)?;
    let files = Files::new(architecture, weights::files(&args.weights))?;
    let service = Service::new(Limits {
        waiting_max: args.waiting,
        body_bytes_max: usize::try_from(args.body.as_u64()).unwrap_or(usize::MAX),
        job_time_max: Duration::from_secs(args.seconds),
        ..Limits::dedicated(args.memory.as_u64())
    })?;
    // What cannot be scored with is said now, not to the first who asks.
    let models: Vec<String> = files.names().map(str::to_owned).collect();
    let weights = models
        .iter()
        .filter_map(|name| files.entry_of(name))
        .map(|entry| {
            let name = entry.name.clone();
            service.warm(entry).map_err(|error| {
                let path = files.path(&name).map(Path::to_owned).unwrap_or_default();
                let reason = match error {
                    JobError::Model { reason, .. } | JobError::Unavailable { reason, .. } => reason,
                    error => error.to_string(),
                };
                CliError::new(format!("{}: {reason}", shown(&path)))
                    .hint("give weights of the architecture that --arch names, and --memory for the largest of them")
            })
        })
        .collect::<CliResult<Vec<_>>>()?;
    let listener = soma_http::listen(args.listen)?;
    let output = ServeOutput {
        url: format!("http://{}", listener.local_addr()?),
        models,
        weights,
        backend: service.scorer().backend(),
    };
    printer.show(&output, |output| {
        format!(
            "Scoring at {}/v1/score with {}",
            output.url,
            printable(&output.models.join(", "))
        )
    })?;
    let scoring = Scoring {
        service,
        library: Arc::new(files),
    };
    let interrupt = interrupt.clone();
    server::serve(listener, scoring, async move { interrupt.wait().await }).await?;
    printer.note("Stopped.");
    Ok(())
}
