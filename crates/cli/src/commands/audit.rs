//! `soma validator audit`: what a validator is drawn for is examined and voted on, for as long as it runs.

use soma_agents::{
    Auditor, ScoringDesk,
    auditor::{AuditError, Progress},
};
use soma_model::Scorer;
use soma_types::text::printable;

use crate::{
    args::AuditArgs,
    auditors::Told,
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, count},
};

/// `soma validator audit`.
pub async fn run(printer: Printer, context: &Context, args: &AuditArgs, interrupt: &Interrupt) -> CliResult {
    let account = context.account_at(context.patient_node()?, &args.signer).await?;
    let (node, address) = (account.node().clone(), account.address());
    let validators = node.validators().await?;
    if !validators.iter().any(|view| view.validator.address == address) {
        return Err(
            CliError::new(format!("{address} is no validator of this network"))
                .hint("name the wallet of one with --wallet; `soma validator list` shows them"),
        );
    }
    let params = (*account.params().await?).clone();
    let experts = context.experts_within(&account, &args.budgets).await?;
    let auditor = Auditor::new(account, params, experts, ScoringDesk::new(Scorer::new()?));
    interrupt.hold();
    printer.note(format!(
        "Auditing for {address} at {}. Ctrl-C stops it; nothing is lost",
        printable(node.address())
    ));
    let mut told = Told::default();
    let never = auditor.run(move |step| tell(printer, &mut told, step));
    tokio::select! {
        never = never => match never {},
        () = interrupt.wait() => Ok(()),
    }
}

/// A line for each thing that was done, and for each trouble that is new.
fn tell(printer: Printer, told: &mut Told, step: Result<Progress, AuditError>) {
    let progress = step.unwrap_or_else(|error| Progress {
        passed_over: vec![error],
        ..Progress::default()
    });
    for (done, verdicts) in [("committed", progress.committed), ("revealed", progress.revealed)] {
        if verdicts > 0 {
            printer.note(format!("{done} {}", count(verdicts as u64, "verdict")));
        }
    }
    for model in &progress.models_reported {
        printer.note(format!("reported model {model}: its weights are unusable"));
    }
    for trouble in told.new_ones(&progress.passed_over) {
        printer.note(trouble);
    }
}
