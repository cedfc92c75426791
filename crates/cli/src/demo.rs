//! `soma demo`: the whole competition on this machine, start to finish.
//!
//! A generalist is trained on all domains and becomes the network's genesis weights; one specialist per
//! domain is fine-tuned from it. Four validators start; the specialists are created, committed, revealed
//! and become active; submitters score held-out documents and race for targets; one of them cheats.
//! Auditors check every winner. When everything is paid, the report is drawn up and its checks decide the
//! exit code.

mod bandwidth;
mod cast;
mod compete;
mod judge;
mod measure;
mod report;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use soma_localnet::{Config, Localnet};
use soma_model::Scorer;

use crate::{
    architecture,
    args::DemoArgs,
    corpora,
    demo::{
        cast::{Schedule, domains, train_all},
        compete::Competition,
        measure::{HeldOut, Measured},
    },
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::Printer,
};

/// `soma demo`.
pub async fn run(printer: Printer, args: &DemoArgs, interrupt: &Interrupt) -> CliResult {
    let started = Instant::now();
    let scratch = tempfile::Builder::new()
        .prefix("soma-demo-")
        .tempdir()
        .map_err(|error| {
            CliError::new(format!("cannot make a temporary folder: {error}"))
                .hint("set TMPDIR to a folder with space")
        })?;
    let folder = args.dir.clone().unwrap_or_else(|| scratch.path().join("network"));
    let architecture = architecture::parse(&args.arch)?;
    let scorer = Scorer::new()?;

    let text = match &args.data {
        Some(folder) => folder.clone(),
        None => unpack(&scratch)?,
    };
    let domains = Arc::new(domains(printer, &text)?);
    let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
    printer.note(format!(
        "Training a generalist, then a specialist each for {}",
        names.join(", ")
    ));
    let schedule = Schedule {
        architecture,
        total: Duration::from_secs(args.train_seconds),
        seed: args.seed,
    };
    let (trainees, flag) = (Arc::clone(&domains), interrupt.flag());
    let cast = tokio::task::spawn_blocking(move || train_all(printer, &trainees, &schedule, &flag)).await??;

    let competition = Competition::plan(&domains, cast, architecture, args, &folder)?;
    printer.note("Starting four validators");
    let config = Config {
        blueprint: competition.blueprint()?,
        seed: Some(args.seed),
        ..Config::new(&folder)
    };
    let network = tokio::task::spawn_blocking(move || Localnet::start(config)).await??;
    let outcome = tokio::select! {
        outcome = competition.run(printer, &network) => outcome,
        () = interrupt.wait() => Err(CliError::interrupted()),
    };
    let record = match outcome {
        Ok(record) => record,
        Err(error) => {
            let stopped = tokio::task::spawn_blocking(move || network.stop()).await?;
            // Why a validator stopped says more than that it does not answer.
            return Err(stopped.err().map_or(error, CliError::from));
        }
    };
    tokio::task::spawn_blocking(move || network.stop()).await??;

    printer.note("Measuring every model and their mixture on the held-out text");
    let stakes = record.stakes();
    let (cast, domains) = (competition.into_cast(), Arc::clone(&domains));
    let (measured, generalist, cast) = tokio::task::spawn_blocking(move || -> CliResult<_> {
        let text: Vec<&HeldOut> = domains.iter().map(|domain| &domain.held_out).collect();
        let experts: Vec<_> = cast
            .specialists
            .iter()
            .map(|specialist| &specialist.model)
            .zip(stakes)
            .collect();
        let measured = Measured::take(&scorer, &experts, &text)?;
        let generalist = Measured::take(&scorer, &[(&cast.generalist.model, 1)], &text)?.expert(0);
        Ok((measured, generalist, cast))
    })
    .await??;
    let report = judge::report(&record, &cast, &measured, generalist, started.elapsed());
    printer.show(&report, report::Report::text)?;
    if report.passed() {
        Ok(())
    } else {
        let failed: Vec<&str> = report
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| check.name)
            .collect();
        Err(CliError::new(format!(
            "the demo ran, but did not hold: {}",
            failed.join(", ")
        )))
    }
}

fn unpack(scratch: &tempfile::TempDir) -> CliResult<PathBuf> {
    let folder = scratch.path().join("data");
    corpora::unpack(&folder).map_err(|error| CliError::new(error).hint("free some disk space"))?;
    Ok(folder)
}
