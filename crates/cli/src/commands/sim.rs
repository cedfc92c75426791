//! `soma sim`: a progress bar around the simulation.

use std::fmt::Write as _;

use soma_netsim::{Outcome, PROPERTIES, Report as Network, run_all};
use soma_sim::{Config, Output, Report, Scope, economy, epochs_in_all};

use crate::{
    args::{EconomyArgs, NetworkArgs, SimCommand},
    error::{CliError, CliResult},
    printer::{Printer, table},
    progress::Log,
};

const BAR: &str = "{prefix:<12} {bar:30} {pos}/{len} epochs, {eta} left";
const SEEDS_BAR: &str = "{bar:30} {pos}/{len} seeds, {eta} left{msg}";

/// `soma sim`.
pub fn run(printer: Printer, command: &SimCommand) -> CliResult {
    match command {
        SimCommand::Economy(args) => run_economy(printer, args),
        SimCommand::Network(args) => run_network(printer, args),
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

/// `soma sim network`. Fails when a property does not hold.
fn run_network(printer: Printer, args: &NetworkArgs) -> CliResult {
    let Some(last) = args.from.checked_add(args.seeds - 1) else {
        return Err(CliError::usage(format!(
            "{} seeds from {} go beyond {}, the last one. Begin lower, or run fewer",
            args.seeds,
            args.from,
            u64::MAX
        )));
    };
    let validators = usize::from(args.validators);
    let bar = printer.progress(args.seeds, SEEDS_BAR);
    let log = Log::new(printer);
    let (mut done, mut failed) = (0, 0);
    let report = run_all(args.from..=last, validators, &mut |outcome| {
        done += 1;
        failed += u64::from(!outcome.broken.is_empty());
        if failed > 0 {
            bar.set_message(format!(", {failed} failed"));
        }
        bar.inc(1);
        log.line(|_| format!("{done} of {} seeds, {failed} failed", args.seeds));
    });
    bar.finish_and_clear();
    printer.show(&report, network_text)?;
    match report.failures.len() {
        0 => Ok(()),
        1 => Err(CliError::new("one seed failed")),
        failed => Err(CliError::new(format!("{failed} seeds failed"))),
    }
}

fn network_text(report: &Network) -> String {
    let rows = report.faults.iter().map(|row| {
        vec![
            row.fault.clone(),
            row.seeds.to_string(),
            row.failed.to_string(),
            format!("{:.1} s", row.slowest_recovery_ms as f64 / 1_000.0),
        ]
    });
    let columns = ["fault", "seeds", "failed", "slowest recovery"];
    let mut text = table(&columns, &columns[1..], rows);
    for outcome in &report.failures {
        text += &failure_text(outcome);
    }
    let held = match report.failures.len() {
        0 => format!("all {} properties held", PROPERTIES.len()),
        failed => format!("{failed} failed"),
    };
    let _ = writeln!(
        text,
        "\n{} from seed {}, {} validators: {} blocks, {} payments; {held}",
        if report.seeds == 1 {
            "one network".into()
        } else {
            format!("{} networks", report.seeds)
        },
        report.from,
        report.validators,
        report.blocks,
        report.payments,
    );
    text
}

/// What did not hold, what went wrong before, how to see it again, and what each validator did last.
fn failure_text(outcome: &Outcome) -> String {
    let scenario = &outcome.scenario;
    let mut text = format!("\nseed {} FAILED\n", scenario.seed);
    for broken in &outcome.broken {
        let _ = writeln!(text, "  {}: {}", broken.property, broken.detail);
    }
    for fault in &scenario.faults {
        let _ = writeln!(text, "  fault: {fault}");
    }
    let _ = writeln!(
        text,
        "  replay: soma sim network --from {} --seeds 1 --validators {}",
        scenario.seed, scenario.validators
    );
    for (validator, events) in outcome.events.iter().enumerate() {
        let _ = writeln!(text, "  validator {validator}, last events:");
        for event in events {
            let _ = writeln!(text, "    {event}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use soma_netsim::{Broken, Fault, Kind, Scenario};

    use super::*;

    fn report(outcomes: impl IntoIterator<Item = Vec<Broken>>) -> Network {
        let mut report = Network::new(4, 17);
        for (seed, broken) in (17..).zip(outcomes) {
            let fault = Fault {
                from_ms: 2_000,
                until_ms: 5_500,
                kind: Kind::Crash { validator: 2 },
            };
            report.add(Outcome {
                scenario: Scenario {
                    faults: vec![fault],
                    ..Scenario::calm(seed, 4)
                },
                recovery_ms: broken.is_empty().then_some(1_250),
                broken,
                blocks: 40,
                last_date_ms: Some(12_000),
                sizes: Vec::new(),
                payments: 30,
                checksum: "01020304".into(),
                events: vec![vec!["   2.000 s  crashed".into()], Vec::new()],
            });
        }
        report
    }

    #[test]
    fn what_held_is_one_table_and_one_line() {
        let expected = "\
FAULT  SEEDS  FAILED  SLOWEST RECOVERY
crash      2       0             1.2 s

2 networks from seed 17, 4 validators: 80 blocks, 60 payments; all 8 properties held
";
        assert_eq!(network_text(&report([Vec::new(), Vec::new()])), expected);
    }

    #[test]
    fn what_failed_says_how_to_see_it_again() {
        let broken = Broken {
            property: "supply",
            detail: "validator 1 counts one too many".into(),
        };
        let expected = "\
FAULT  SEEDS  FAILED  SLOWEST RECOVERY
crash      1       1             0.0 s

seed 17 FAILED
  supply: validator 1 counts one too many
  fault: 2.0 to 5.5 s: crash: validator 2
  replay: soma sim network --from 17 --seeds 1 --validators 4
  validator 0, last events:
       2.000 s  crashed
  validator 1, last events:

one network from seed 17, 4 validators: 40 blocks, 30 payments; 1 failed
";
        assert_eq!(network_text(&report([vec![broken]])), expected);
    }
}
