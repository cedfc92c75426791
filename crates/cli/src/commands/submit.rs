//! `soma submit`: score text against the open targets, submit what hits, and tell what became of it.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde::Serialize;
use soma_agents::{Submitter, matching::Miss, submitter::Attempt};
use soma_client::{Account, ClientError, ModelFilter};
use soma_data::{Dataset, Report};
use soma_train::split::{PIECE_BYTES_MAX, pieces};
use soma_types::{
    SubmissionId,
    objects::{ModelStatus, SubmissionStatus},
    params::Params,
    text::printable,
};

use crate::{
    args::SubmitArgs,
    commands::{scoring::read_text, target::submission_status},
    context::{Context, experts},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Format, Printer, count, short},
};

/// Between two looks for open targets.
const PAUSE: Duration = Duration::from_millis(500);
/// Epochs to wait for an open target: models that were revealed compete from the next on.
const PATIENCE_EPOCHS: u32 = 3;
/// The end of a race may take this many times the blocks that the rules give it.
const RACE_PATIENCE: u32 = 20;

/// One document's end.
#[derive(Debug, Serialize)]
struct DocumentOutput {
    document: String,
    size_bytes: usize,
    outcome: String,
    submission: Option<SubmissionId>,
}

#[derive(Debug, Default, Serialize)]
struct SubmitOutput {
    documents: Vec<DocumentOutput>,
    missed: u64,
    known: u64,
    rejected: u64,
    submitted: u64,
    won: u64,
    stopped: bool,
    data: Report,
}

/// `soma submit`. Fails where something hit and nothing could be submitted. After Ctrl-C the document in hand
/// is brought to its end, so that no deposit is lost.
pub async fn run(printer: Printer, context: &Context, args: &SubmitArgs, interrupt: &Interrupt) -> CliResult {
    let (source, selection) = (args.data.clone(), args.selection.clone());
    let text = tokio::task::spawn_blocking(move || read_text(printer, &source, &selection)).await??;
    // Says at once that the node is not there.
    let params = context.node()?.params().await?;
    let account = context.account_at(context.patient_node()?, &args.signer).await?;
    interrupt.hold();
    reveal_pending(printer, &account).await?;
    let mut agent = Submitter::new(account.clone(), params.clone(), experts(account.node(), &params)?)?;
    if let Some(chunks) = args.prefilter {
        agent = agent.prefiltered(chunks);
    }
    let mut session = Session {
        printer,
        agent,
        params,
        interrupt,
        output: SubmitOutput {
            data: text.report,
            ..SubmitOutput::default()
        },
        refused: None,
    };
    let tried = session.try_all(&text.dataset, args.hits).await;
    let Session { output, refused, .. } = session;
    let summary = format!(
        "{}: {} won, {} submitted, {} hit nothing, {} known, {} rejected",
        count(output.documents.len() as u64, "document"),
        output.won,
        output.submitted,
        output.missed,
        output.known,
        output.rejected
    );
    // Also where a document failed: what became of those before is told.
    printer.show(&output, |_| summary)?;
    tried?;
    if output.stopped {
        Err(CliError::interrupted())
    } else {
        came_to(output.submitted, refused)
    }
}

/// What a run comes to that submitted so many documents, and whose last refusal was this.
fn came_to(submitted: u64, refused: Option<Box<ClientError>>) -> CliResult {
    match refused {
        Some(error) if submitted == 0 => Err(CliError::from(*error).while_doing("nothing was submitted")),
        _ => Ok(()),
    }
}

/// Reveals what an interrupted run has committed: otherwise its deposits are lost.
async fn reveal_pending(printer: Printer, account: &Account) -> CliResult {
    for pending in account.pending_submissions().await? {
        let Some(submission) = pending.submission else {
            continue;
        };
        match account.reveal_submission(&pending).await {
            Ok(_) => printer.note(format!(
                "revealed submission {} of an earlier run",
                short(submission)
            )),
            // Too late, or beaten to it: the ledger has the last word.
            Err(error) if error.rejection_name().is_some() => {
                printer.note(format!(
                    "submission {} of an earlier run: {error}",
                    short(submission)
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

struct Session<'a> {
    printer: Printer,
    agent: Submitter,
    params: Params,
    interrupt: &'a Interrupt,
    output: SubmitOutput,
    /// Why the last of those was rejected that were.
    refused: Option<Box<ClientError>>,
}

impl Session<'_> {
    fn is_over(&self, hits: Option<u64>) -> bool {
        self.output.stopped || hits.is_some_and(|hits| self.output.won >= hits)
    }

    /// Takes documents to their ends, one after the other, until there were enough hits.
    async fn try_all(&mut self, text: &Dataset, hits: Option<u64>) -> CliResult {
        for document in text.documents() {
            if document.data.len() <= PIECE_BYTES_MAX {
                self.try_one(&document.origin.to_string(), &document.data).await?;
            } else {
                let mut at = 0;
                for piece in pieces(&document.data) {
                    self.try_one(&document.origin.part(at).to_string(), piece).await?;
                    at += piece.len();
                    if self.is_over(hits) {
                        break;
                    }
                }
            }
            if self.is_over(hits) {
                break;
            }
        }
        Ok(())
    }

    /// Takes one document to its end, unless the run is to stop.
    async fn try_one(&mut self, name: &str, data: &[u8]) -> CliResult {
        if !self.wait_for_targets().await? {
            self.output.stopped = true;
            return Ok(());
        }
        let attempt = self
            .agent
            .try_document(data)
            .await
            .map_err(|error| CliError::from(error).while_doing(printable(name)))?;
        let (outcome, submission) = match attempt {
            Attempt::Missed(miss) => {
                self.output.missed += 1;
                let why = match miss {
                    Miss::NoTargets => "missed: no target is open",
                    Miss::NoModels => "missed: no open target's models can be used",
                    Miss::LossBand => "missed: its loss is outside the band of text",
                    Miss::TooFar => "missed: too far from every target",
                    Miss::Unlikely => "missed: estimated to be too far from every target",
                };
                (why.to_owned(), None)
            }
            Attempt::Known(why) => {
                self.output.known += 1;
                (format!("passed over: {why}"), None)
            }
            Attempt::Rejected(error) => {
                self.output.rejected += 1;
                let outcome = format!("rejected: {error}");
                self.refused = Some(error);
                (outcome, None)
            }
            Attempt::Revealed(submission) => {
                self.output.submitted += 1;
                let outcome = match self.race(&submission).await? {
                    Some(status) => {
                        if matches!(status, SubmissionStatus::Won | SubmissionStatus::Paid { .. }) {
                            self.output.won += 1;
                        }
                        submission_status(&status)
                    }
                    None => "still in the race".into(),
                };
                (outcome, Some(submission))
            }
        };
        if self.printer.format() == Format::Text {
            let submission =
                submission.map_or(String::new(), |submission| format!("  {}", short(submission)));
            self.printer.line(&format!(
                "{}  {} bytes  {outcome}{submission}",
                printable(name),
                data.len()
            ))?;
        }
        self.output.documents.push(DocumentOutput {
            document: name.to_owned(),
            size_bytes: data.len(),
            outcome,
            submission,
        });
        Ok(())
    }

    /// How a submission's race ends; none if it takes unreasonably long.
    async fn race(&self, submission: &SubmissionId) -> CliResult<Option<SubmissionStatus>> {
        let blocks = self.params.settlement_blocks + self.params.reveal_blocks;
        let patience = Duration::from_millis(blocks * self.params.block_time_ms) * RACE_PATIENCE;
        match self
            .agent
            .account()
            .node()
            .wait_for_submission(submission, patience)
            .await
        {
            Ok(view) => Ok(Some(view.submission.status)),
            Err(ClientError::GaveUp { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is waited for when no target is open.
    async fn why_wait(&self, patience: Duration) -> CliResult<String> {
        let competing = ModelFilter {
            status: Some(ModelStatus::Active),
            owner: None,
        };
        let node = self.agent.account().node();
        let what = match node.models(&competing).await?.is_empty() {
            true => "No model competes, so no target is open: waiting for one",
            false => "All targets are filled: waiting for one to open",
        };
        Ok(format!("{what}, for {} s at most ..", patience.as_secs()))
    }

    /// Waits until a target is open; false when interrupted.
    async fn wait_for_targets(&self) -> CliResult<bool> {
        let epoch = Duration::from_millis(self.params.epoch_blocks * self.params.block_time_ms);
        let patience = epoch * PATIENCE_EPOCHS;
        let (start, mut told) = (Instant::now(), false);
        loop {
            if self.interrupt.flag().load(Ordering::Relaxed) {
                return Ok(false);
            }
            if !self.agent.open_targets().await?.is_empty() {
                return Ok(true);
            }
            if start.elapsed() > patience {
                let seconds = start.elapsed().as_secs();
                return Err(CliError::new(format!("no target opened within {seconds} s"))
                    .hint("targets open once models compete: see `soma model list`"));
            }
            if !told {
                self.printer.note(self.why_wait(patience).await?);
                told = true;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.interrupt.wait() => return Ok(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{Rejection, Shannons};

    use super::*;

    /// Whoever has not the money for any document learns how much is missing, and what fills an account.
    #[test]
    fn a_run_that_can_pay_for_nothing_fails_with_the_amounts() {
        let refused = || {
            let rejection = Rejection::InsufficientBalance {
                balance: Shannons(1_000_000_000),
                needed: Shannons(2_500_000_000),
            };
            Some(Box::new(ClientError::Unaffordable { rejection }))
        };
        let error = came_to(0, refused()).unwrap_err().to_string();
        for part in ["nothing was submitted", "1 SOMA", "2.5 SOMA"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(came_to(1, refused()).is_ok());
        assert!(came_to(0, None).is_ok());
    }
}
