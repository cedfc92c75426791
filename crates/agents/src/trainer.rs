//! The trainer: rounds of training and publishing that never lose what they have begun.
//!
//! A round gathers public data that won targets and finds where others are better ([`crate::gaps`]), trains
//! from the newest weights, compares, and publishes what is better: commit in one epoch, reveal in the next.
//! One round begins in an epoch. The embedding follows the model's wins.
//!
//! Upon a step: ask the ledger how things stand, and do what is due first ([`plan`], pure). Each step ends
//! with what was done on the disk ([`journal`]), so a process that ends anywhere, or never comes back for a
//! week, is taken up where it was. Long work is put off when a reveal is due meanwhile, and goes on after it.
//!
//! Failures: what the ledger refuses and what the disk refuses is an error, and the step is taken again. Data
//! that is gone is left out. Training that diverges ends its round.

mod deed;
mod error;
pub mod journal;
pub mod plan;
pub mod settings;
pub mod store;
pub mod text;
mod work;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use soma_client::{Account, ModelFilter, Publication as Known};
use soma_data::{DataError, Reading, Rules};
use soma_train::Progress;
use soma_types::{
    Architecture, ContentHash, Epoch, ModelId,
    objects::{Model, ModelStatus},
    params::Params,
};

use self::{
    journal::{Journal, Stage},
    plan::{Publication, Standing, Step, View},
    settings::Settings,
    store::Store,
};

pub use self::{deed::Deed, error::TrainerError};

/// Between two looks whether long work has to be put off.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a step ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Something was done.
    Did(Deed),
    /// Something was noted that had been done before, or work was put off for what is due.
    GoesOn,
    /// Nothing is due before this epoch.
    Waits(Epoch),
    /// It was asked to stop.
    Stopped,
}

/// Told of a training run's progress.
pub type Watch = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Reads the owner's text.
pub type Read = Arc<dyn Fn(&[PathBuf], &Rules) -> Result<Reading, DataError> + Send + Sync>;

/// One model's trainer.
pub struct Trainer {
    account: Account,
    store: Arc<Store>,
    settings: Settings,
    journal: Journal,
    architecture: Architecture,
    read: Read,
    watch: Watch,
    stop: Arc<AtomicBool>,
    /// Whether no further round is begun.
    rests: bool,
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

impl Trainer {
    /// Takes up what `store` remembers, and has it remember the settings. `watch` is told of training;
    /// setting `stop` ends the step under way.
    ///
    /// # Errors
    /// When the folder is another owner's, network's or model's, or the node does not answer.
    pub async fn new(
        account: Account,
        store: Store,
        settings: Settings,
        watch: Watch,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, TrainerError> {
        let chain = account.chain().await?;
        let owner = account.address();
        let mut journal = match store.journal()? {
            Some(journal) => journal,
            None => Journal::new(chain, owner, settings.model),
        };
        let same = |what, found: String, expected: String| {
            if found == expected {
                Ok(())
            } else {
                Err(TrainerError::Other {
                    what,
                    found,
                    expected,
                })
            }
        };
        same("the network", journal.chain.to_string(), chain.to_string())?;
        same("owner", journal.owner.to_string(), owner.to_string())?;
        if let (Some(model), Some(given)) = (journal.model, settings.model) {
            same("model", model.to_string(), given.to_string())?;
        }
        if journal.model.is_none() {
            journal.model = settings.model;
        }
        store.put_settings(&settings)?;
        let architecture = account.params().await?.architecture;
        Ok(Self {
            account,
            store: Arc::new(store),
            settings,
            journal,
            architecture,
            read: Arc::new(soma_data::read),
            watch,
            stop,
            rests: false,
        })
    }

    /// The same trainer, which reads sources by `read`; without it those of this machine.
    #[must_use]
    pub fn reading(self, read: Read) -> Self {
        Self { read, ..self }
    }

    /// Begins no further round: what is under way is brought to its end.
    pub const fn rest(&mut self) {
        self.rests = true;
    }

    /// What is remembered.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Does what is due next.
    ///
    /// # Errors
    /// When it cannot be done; the same call tries again.
    pub async fn step(&mut self) -> Result<Outcome, TrainerError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Outcome::Stopped);
        }
        let params = self.account.params().await?;
        self.architecture = params.architecture;
        let view = self.view(&params).await?;
        match plan::next(&self.journal, &view) {
            Step::Over => Err(TrainerError::Retired(
                self.journal
                    .model
                    .expect("only a model that has a name is looked at"),
            )),
            Step::Wait(until) => Ok(Outcome::Waits(until)),
            Step::Reveal => self.reveal().await,
            Step::Settle => self.settle(&view).await,
            Step::NoteCommit(container) => {
                self.note_commit(container)?;
                Ok(Outcome::GoesOn)
            }
            Step::Adopt(model) => self.adopt(model),
            Step::Create => self.create(view.epoch, &params).await,
            Step::Commit => self.commit().await,
            Step::Publish => self.publish(&view).await,
            Step::Begin if self.rests => Ok(Outcome::Waits(view.epoch)),
            Step::Begin => self.begin(view.epoch),
            Step::Gather => self.gather(&view).await,
            Step::Train => self.train(&view).await,
            Step::Judge => self.judge(&view).await,
        }
    }

    /// How things stand, by the ledger.
    async fn view(&self, params: &Params) -> Result<View, TrainerError> {
        let node = self.account.node();
        let epoch = node.status().await?.epoch;
        let Some(id) = self.journal.model else {
            return Ok(View {
                epoch,
                model: None,
                publication: Publication::Absent,
                created: match self.journal.creating {
                    Some(since) => self.created(since).await?,
                    None => None,
                },
            });
        };
        let model = node.model(&id).await?.model;
        let publication = self.publication(&model).await?;
        let others = model
            .committed
            .as_ref()
            .filter(|_| publication == Publication::Absent);
        let newest = model.revealed.as_ref().or(model.weights.as_ref());
        let standing = Standing {
            is_live: model.is_live(),
            hits: model.hits_total,
            stale_from: newest.map(|weights| weights.active_from.plus(params.refresh_epochs)),
            others_reveal: others.map(|committed| committed.epoch.next()),
        };
        Ok(View {
            epoch,
            model: Some(standing),
            publication,
            created: None,
        })
    }

    /// Where the weights that are on their way stand.
    async fn publication(&self, model: &Model) -> Result<Publication, TrainerError> {
        let Some(publishing) = &self.journal.publishing else {
            return Ok(Publication::Absent);
        };
        let committed = |container: ContentHash, reveal_in| Publication::Committed { container, reveal_in };
        if let Some(noted) = publishing.container {
            let newest = model.revealed.as_ref().or(model.weights.as_ref());
            return Ok(match (&model.committed, newest) {
                (Some(found), _) if found.hash == noted => committed(noted, found.epoch.next()),
                (_, Some(newest)) if newest.committed.hash == noted => Publication::Revealed,
                _ => Publication::Absent,
            });
        }
        // A process may have ended before it noted what it did; the client's journal knows.
        Ok(
            match self.account.publication(model.id, publishing.weights).await? {
                Known::Begins => Publication::Absent,
                Known::Committed(found) => committed(found.hash, found.reveal_in),
                Known::Revealed(_) => Publication::Revealed,
            },
        )
    }

    /// A model of the owner that was created since then, and never had weights.
    async fn created(&self, since: Epoch) -> Result<Option<ModelId>, TrainerError> {
        let filter = ModelFilter {
            status: Some(ModelStatus::Created),
            owner: Some(self.account.address()),
        };
        let all = self.account.node().models(&filter).await?;
        let unused = all.into_iter().map(|view| view.model).find(|model| {
            model.created >= since
                && model.is_live()
                && model.committed.is_none()
                && model.revealed.is_none()
                && model.commission.at(model.created) == self.settings.commission
        });
        Ok(unused.map(|model| model.id))
    }

    /// Remembers how things are now.
    fn keep(&self) -> Result<(), TrainerError> {
        Ok(self.store.put_journal(&self.journal)?)
    }

    /// Changes what is remembered, on the disk first.
    fn remember(&mut self, change: impl FnOnce(&mut Journal)) -> Result<(), TrainerError> {
        let before = self.journal.clone();
        change(&mut self.journal);
        self.keep().inspect_err(|_| self.journal = before)
    }

    fn note_commit(&mut self, container: ContentHash) -> Result<(), TrainerError> {
        self.remember(|journal| {
            if let Some(publishing) = &mut journal.publishing {
                publishing.container = Some(container);
            }
        })
    }

    fn adopt(&mut self, model: ModelId) -> Result<Outcome, TrainerError> {
        self.remember(|journal| journal.model = Some(model))?;
        Ok(Outcome::Did(Deed::Created { model }))
    }

    async fn create(&mut self, epoch: Epoch, params: &Params) -> Result<Outcome, TrainerError> {
        if self.journal.creating.is_none() {
            self.remember(|journal| journal.creating = Some(epoch))?;
        }
        let stake = self.settings.stake.unwrap_or(params.model_stake_min);
        let model = self.account.create_model(self.settings.commission, stake).await?;
        self.adopt(model)
    }

    async fn reveal(&mut self) -> Result<Outcome, TrainerError> {
        let Some(model) = self.journal.model else {
            return Ok(Outcome::GoesOn);
        };
        self.account.reveal_model(model, None).await?;
        // The ledger's word for it comes with the next step.
        Ok(Outcome::GoesOn)
    }

    async fn settle(&mut self, view: &View) -> Result<Outcome, TrainerError> {
        if let (Some(model), Some(publishing)) = (self.journal.model, &self.journal.publishing) {
            // The client forgets the secrets of what is revealed: nothing else of these weights is under way.
            self.account.publication(model, publishing.weights).await?;
        }
        let hits = view.model.map_or(0, |model| model.hits);
        self.remember(|journal| journal.settle(view.epoch, hits))?;
        Ok(Outcome::Did(Deed::Revealed {
            competes_from: view.epoch.next(),
        }))
    }

    fn begin(&mut self, epoch: Epoch) -> Result<Outcome, TrainerError> {
        self.store.remove_checkpoints()?;
        self.remember(|journal| journal.begin(epoch))?;
        let round = self.journal.round;
        Ok(Outcome::Did(Deed::Began { round, epoch }))
    }

    async fn publish(&mut self, view: &View) -> Result<Outcome, TrainerError> {
        let Stage::Ready { weights, why } = self.journal.stage else {
            return Ok(Outcome::GoesOn);
        };
        let placement = match self.won(view)? {
            Some(data) => journal::Placement::Won { data },
            None => self.journal.placement(),
        };
        self.remember(|journal| journal.publish(weights, why, placement))?;
        Ok(Outcome::GoesOn)
    }

    /// The data by which the embedding follows the model's wins, if that is due and there is any.
    fn won(&self, view: &View) -> Result<Option<Vec<ContentHash>>, TrainerError> {
        let (Some(published), Some(model)) = (&self.journal.published, view.model) else {
            return Ok(None);
        };
        if !self.settings.cadence().is_due(published, view.epoch, model.hits) {
            return Ok(None);
        }
        let winners = self.store.winners()?;
        let own = winners
            .iter()
            .filter(|winner| Some(winner.model) == self.journal.model && winner.epoch >= published.placed);
        // A BLAKE3 is claimed once, so none comes twice.
        let data: Vec<ContentHash> = own.map(|winner| winner.hash).collect();
        Ok((!data.is_empty()).then_some(data))
    }

    /// Runs long work elsewhere than on the async threads. Its flag is set when a reveal is due or when the
    /// trainer is asked to stop.
    async fn attended<T: Send + 'static>(
        &self,
        due: Option<Epoch>,
        work: impl FnOnce(Arc<AtomicBool>) -> Result<T, TrainerError> + Send + 'static,
    ) -> Result<T, TrainerError> {
        let put_off = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&put_off);
        let mut task = tokio::task::spawn_blocking(move || work(flag));
        loop {
            tokio::select! {
                done = &mut task => return done?,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let is_due = match due {
                        // A node that does not answer now is asked again.
                        Some(due) => self.account.node().status().await.is_ok_and(|status| status.epoch >= due),
                        None => false,
                    };
                    if is_due || self.stop.load(Ordering::Relaxed) {
                        put_off.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}
