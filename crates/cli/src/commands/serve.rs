//! `soma serve`: models at work behind OpenAI's interface.

use std::{net::TcpListener, sync::Arc};

use serde::Serialize;
use soma_model::{Scorer, Sequence};
use soma_serving::{Expert, Models, engine::AT_ONCE, server};
use soma_types::{ContentHash, text::printable};

use super::whole::{files, hash, load, require};
use crate::{
    args::ServeModelsArgs,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::Printer,
};

#[derive(Serialize)]
struct ServeOutput {
    url: String,
    models: Vec<String>,
    /// BLAKE3 of the models' files; the whole, which is first, has none of its own.
    weights: Vec<ContentHash>,
    backend: String,
}

/// `soma serve`.
pub async fn run(printer: Printer, args: &ServeModelsArgs, interrupt: &Interrupt) -> CliResult {
    let (architecture, files) = files(&args.models)?;
    let kept = |architecture: &_| Sequence::memory_bytes_max(architecture).saturating_mul(AT_ONCE as u64);
    require(printer, &architecture, &files, kept, |_| 1)?;
    let mut experts = Vec::with_capacity(files.len());
    for (path, stake) in files {
        let weights = hash(&path, &architecture)?;
        let name = path
            .file_stem()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        experts.push(Expert {
            name,
            weights,
            stake,
            model: load(&path, weights, &architecture)?,
        });
    }
    let models = Arc::new(Models::new(Scorer::new()?, experts)?);
    let listener = TcpListener::bind(args.listen)
        .map_err(|error| CliError::new(format!("cannot listen on {}: {error}", args.listen)))?;
    let output = ServeOutput {
        url: format!("http://{}/v1", listener.local_addr()?),
        models: models.names().map(str::to_owned).collect(),
        weights: models.experts().iter().map(|expert| expert.weights).collect(),
        backend: models.scorer().simd().to_string(),
    };
    printer.show(&output, |output| {
        format!(
            "Serving {} at {}",
            printable(&output.models.join(", ")),
            output.url
        )
    })?;
    let interrupt = interrupt.clone();
    server::serve(listener, models, async move { interrupt.wait().await }).await?;
    printer.note("Stopped.");
    Ok(())
}
