//! `soma sim`: a progress bar around the simulation.

use soma_sim::{Config, Output, Report, Scope, economy, epochs_in_all};

use crate::{
    args::{EconomyArgs, SimCommand},
    error::{CliError, CliResult},
    printer::Printer,
};

const BAR: &str = "{prefix:<12} {bar:30} {pos}/{len} epochs, {eta} left";

/// `soma sim`.
pub fn run(printer: Printer, command: &SimCommand) -> CliResult {
    match command {
        SimCommand::Economy(args) => run_economy(printer, args),
    }
}

/// `soma sim economy`. Fails when a check does.
fn run_economy(printer: Printer, args: &EconomyArgs) -> CliResult {
    let config = Config {
        epochs: args.epochs,
        seed: args.seed,
        scope: Scope::Whole,
    };
    Output::prepare(&args.out)?;
    let bar = printer.progress(epochs_in_all(config), BAR);
    let output = economy(config, &mut |what| {
        bar.set_prefix(what);
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    // What was found is shown even where it cannot be kept.
    let written = output.write(&args.out);
    printer.show(&output.report, text)?;
    written?;
    printer.note(format!(
        "wrote {} and the files it names",
        args.out.join("report.json").display()
    ));
    match output.report.checks.iter().filter(|check| !check.passed).count() {
        0 => Ok(()),
        1 => Err(CliError::new("one check failed")),
        failed => Err(CliError::new(format!("{failed} checks failed"))),
    }
}

fn text(report: &Report) -> String {
    let line = |check: &soma_sim::Check| {
        let verdict = if check.passed { "ok    " } else { "FAILED" };
        format!("{verdict}  {}: {}\n", check.name, check.detail)
    };
    report.checks.iter().map(line).collect()
}
