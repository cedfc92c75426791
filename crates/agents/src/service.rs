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
//! Upon a failure before a commit was sent (a full disk): the document stays where it was, and the service
//! ends, so that the next run goes on at it.
//!
//! **Limits.** Hits: those of this run, and those that its caller has of earlier ones ([`Hits`]). Bonds and
//! deposits that are locked at a time: those of this account's submissions as the ledger has them, and of
//! those under way. Fees: those that this account's submissions have cost since the service began, or since
//! the height from which the caller has it count; what is under way counts as what it may cost. Both are
//! asked of the ledger when the service begins, so that a crash does not raise them.
//!
//! Persistence: the client's journal has what was committed. How far the documents have come the caller keeps
//! ([`Tally::position`]).

mod budget;
mod ends;
mod error;
mod hits;
mod left;
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
use soma_types::{Shannons, TargetId};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::submitter::{Effort, Find, Search, Submitter};
use budget::Budget;
pub use error::ServiceError;
pub use hits::Hits;
pub use limits::Limits;
use race::{Raced, race};
pub use told::{Document, End, Tally, Told};

/// Submits what comes.
#[derive(Debug)]
pub struct Service {
    submitter: Submitter,
    limits: Limits,
    budget: Budget,
    hits: Hits,
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

/// What is to be done.
enum Next {
    /// A document is tried, for the first time or again.
    Document(Document, usize),
    /// A race has ended.
    Raced(Result<Raced, JoinError>),
    /// What was left may be all that is wanted.
    Left,
}

impl Service {
    /// A service around `submitter`.
    #[must_use]
    pub fn new(submitter: Submitter, limits: Limits) -> Self {
        Self {
            budget: Budget::new(&limits),
            hits: limits.hits.clone(),
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

    /// What was won, in this run and those before it, and what is raced for.
    #[must_use]
    pub const fn hits(&self) -> &Hits {
        &self.hits
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
        let is_wanted = |hits: u64| self.hits.most() < hits;
        self.races.len() < self.limits.under_way_max.get() && self.limits.hits_max.is_none_or(is_wanted)
    }

    fn is_enough(&self) -> bool {
        let has_hits = self.limits.hits_max.is_some_and(|hits| self.hits.won >= hits);
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
        if ended.is_ok() && !self.tally.stopped && self.is_enough() {
            tell(Told::HitsReached(self.hits.won), self);
        }
        while ended.is_ok() && !self.tally.stopped && !self.is_enough() {
            let has_room = self.has_room();
            let again = if has_room { self.again.pop_front() } else { None };
            let next = match again {
                Some((document, attempts)) => Next::Document(document, attempts),
                None if !has_room && self.races.is_empty() => Next::Left,
                None => tokio::select! {
                    () = &mut stop => {
                        self.tally.stopped = true;
                        break;
                    }
                    Some(raced) = self.races.join_next() => Next::Raced(raced),
                    document = documents.recv(), if has_room => match document {
                        Some(document) => Next::Document(document, 1),
                        None if self.races.is_empty() && self.again.is_empty() => break,
                        // Races may still give documents back.
                        None => match self.races.join_next().await {
                            Some(raced) => Next::Raced(raced),
                            None => continue,
                        },
                    },
                },
            };
            ended = tokio::select! {
                // What a race came to is taken note of first.
                biased;
                done = self.advance(next, &mut tell) => done,
                () = &mut stop => {
                    self.tally.stopped = true;
                    Ok(())
                }
            };
        }
        // Whatever happened, deposits and winners' data are at stake.
        let cleared = self.clear_races(&mut tell).await;
        self.note_position();
        ended.and(cleared)
    }

    async fn advance(
        &mut self,
        next: Next,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        match next {
            Next::Document(document, attempts) => {
                self.next = self.next.max(document.number.saturating_add(1));
                self.unfinished.insert(document.number);
                self.take(document, attempts, tell).await
            }
            Next::Raced(raced) => match self.over(raced, tell) {
                Err(error) if self.bears(&error) => self.wait_for_node(&error, tell).await,
                over => over,
            },
            Next::Left => self.wait_for_left(tell).await,
        }
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
        self.hits.racing.insert(find.target);
        tell(Told::Races, self);
        self.races.spawn(race(account, document, attempts, find, storage));
        Ok(())
    }
}
