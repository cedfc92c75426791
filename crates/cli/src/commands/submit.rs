//! `soma submit`: look for targets that text hits, submit, and tell what became of it; until the text is used
//! up, or for ever.

mod feed;
mod progress;
mod run;
mod scout;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use soma_agents::{
    Cache, Experts, Submitter,
    matching::Miss,
    service::{End, Limits, Service, Told},
};
use soma_client::{Account, ClientError, Storage};
use soma_data::Report;
use soma_types::{Shannons, SubmissionId, objects::SubmissionStatus, text::printable};
use tokio::sync::mpsc;

use self::{feed::Feed, progress::Rates, run::Run};
use crate::{
    args::SubmitArgs,
    commands::scoring::read_text,
    context::{Context, experts},
    error::{CliError, CliResult},
    interrupt::Interrupt,
    printer::{Format, Printer, count, short},
    progress::Log,
    standing::submission_status,
};

/// Documents that wait in memory.
const AHEAD: usize = 16;
/// Until text that is used up is read again.
const FOLLOW_AFTER: Duration = Duration::from_secs(5);
/// Ends that are listed under `--json`; a run for ever has more.
const LISTED_MAX: usize = 10_000;

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
    /// Those that did not miss, the first of them.
    documents: Vec<DocumentOutput>,
    missed: u64,
    missed_why: BTreeMap<&'static str, u64>,
    known: u64,
    rejected: u64,
    submitted: u64,
    won: u64,
    stopped: bool,
    fees: Shannons,
    #[serde(flatten)]
    rates: Rates,
    data: Report,
}

/// `soma submit`. Fails where something hit and nothing could be submitted. After Ctrl-C what is under way is
/// brought to its end, so that no deposit is lost and no winner's data is missing.
pub async fn run(printer: Printer, context: &Context, args: &SubmitArgs, interrupt: &Interrupt) -> CliResult {
    let storage = match (&args.url_base, &args.url_folder) {
        (Some(base), Some(folder)) => {
            std::fs::create_dir_all(folder)
                .map_err(|error| CliError::new(format!("cannot make {}: {error}", folder.display())))?;
            Some(Storage::new(base, folder.canonicalize()?).map_err(CliError::usage)?)
        }
        _ => None,
    };
    let (source, selection) = (args.data.clone(), args.selection.clone());
    let text = tokio::task::spawn_blocking(move || read_text(printer, &source, &selection)).await??;
    // Says at once that the node is not there.
    let params = context.node()?.params().await?;
    let account = context.account_at(context.patient_node()?, &args.signer).await?;
    let run = Run::take_up(&context.home()?, &account, args).await?;
    let experts = with_budgets(printer, context, &account, args).await?;
    let scout = scout::load(printer, &account, args.scout.as_ref()).await?;
    interrupt.hold();

    let mut submitter = Submitter::new(account, params, experts.clone())?.with_storage(storage);
    if let Some(scout) = scout {
        submitter = submitter.with_scout(scout);
    }
    let limits = Limits {
        hits_max: args.hits,
        bonds_max: args.bond_budget,
        fees_max: args.fee_budget,
        fees_from: args.fee_budget.map(|_| run.begun()),
        under_way_max: args.under_way,
        waits: args.follow,
    };
    let mut service = Service::new(submitter, limits);
    let mut session = Session {
        printer,
        context,
        run,
        experts,
        log: Log::always(printer),
        waits: String::new(),
        unprinted: None,
        output: SubmitOutput {
            data: text.report,
            ..SubmitOutput::default()
        },
    };
    let mut dataset = text.dataset;
    let ended = loop {
        let (sender, documents) = mpsc::channel(AHEAD);
        let feed = Feed::new(dataset, session.run.taken_up());
        let feeding = tokio::task::spawn_blocking(move || feed.run(&sender));
        let stop = interrupt.wait();
        let ended = service
            .run(documents, stop, |told, service| session.take(&told, service))
            .await;
        let is_used_up = feeding.await? && ended.is_ok() && !service.is_over();
        session.run.note(service.tally().position)?;
        if !is_used_up {
            break ended;
        }
        if !args.follow {
            session.run.end()?;
            break ended;
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_AFTER) => {}
            () = interrupt.wait() => {}
        }
        session.run.begin_again()?;
        let (source, selection) = (args.data.clone(), args.selection.clone());
        dataset = tokio::task::spawn_blocking(move || read_text(printer, &source, &selection))
            .await??
            .dataset;
    };
    session.close(&mut service, ended.map_err(CliError::from))
}

/// What loads models, within the budgets of memory and disk.
async fn with_budgets(
    printer: Printer,
    context: &Context,
    account: &Account,
    args: &SubmitArgs,
) -> CliResult<Experts> {
    let experts = experts(account.node(), &*account.params().await?)?.within(args.memory.as_u64());
    let (folder, budget_bytes) = (context.home()?.join("weights"), args.cache.as_u64());
    if budget_bytes == 0 {
        return Ok(experts);
    }
    let opened = tokio::task::spawn_blocking(move || Cache::open(folder, budget_bytes)).await?;
    match opened {
        Ok(cache) => Ok(experts.cached(cache)),
        Err(error) => {
            printer.note(format!("models are kept in memory only: {error}"));
            Ok(experts)
        }
    }
}

struct Session<'a> {
    printer: Printer,
    context: &'a Context,
    run: Run,
    experts: Experts,
    log: Log,
    /// What was last said to be waited for.
    waits: String,
    unprinted: Option<CliError>,
    output: SubmitOutput,
}

impl Session<'_> {
    fn take(&mut self, told: &Told<'_>, service: &Service) {
        let printer = self.printer;
        match told {
            Told::Ended(document, end) => {
                self.waits.clear();
                self.ended(&document.name, document.data.len(), end);
                self.run.note_soon(service.tally().position, document);
                self.log.line(|elapsed| {
                    let rates = Rates::new(service, elapsed, self.experts.downloaded_bytes());
                    format!("{}; {rates}", progress::counts(&service.tally()))
                });
            }
            Told::Finished(submission, finished) => {
                let submission = submission.map_or("one without a name".into(), short);
                let how = match finished {
                    Ok(status) => submission_status(status),
                    Err(error) => error.to_string(),
                };
                printer.note(format!("submission {submission} of an earlier run: {how}"));
            }
            Told::Waits(why) if *why == self.waits => {}
            Told::Waits(why) => {
                self.waits.clone_from(why);
                printer.note(format!("{why} .."));
            }
            Told::FeesReached(fees) => {
                printer.note(format!("--fee-budget is reached: fees have cost {fees} SOMA"));
            }
        }
    }

    fn ended(&mut self, name: &str, size_bytes: usize, end: &End) {
        let (outcome, submission) = match end {
            End::Missed(miss) => {
                *self.output.missed_why.entry(why(*miss)).or_default() += 1;
                return;
            }
            End::Known(why) => (format!("passed over: {why}"), None),
            End::Rejected(error) => (format!("rejected: {error}"), None),
            End::Over(submission, status) => (submission_status(status), Some(*submission)),
            // What is due is in the record.
            End::Left(error) => (format!("left: {error}"), None),
        };
        if let Some(submission) = &submission {
            self.context.record().set_over(submission);
        }
        if self.printer.format() == Format::Text {
            let submission = submission.map_or(String::new(), |id| format!("  {}", short(id)));
            let name = printable(name);
            let line = format!("{name}  {size_bytes} bytes  {outcome}{submission}");
            if let Err(error) = self.printer.line(&line) {
                self.unprinted.get_or_insert(error);
            }
        }
        if self.output.documents.len() < LISTED_MAX {
            self.output.documents.push(DocumentOutput {
                document: name.to_owned(),
                size_bytes,
                outcome,
                submission,
            });
        }
    }

    /// Tells what came of all; also where a document failed.
    fn close(mut self, service: &mut Service, ended: CliResult) -> CliResult {
        let tally = service.tally();
        self.output = SubmitOutput {
            missed: tally.missed,
            known: tally.known,
            rejected: tally.rejected,
            submitted: tally.submitted,
            won: tally.won,
            stopped: tally.stopped,
            fees: service.fees(),
            rates: Rates::new(service, self.log.elapsed(), self.experts.downloaded_bytes()),
            ..self.output
        };
        let total = tally.missed + tally.known + tally.rejected + tally.submitted;
        let mut summary = format!("{}: {}\n", count(total, "document"), progress::counts(&tally));
        for (why, documents) in &self.output.missed_why {
            summary += &format!("  {documents} {why}\n");
        }
        summary += &format!("{}; fees {} SOMA\n", self.output.rates, self.output.fees);
        self.printer.show(&self.output, |_| summary)?;
        ended?;
        if tally.stopped {
            return Err(CliError::interrupted());
        }
        if let Some(error) = self.unprinted {
            return Err(error);
        }
        came_to(tally.submitted, service.take_refused())
    }
}

/// Why a document hit nothing.
const fn why(miss: Miss) -> &'static str {
    match miss {
        Miss::NoTargets => "found no open target",
        Miss::NoModels => "found no open target whose models can be used",
        Miss::LossBand => "have a loss outside the band of text",
        Miss::TooFar => "are too far from every target that was tried",
        Miss::Unlikely => "are too far from every target by the scout's word",
    }
}

/// What a run comes to that submitted so many documents, and whose last refusal was this.
fn came_to(submitted: u64, refused: Option<Box<ClientError>>) -> CliResult {
    match refused {
        Some(error) if submitted == 0 => Err(CliError::from(*error).while_doing("nothing was submitted")),
        _ => Ok(()),
    }
}

/// `soma submission finish`.
pub async fn finish(printer: Printer, account: &Account) -> CliResult {
    #[derive(Serialize)]
    struct Finished {
        submission: Option<SubmissionId>,
        status: Option<SubmissionStatus>,
        error: Option<String>,
    }
    let (mut finished, mut failed) = (Vec::new(), None);
    for (pending, result) in account.finish_submissions().await? {
        let submission = pending.submission;
        finished.push(match result {
            Ok(view) => Finished {
                submission,
                status: Some(view.submission.status),
                error: None,
            },
            Err(error) => {
                let text = error.to_string();
                if error.rejection_code().is_none() {
                    failed = Some(error);
                }
                Finished {
                    submission,
                    status: None,
                    error: Some(text),
                }
            }
        });
    }
    printer.show(&finished, |finished| {
        if finished.is_empty() {
            return "nothing was left to be finished".to_owned();
        }
        let line = |one: &Finished| {
            let submission = one
                .submission
                .map_or("one without a name".to_owned(), |id| id.to_string());
            let how = match (&one.status, &one.error) {
                (Some(status), _) => submission_status(status),
                (None, Some(error)) => error.clone(),
                (None, None) => String::new(),
            };
            format!("{submission}  {how}\n")
        };
        finished.iter().map(line).collect()
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use soma_types::Rejection;

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
