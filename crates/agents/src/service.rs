//! The submitter as a service: documents come in, several submissions are under way at a time, and limits
//! of money are kept.
//!
//! Upon a document: look for a target it hits ([`Submitter::search`]); if there is one and the limits allow,
//! commit, reveal and settle it beside the search for the next. One whose target closed under way is tried
//! again; so is one for which there was no money as long as bonds are out, which come back.
//!
//! Upon the beginning: what an earlier run has left is finished ([`Account::pending_submissions`]).
//!
//! Upon a node that does not answer: a service that waits ([`Limits::waits`]) does so for as long as it
//! takes, and goes on with the document in hand and with what was under way; another ends.
//!
//! Upon a stop: the search in hand is dropped, since it has cost nothing; what is under way is brought to its
//! end, so that no deposit is lost and no winner's data is missing.
//!
//! **Limits.** Bonds and deposits that are locked at a time: those of this account's submissions as the
//! ledger has them, and of those under way. Fees: those that this account's submissions have cost since the
//! service began, or since the height from which the caller has it count; what is under way counts as what it
//! may cost. Both are asked of the ledger when the service begins, so that a crash does not raise them.
//!
//! Persistence: the client's journal has what was committed. How far the documents have come the caller keeps
//! ([`Tally::position`]).

mod budget;
mod error;
mod limits;
mod race;
mod told;
mod waits;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::pin,
};

use soma_client::{Account, ClientError};
use soma_types::{RejectionCode, Shannons, TargetId, objects::SubmissionStatus};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::submitter::{ATTEMPTS_MAX, Effort, Find, Search, Submitter};
use budget::Budget;
pub use error::ServiceError;
pub use limits::Limits;
use race::{Raced, race};
pub use told::{Document, End, Tally, Told};

/// Submits what comes.
#[derive(Debug)]
pub struct Service {
    submitter: Submitter,
    limits: Limits,
    budget: Budget,
    tally: Tally,
    races: JoinSet<Raced>,
    /// Targets raced for, with the documents.
    under_way: BTreeMap<TargetId, u64>,
    again: VecDeque<(Document, usize)>,
    /// Documents in hand that came to no end.
    unfinished: BTreeSet<u64>,
    /// One past the last document that came.
    next: u64,
    fees_reached: bool,
    /// Why the last was refused that was.
    refused: Option<Box<ClientError>>,
}

impl Service {
    /// A service around `submitter`.
    #[must_use]
    pub fn new(submitter: Submitter, limits: Limits) -> Self {
        Self {
            budget: Budget::new(&limits),
            submitter,
            limits,
            tally: Tally::default(),
            races: JoinSet::new(),
            under_way: BTreeMap::new(),
            again: VecDeque::new(),
            unfinished: BTreeSet::new(),
            next: 0,
            fees_reached: false,
            refused: None,
        }
    }

    /// What has come of all documents so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// What searching has taken so far.
    #[must_use]
    pub const fn effort(&self) -> Effort {
        self.submitter.effort()
    }

    /// What submissions have cost in fees so far.
    #[must_use]
    pub const fn fees(&self) -> Shannons {
        self.budget.fees()
    }

    /// Why the last document was refused that was.
    pub fn take_refused(&mut self) -> Option<Box<ClientError>> {
        self.refused.take()
    }

    const fn account(&self) -> &Account {
        self.submitter.account()
    }

    /// Whether it ended although documents may be left: it was stopped, or a limit is reached.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.tally.stopped || self.is_enough()
    }

    /// Whether another race may be begun: were all under way won, there would be no more hits than wanted.
    fn has_room(&self) -> bool {
        let under_way = self.races.len();
        let is_wanted = |hits: u64| self.tally.won.saturating_add(under_way as u64) < hits;
        under_way < self.limits.under_way_max.get() && self.limits.hits_max.is_none_or(is_wanted)
    }

    fn is_enough(&self) -> bool {
        let has_hits = self.limits.hits_max.is_some_and(|hits| self.tally.won >= hits);
        self.fees_reached || has_hits
    }

    /// Takes documents to their ends until none comes any more, a limit is reached, or `stop` ends.
    ///
    /// # Errors
    /// Why it could not go on. What was under way came to its end before, as far as it could.
    pub async fn run(
        &mut self,
        mut documents: mpsc::Receiver<Document>,
        stop: impl Future<Output = ()>,
        mut tell: impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let mut stop = pin!(stop);
        (self.next, self.tally.position) = (0, 0);
        self.unfinished.clear();
        self.again.clear();
        let mut ended = tokio::select! {
            () = &mut stop => {
                self.tally.stopped = true;
                Ok(())
            }
            begun = self.begin_run(&mut tell) => begun,
        };
        while ended.is_ok() && !self.tally.stopped && !self.is_enough() {
            let has_room = self.has_room();
            let again = if has_room { self.again.pop_front() } else { None };
            let (document, attempts) = match again {
                Some(again) => again,
                None => tokio::select! {
                    () = &mut stop => {
                        self.tally.stopped = true;
                        break;
                    }
                    Some(raced) = self.races.join_next() => {
                        ended = self.over(raced, &mut tell);
                        continue;
                    }
                    document = documents.recv(), if has_room => match document {
                        Some(document) => (document, 1),
                        None if self.races.is_empty() && self.again.is_empty() => break,
                        // Races may still give documents back.
                        None => {
                            if let Some(raced) = self.races.join_next().await {
                                ended = self.over(raced, &mut tell);
                            }
                            continue;
                        }
                    },
                },
            };
            self.next = self.next.max(document.number.saturating_add(1));
            self.unfinished.insert(document.number);
            ended = tokio::select! {
                () = &mut stop => {
                    self.tally.stopped = true;
                    Ok(())
                }
                tried = self.take(document, attempts, &mut tell) => tried,
            };
        }
        // Whatever happened, deposits and winners' data are at stake.
        let cleared = self.clear_races(&mut tell).await;
        self.note_position();
        ended.and(cleared)
    }

    /// Takes all that is under way to its end.
    async fn clear_races(&mut self, tell: &mut impl FnMut(Told<'_>, &Self)) -> Result<(), ServiceError> {
        let mut ended = Ok(());
        while let Some(raced) = self.races.join_next().await {
            let over = self.over(raced, tell);
            ended = ended.and(over);
        }
        ended
    }

    /// Counts what was paid, and finishes what was left.
    async fn begin_run(&mut self, tell: &mut impl FnMut(Told<'_>, &Self)) -> Result<(), ServiceError> {
        loop {
            let begun = match self.budget.begin(self.submitter.account()).await {
                Ok(()) => self.finish_left(tell).await,
                Err(error) => Err(error.into()),
            };
            match begun {
                Err(error) if self.bears(&error) => self.wait_for_node(&error, tell).await?,
                begun => return begun,
            }
        }
    }

    /// Takes a document as far as the race for its target; again, once the node answers, where it did not and
    /// the service is one that waits.
    async fn take(
        &mut self,
        document: Document,
        attempts: usize,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let kept = self.limits.waits.then(|| document.clone());
        match (self.try_out(document, attempts, tell).await, kept) {
            (Err(error), Some(document)) if self.bears(&error) => {
                // Unless it waits for money there already.
                if self
                    .again
                    .front()
                    .is_none_or(|(first, _)| first.number != document.number)
                {
                    self.again.push_front((document, attempts));
                }
                self.wait_for_node(&error, tell).await?;
                self.clear_races(tell).await?;
                self.finish_left(tell).await
            }
            (tried, _) => tried,
        }
    }

    /// Looks for a target that a document hits, and begins the race.
    async fn try_out(
        &mut self,
        document: Document,
        attempts: usize,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        self.wait_for_targets(tell).await?;
        let account = self.account().clone();
        if let Err(why) = self.budget.admit(&account, document.data.len() as u64).await? {
            self.again.push_front((document, attempts));
            return self.wait_for_money(why, tell).await;
        }
        self.submitter.set_busy(self.under_way.keys().copied());
        let end = match self.submitter.search(&document.data).await {
            Ok(Search::Found(find)) => return self.begin(document, attempts, *find, tell).await,
            Ok(Search::Missed(miss)) => End::Missed(miss),
            Ok(Search::Known(why)) => End::Known(why),
            Err(error) => {
                return Err(ServiceError::Document {
                    document: document.name,
                    error: Box::new(error),
                });
            }
        };
        self.end(&document, &end, tell);
        Ok(())
    }

    /// Begins the race for a target, if the limit of fees allows.
    async fn begin(
        &mut self,
        document: Document,
        attempts: usize,
        find: Find,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let (account, storage) = (self.account().clone(), self.submitter.storage().cloned());
        if !self.budget.reserve(&account, &find, &document).await? {
            self.fees_reached = true;
            tell(Told::FeesReached(self.budget.fees()), self);
            return Ok(());
        }
        self.under_way.insert(find.target, document.number);
        self.races.spawn(race(account, document, attempts, find, storage));
        Ok(())
    }

    /// Takes note of a race's end.
    fn over(
        &mut self,
        raced: Result<Raced, JoinError>,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let Raced {
            document,
            attempts,
            target,
            fees,
            end,
        } = raced?;
        self.under_way.remove(&target);
        self.budget.release(&target, fees, &end);
        let is_closed = |error: &ClientError| error.rejection_code() == Some(RejectionCode::TargetClosed);
        match end {
            End::Rejected(error) if is_closed(&error) && attempts < ATTEMPTS_MAX => {
                self.again.push_back((document, attempts + 1));
            }
            // The next waits for it to come back, or finds that none will.
            End::Rejected(error) if is_money(&error) => {
                self.budget.note_shortage(error);
                self.again.push_back((document, attempts));
            }
            end => {
                self.end(&document, &end, tell);
                if let End::Rejected(error) = end {
                    self.refused = Some(error);
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, document: &Document, end: &End, tell: &mut impl FnMut(Told<'_>, &Self)) {
        let tally = &mut self.tally;
        match end {
            End::Missed(_) => tally.missed += 1,
            End::Known(_) => tally.known += 1,
            End::Rejected(_) => tally.rejected += 1,
            End::Left(_) => tally.submitted += 1,
            End::Over(_, status) => {
                tally.submitted += 1;
                if matches!(status, SubmissionStatus::Won | SubmissionStatus::Paid { .. }) {
                    tally.won += 1;
                }
            }
        }
        self.unfinished.remove(&document.number);
        self.note_position();
        tell(Told::Ended(document, end), self);
    }

    /// All before the first that is unfinished are done.
    fn note_position(&mut self) {
        self.tally.position = self.unfinished.first().copied().unwrap_or(self.next);
    }

    /// Finishes what an earlier run has left.
    async fn finish_left(&mut self, tell: &mut impl FnMut(Told<'_>, &Self)) -> Result<(), ServiceError> {
        for (pending, finished) in self.account().finish_submissions().await? {
            // Where the ledger has spoken, it is over; what else failed may do better the next time.
            let told = finished.as_ref().map(|view| view.submission.status);
            tell(Told::Finished(pending.submission, told), self);
        }
        Ok(())
    }
}

/// Whether the ledger said no for want of money.
fn is_money(error: &ClientError) -> bool {
    matches!(
        error.rejection_code(),
        Some(RejectionCode::InsufficientBalance | RejectionCode::CannotPayFee)
    )
}
