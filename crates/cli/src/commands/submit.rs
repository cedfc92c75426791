//! `soma submit`: look for targets that text hits, submit, and tell what became of it; until the text is used
//! up, or for ever.

mod feed;
mod finish;
mod place;
mod progress;
mod run;
mod scout;

use std::{
    collections::BTreeMap,
    path::{Path, absolute},
    time::{Duration, Instant},
};

use serde::Serialize;
use soma_agents::{
    Experts, Submitter,
    matching::Miss,
    service::{End, Limits, Service, Told},
};
use soma_client::{ClientError, Storage};
use soma_data::{DataError, Report};
use soma_files::Output;
use soma_sources::Fault;
use soma_types::{Shannons, SubmissionId, text::printable};
use tokio::{sync::mpsc, task::JoinError};

pub use self::finish::finish;
use self::{feed::Feed, place::Place, progress::Rates, run::Run};
use crate::{
    args::SubmitArgs,
    commands::scoring::shown,
    context::Context,
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
/// Until a source that cannot be read is tried again, at most.
const FOLLOW_AFTER_MAX: Duration = Duration::from_secs(60);
/// For so long what is waited for is not said again.
const SAID_FOR: Duration = Duration::from_secs(60);
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
    /// Those of the run, with what it won before it was stopped.
    hits: u64,
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
        (Some(base), Some(folder)) => Some(storage(base, folder)?),
        _ => None,
    };
    // Says at once that there is no text, or no node.
    let feed = open(args, None).await??;
    let params = context.node()?.params().await?;
    let account = context.account_at(context.patient_node()?, &args.signer).await?;
    let run = Run::take_up(&context.home()?, &account, args).await?;
    let mut feed = open(args, Some((feed, run.taken_up()))).await??;
    let experts = context.experts_within(&account, &args.budgets).await?;
    let scout = scout::load(printer, &account, args.scout.as_ref()).await?;
    interrupt.hold();

    let mut submitter = Submitter::new(account, params, experts.clone())?.with_storage(storage);
    if let Some(scout) = scout {
        submitter = submitter.with_scout(scout);
    }
    let limits = Limits {
        hits_max: args.hits,
        hits: run.hits().clone(),
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
        waits: None,
        unprinted: None,
        output: SubmitOutput::default(),
    };
    let ended = loop {
        let (sender, documents) = mpsc::channel(AHEAD);
        let marks = session.run.begin_at(feed.place());
        let feeding = feed.start(sender, marks, feed::Telling::of(args))?;
        let ended = service
            .run(documents, interrupt.wait(), |told, service| {
                session.take(&told, service);
            })
            .await;
        // Why it ended says more than that the disk is full, too.
        let noted = session.run.note(&service);
        let is_over = ended.is_err() || service.is_over() || noted.is_err();
        let fed = feeding.end(is_over).await;
        if let Some(fed) = &fed {
            session.read(&fed.report);
        }
        if is_over {
            break ended.map_err(CliError::from).and(noted);
        }
        let fed = fed.ok_or_else(|| CliError::new("reading stopped unexpectedly"))?;
        match fed.is_used_up {
            Ok(_) if args.follow => session.run.begin_again()?,
            Ok(_) => {
                session.run.end()?;
                break Ok(());
            }
            Err(error) if args.follow && may_pass(&error) => session.wait_for_source(&error),
            Err(error) => break Err(error.into()),
        }
        match session.reopened(args, interrupt).await {
            Ok(Some(reopened)) => feed = reopened,
            Ok(None) => break Err(CliError::interrupted()),
            Err(error) => break Err(error),
        }
    };
    session.close(&mut service, ended)
}

/// One's own storage, found fit before anything is paid: a base that makes addresses, then a folder that
/// takes files.
fn storage(base: &str, folder: &Path) -> CliResult<Storage> {
    let storage = Storage::new(base, absolute(folder)?).map_err(CliError::usage)?;
    std::fs::create_dir_all(folder)
        .map_err(|error| CliError::new(format!("cannot make {}: {error}", shown(folder))))?;
    Output::check(&folder.join(".soma"))?;
    Ok(storage)
}

/// Text from its beginning; or what was opened so, from where a run goes on.
async fn open(
    args: &SubmitArgs,
    going_on: Option<(Feed, Place)>,
) -> Result<Result<Feed, DataError>, JoinError> {
    let (sources, selection) = (args.data.clone(), args.selection.clone());
    tokio::task::spawn_blocking(move || match going_on {
        Some((feed, from)) => feed.going_on(&sources, &selection, from),
        None => Feed::open(&sources, &selection),
    })
    .await
}

/// Whether a source may do better later: it, or the way to it, failed, and not what is in it. What refuses
/// these credentials does so until the command starts with others.
fn may_pass(error: &DataError) -> bool {
    match error {
        DataError::Unreadable { error, .. } => {
            let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<Fault>());
            !matches!(fault, Some(Fault::Refused { .. }))
        }
        error => matches!(error, DataError::Changed(_)),
    }
}

struct Session<'a> {
    printer: Printer,
    context: &'a Context,
    run: Run,
    experts: Experts,
    log: Log,
    /// What was last said to be waited for, and when.
    waits: Option<(String, Instant)>,
    unprinted: Option<CliError>,
    output: SubmitOutput,
}

impl Session<'_> {
    /// Text that is read again and again: once there is some to go on with; none when it is stopped.
    async fn reopened(&mut self, args: &SubmitArgs, interrupt: &Interrupt) -> CliResult<Option<Feed>> {
        let mut pause = FOLLOW_AFTER;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = interrupt.wait() => return Ok(None),
            }
            let going_on = async {
                match open(args, None).await? {
                    Ok(feed) => open(args, Some((feed, self.run.taken_up()))).await,
                    failed => Ok(failed),
                }
            };
            let opened = tokio::select! {
                opened = going_on => opened?,
                () = interrupt.wait() => return Ok(None),
            };
            match opened {
                Ok(feed) => return Ok(Some(feed)),
                Err(error) if may_pass(&error) => self.wait_for_source(&error),
                Err(error) => return Err(error.into()),
            }
            pause = (2 * pause).min(FOLLOW_AFTER_MAX);
        }
    }

    fn wait_for_source(&mut self, error: &DataError) {
        self.waits_for(format!("{error}; trying again"));
    }

    /// Says what is waited for, unless that was said a moment ago: budgets make a run wait for each document.
    fn waits_for(&mut self, why: String) {
        let is_known = |(said, when): &(String, Instant)| *said == why && when.elapsed() < SAID_FOR;
        if !self.waits.as_ref().is_some_and(is_known) {
            self.printer.note(format!("{why} .."));
            self.waits = Some((why, Instant::now()));
        }
    }

    /// Tells what was read, where that is news.
    fn read(&mut self, report: &Report) {
        if self.output.data != *report {
            self.printer.notes(&report.to_string());
            self.output.data = report.clone();
        }
    }

    fn take(&mut self, told: &Told<'_>, service: &Service) {
        let printer = self.printer;
        match told {
            Told::Ended(document, end) => {
                self.ended(&document.name, document.data.len(), end);
                self.run.note_soon(service, document);
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
            Told::Waits(why) => self.waits_for(why.clone()),
            // Before it is begun. Where the disk does not take it, it takes no commit.
            Told::Races => drop(self.run.note(service)),
            Told::HitsReached(hits) => printer.note(format!(
                "--hits is reached: {} by this run before. It goes on with more; other text is another run",
                count(*hits, "hit")
            )),
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
            hits: service.hits().won,
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

    /// Who waits for ever waits for what may come.
    #[test]
    fn credentials_that_are_refused_are_not_waited_for() {
        let of = |error: std::io::Error| DataError::Unreadable {
            path: "s3://corpus/a.jsonl".into(),
            error,
        };
        let refused = Fault::Refused {
            status: 403,
            remedy: "set AWS_ACCESS_KEY_ID".into(),
        };
        assert!(!may_pass(&of(refused.into())));
        assert!(may_pass(&of(Fault::Cut {
            found_bytes: 1,
            expected_bytes: None
        }
        .into())));
        assert!(may_pass(&of(std::io::ErrorKind::NotFound.into())));
        assert!(may_pass(&DataError::Changed("a".into())));
        assert!(!may_pass(&DataError::NoText("a".into())));
    }
}
