//! `soma validator audit`: what a validator is drawn for is examined and voted on, for as long as it runs.

use std::{path::Path, time::Instant};

use soma_agents::{
    Auditor, ScoringDesk,
    auditor::{AuditError, Progress},
};
use soma_client::Account;
use soma_files::{Lock, LockError, create_private_directory};
use soma_model::Scorer;
use soma_types::{ContentHash, hash::domain_hash, text::printable};

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
    let _lock = alone(&context.home()?, &account).await?;
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

/// Held while a validator's audits are this process's: two would score everything twice, and be in each
/// other's way.
async fn alone(home: &Path, account: &Account) -> CliResult<Lock> {
    let (chain, address) = (account.chain().await?, account.address());
    let name = ContentHash(domain_hash(
        "soma validator audit",
        &[chain.as_bytes(), &address.0],
    ))
    .to_string();
    let folder = home.join("audit").join(&name[2..18]);
    create_private_directory(&folder)?;
    Lock::acquire(&folder).map_err(|error| match error {
        LockError::Held(_) => {
            CliError::new(format!("another `soma validator audit` is at work for {address}"))
                .hint("one is enough: stop it before this one starts")
        }
        LockError::File(error) => error.into(),
    })
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
    for trouble in told.news(&progress.passed_over, Instant::now()) {
        printer.note(trouble);
    }
}
