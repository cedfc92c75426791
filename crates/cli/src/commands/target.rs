//! `soma target` and `soma submission`: what is sought, and what was found.

use serde::Serialize;
use soma_client::{SubmissionFilter, TargetFilter};
use soma_types::{
    ContentHash, Epoch, Shannons, SubmissionId, TargetId,
    api::{SubmissionView, TargetView},
    objects::TargetStatus,
    phase::SubmissionPhase,
    text::printable,
};

use crate::{
    args::{SubmissionCommand, TargetCommand},
    commands::{model::resolve, money::show_receipt, named::resolve_target, recheck, submit, vacant::vacant},
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts, short, table},
    standing::submission_status,
};

/// One, in the fixed point of dot products.
const ONE_Q30: f64 = (1 << 30) as f64;
/// Nano-nats in a nat.
const NANO: f64 = 1e9;

/// `soma target`.
pub async fn targets(printer: Printer, context: &Context, command: &TargetCommand) -> CliResult {
    let node = context.node()?;
    match command {
        TargetCommand::List { status, epoch, limit } => {
            let filter = TargetFilter {
                phase: *status,
                epoch: epoch.map(Epoch),
            };
            let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
            let targets = node.latest_targets(&filter, limit).await?;
            printer.show(&targets, |targets| list_text(targets))?;
            if targets.is_empty() {
                printer.note("There are no such targets in this epoch; they open once models compete.");
            }
            Ok(())
        }
        TargetCommand::Show { target } => {
            let target = resolve_target(&node, target).await?;
            let view = node.target(&target).await?;
            printer.show(&view, target_text)
        }
        TargetCommand::Data { target, out } => {
            let place = vacant(out)?;
            let target = resolve_target(&node, target).await?;
            let Some(data) = node.fetch_target_data(&target).await? else {
                return Err(
                    CliError::new(format!("target {target} has no winner, so there is no data"))
                        .hint("`soma target list --status filled` shows those that have one"),
                );
            };
            let output = DataOutput {
                target,
                hash: data.hash(),
                size_bytes: data.size_bytes(),
                data: out.display().to_string(),
            };
            let bytes = data.bytes().map_err(|error| CliError::new(error.to_string()))?;
            place.write(&bytes)?;
            if place.is_standard_output() {
                return Ok(());
            }
            printer.show(&output, |output| {
                format!(
                    "wrote {} ({} bytes, {})",
                    printable(&output.data),
                    output.size_bytes,
                    output.hash
                )
            })
        }
    }
}

#[derive(Serialize)]
struct DataOutput {
    target: TargetId,
    hash: ContentHash,
    size_bytes: u64,
    data: String,
}

fn list_text(targets: &[TargetView]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let rows = targets.iter().map(|view| {
        let target = &view.target;
        let models: Vec<String> = target.models.iter().map(short).collect();
        vec![
            short(target.id),
            target_status(view),
            format!("{:+.4}", view.commit_threshold_q30 as f64 / ONE_Q30),
            target.opened.to_string(),
            target.candidates.len().to_string(),
            models.join(" "),
        ]
    });
    table(
        &["target", "status", "threshold", "opened", "candidates", "models"],
        &["threshold", "opened", "candidates"],
        rows,
    )
}

fn target_status(view: &TargetView) -> String {
    match view.target.status {
        TargetStatus::Open if view.current => "open".into(),
        TargetStatus::Open => "closed".into(),
        TargetStatus::Settling { at } => format!("settles at {at}"),
        TargetStatus::Filled { submission, .. } => format!("filled by {}", short(submission)),
    }
}

fn target_text(view: &TargetView) -> String {
    let target = &view.target;
    let mut lines = vec![
        ("target", target.id.to_string()),
        ("status", target_status(view)),
        ("epoch", target.epoch.to_string()),
        (
            "place",
            format!("{} (target {} of its epoch)", target.slot, target.index),
        ),
        ("opened", format!("block {}", target.opened)),
        (
            "threshold",
            format!(
                "a cosine of at least {:+.6} with the target ({:+.6} when it opened)",
                view.commit_threshold_q30 as f64 / ONE_Q30,
                target.threshold_q30 as f64 / ONE_Q30
            ),
        ),
        ("seed", target.seed.to_string()),
    ];
    lines.extend(target.models.iter().map(|model| ("model", model.to_string())));
    lines.extend(
        target
            .candidates
            .iter()
            .map(|candidate| ("candidate", candidate.submission.to_string())),
    );
    facts(&lines)
}

/// `soma submission`.
pub async fn submissions(printer: Printer, context: &Context, command: &SubmissionCommand) -> CliResult {
    match command {
        SubmissionCommand::List { submitter, model } => {
            let submitter = match submitter {
                Some(submitter) => Some(context.account_named(Some(submitter)).await?),
                None => None,
            };
            let node = context.node()?;
            let model = match model {
                Some(model) => Some(resolve(&node, model).await?),
                None => None,
            };
            let filter = SubmissionFilter {
                submitter,
                model,
                ..SubmissionFilter::default()
            };
            let submissions = node.submissions(&filter).await?;
            printer.show(&submissions, |submissions| submissions_text(submissions))?;
            if submissions.is_empty() {
                printer.note("There are no submissions yet; `soma submit --data SRC` makes some.");
            }
            Ok(())
        }
        SubmissionCommand::Verify { submission } => recheck::verify(printer, context, submission).await,
        SubmissionCommand::Finish { signer } => {
            let account = context.account_at(context.patient_node()?, signer).await?;
            submit::finish(printer, &account).await
        }
        SubmissionCommand::Challenge { submission, signer } => {
            let account = context.account(signer).await?;
            let submission = match submission.whole::<SubmissionId>() {
                Some(submission) => submission,
                None => {
                    let won = SubmissionFilter {
                        phase: Some(SubmissionPhase::Won),
                        ..SubmissionFilter::default()
                    };
                    let winners = account.node().submissions(&won).await?;
                    submission.pick("submission", winners.iter().map(|view| view.submission.id))?
                }
            };
            let receipt = account.challenge(submission).await?;
            let bond = account.node().submission(&submission).await?.submission.challenge;
            let bond = bond.map_or(Shannons::ZERO, |challenge| challenge.bond);
            let done = format!("challenged {submission}: {bond} SOMA are locked until its audit is decided");
            show_receipt(printer, &done, &receipt)
        }
    }
}

fn submissions_text(submissions: &[SubmissionView]) -> String {
    if submissions.is_empty() {
        return String::new();
    }
    let rows = submissions.iter().map(|view| {
        let submission = &view.submission;
        let found = submission.found.as_ref();
        let text = |value: Option<String>| value.unwrap_or_default();
        vec![
            short(submission.id),
            short(submission.submitter),
            short(submission.target),
            text(found.map(|found| short(found.model))),
            text(found.map(|found| format!("{:.4}", found.cross_entropy_nano as f64 / NANO))),
            text(found.map(|found| format!("{:+.4}", f64::from(found.dot_q30) / ONE_Q30))),
            text(found.map(|found| found.data_size_bytes.to_string())),
            submission.committed.to_string(),
            submission_status(&submission.status),
        ]
    });
    table(
        &[
            "submission",
            "submitter",
            "target",
            "model",
            "nats",
            "cosine",
            "bytes",
            "block",
            "status",
        ],
        &["nats", "cosine", "bytes", "block"],
        rows,
    )
}
