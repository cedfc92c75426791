//! `soma validator`: who orders blocks, how to be one of them, and how they change the protocol.

use std::{fs, path::Path};

use serde::Serialize;
use serde_json::Value;
use soma_types::{
    Epoch, Shannons,
    api::{ProposalView, ValidatorView},
    equivocation::Equivocation,
    list::List,
    transaction::{BasisPoints, ModelFault},
    upgrade::{Ballot, ProposalStatus, ProtocolVersion, Upgrade},
};

use crate::{
    architecture,
    args::{Fault, ProposeArgs, Signer, ValidatorCommand},
    commands::{
        audit,
        model::{percent, resolve},
        money::show_receipt,
    },
    context::Context,
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Printer, short, table},
};

/// Epochs until a proposal's activation where none is given: one to vote, one to update, one in reserve.
const ACTIVATION_EPOCHS: u64 = 3;

/// What `soma validator list` shows.
#[derive(Serialize)]
struct ListOutput {
    validators: Vec<ValidatorView>,
    proposals: Vec<ProposalView>,
}

/// `soma validator`.
pub async fn run(
    printer: Printer,
    context: &Context,
    command: &ValidatorCommand,
    interrupt: &Interrupt,
) -> CliResult {
    match command {
        ValidatorCommand::List => {
            let node = context.node()?;
            let output = ListOutput {
                validators: node.validators().await?,
                proposals: node.proposals().await?,
            };
            printer.show(&output, list_text)
        }
        ValidatorCommand::Register {
            network_key,
            commission,
            stake,
            signer,
        } => register(printer, context, network_key, *commission, *stake, signer).await,
        ValidatorCommand::Audit(args) => audit::run(printer, context, args, interrupt).await,
        ValidatorCommand::Leave { signer } => {
            let account = context.account(signer).await?;
            let receipt = account.leave_validator().await?;
            let done = format!(
                "validator {} leaves at the next boundary; its stake stays until `soma stake withdraw validator:{}`",
                account.address(),
                account.address()
            );
            show_receipt(printer, &done, &receipt)
        }
        ValidatorCommand::Commission { commission, signer } => {
            let account = context.account(signer).await?;
            let commission = BasisPoints::new(*commission)?;
            let receipt = account.set_validator_commission(commission).await?;
            let done = format!(
                "the validator keeps {} of its pool's rewards from the next epoch",
                percent(commission)
            );
            show_receipt(printer, &done, &receipt)
        }
        ValidatorCommand::Rent { amount, signer } => {
            let account = context.account(signer).await?;
            let receipt = account.set_rent_vote(*amount).await?;
            let done = format!(
                "voted for a rent of {amount} SOMA per MiB and epoch; the median counts from the next epoch"
            );
            show_receipt(printer, &done, &receipt)
        }
        ValidatorCommand::ReportModel { model, fault, signer } => {
            let account = context.account(signer).await?;
            let model = resolve(account.node(), model).await?;
            let receipt = account.report_model(model, (*fault).into()).await?;
            show_receipt(printer, &format!("reported model {model}"), &receipt)
        }
        ValidatorCommand::ReportEquivocation { evidence, signer } => {
            let evidence = read_evidence(evidence)?;
            let account = context.account(signer).await?;
            let receipt = account.report_equivocation(evidence).await?;
            let done = format!(
                "showed that the validator with network key {} voted twice in epoch {}",
                evidence.network_key, evidence.epoch
            );
            show_receipt(printer, &done, &receipt)
        }
        ValidatorCommand::Propose(args) => propose(printer, context, args).await,
        ValidatorCommand::Vote {
            proposal,
            withdraw,
            signer,
        } => {
            let account = context.account(signer).await?;
            let (ballot, done) = if *withdraw {
                (
                    Ballot::Withdraw,
                    format!("took the vote for proposal {proposal} back"),
                )
            } else {
                (Ballot::Approve, format!("voted for proposal {proposal}"))
            };
            let receipt = account.vote_upgrade(*proposal, ballot).await?;
            show_receipt(printer, &done, &receipt)
        }
    }
}

impl From<Fault> for ModelFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable => Self::Unavailable,
            Fault::HashMismatch => Self::HashMismatch,
            Fault::WrongKey => Self::WrongKey,
            Fault::BadWeights => Self::BadWeights,
        }
    }
}

async fn register(
    printer: Printer,
    context: &Context,
    network_key: &str,
    commission: u16,
    stake: Option<Shannons>,
    signer: &Signer,
) -> CliResult {
    let wallets = context.wallets()?;
    let own = wallets.resolve(signer.wallet.as_deref())?;
    if own == network_key {
        return Err(
            CliError::usage(format!("'{own}' holds the money: it cannot be the network key too")).hint(
                "a node's key lies on a server; make one of its own with `soma wallet new NAME` and give --network-key NAME",
            ),
        );
    }
    let network = context.unlock(Some(network_key)).await?.keypair();
    let account = context.account(signer).await?;
    let commission = BasisPoints::new(commission)?;
    let stake = match stake {
        Some(stake) => stake,
        None => account.params().await?.validator_stake_min,
    };
    let receipt = account.register_validator(&network, commission, stake).await?;
    let done = format!(
        "registered validator {} with {stake} SOMA, which count from the next epoch\n\
         With one of the largest stakes it then has a seat, votes and is drawn as an auditor. It orders no blocks yet and earns \
         nothing for them: that is still for the validators of the network's genesis.",
        account.address()
    );
    show_receipt(printer, &done, &receipt)
}

/// Reads two conflicting votes.
fn read_evidence(path: &Path) -> CliResult<Equivocation> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| CliError::new(format!("cannot read {shown}: {error}")))?;
    let evidence: Equivocation = serde_json::from_slice(&bytes).map_err(|error| {
        CliError::new(format!("{shown} is no evidence: {error}"))
            .hint("`soma validator report-equivocation --help` shows its form")
    })?;
    if evidence.conflicts() {
        Ok(evidence)
    } else {
        Err(CliError::new(format!(
            "both votes in {shown} are for the same block: that is no equivocation"
        )))
    }
}

async fn propose(printer: Printer, context: &Context, args: &ProposeArgs) -> CliResult {
    let account = context.account(&args.signer).await?;
    let status = account.node().status().await?;
    let activation = args
        .activation
        .map_or(status.epoch.plus(ACTIVATION_EPOCHS), Epoch);
    let upgrade = Upgrade {
        version: args.protocol.map_or(status.protocol_version, ProtocolVersion),
        architecture: args.arch.as_deref().map(architecture::parse).transpose()?,
        params: List::new(args.changes.clone())?,
        activation,
    };
    let (proposal, receipt) = account.propose_upgrade(upgrade).await?;
    let done = format!(
        "made proposal {proposal}: it takes effect in epoch {activation} if more than two thirds of stake and \
         seats are for it at the boundary before; others vote with `soma validator vote {proposal}`"
    );
    show_receipt(printer, &done, &receipt)
}

fn list_text(output: &ListOutput) -> String {
    let validators = output.validators.iter().map(|view| {
        let seat = view.seat.as_ref();
        vec![
            short(view.validator.address),
            seat.map_or("none".into(), |_| "seated".into()),
            seat.map_or(view.pool.counted, |seat| seat.stake).to_string(),
            view.duty.map_or(0, |duty| duty.blocks_proposed).to_string(),
        ]
    });
    let mut text = table(
        &["validator", "seat", "stake", "blocks"],
        &["stake", "blocks"],
        validators,
    );
    if !output.proposals.is_empty() {
        let proposals = output.proposals.iter().map(|view| {
            let proposal = &view.proposal;
            vec![
                proposal.index.to_string(),
                proposal_status(&proposal.status),
                proposal.upgrade.version.to_string(),
                proposal.upgrade.activation.to_string(),
                changes_text(&proposal.upgrade),
                format!("{} of {}", view.seats, view.seats_total),
                format!("{} of {}", view.stake, view.stake_total),
            ]
        });
        text.push_str("\n\n");
        text.push_str(&table(
            &[
                "proposal", "status", "version", "epoch", "changes", "seats", "stake",
            ],
            &["proposal", "version", "epoch"],
            proposals,
        ));
    }
    text
}

fn proposal_status(status: &ProposalStatus) -> String {
    match status {
        ProposalStatus::Open => "open".into(),
        ProposalStatus::Scheduled { since } => format!("scheduled since {since}"),
        ProposalStatus::Activated => "in force".into(),
        ProposalStatus::Expired => "expired".into(),
        ProposalStatus::Void => "void".into(),
    }
}

fn changes_text(upgrade: &Upgrade) -> String {
    let mut changes: Vec<String> = Vec::new();
    changes.extend(upgrade.architecture.map(|_| "architecture".into()));
    for change in &*upgrade.params {
        if let Ok(Value::Object(named)) = serde_json::to_value(change) {
            changes.extend(named.iter().map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("{name}={value}")
            }));
        }
    }
    changes.join(" ")
}
