//! The long steps of a round: gathering, training, judging, and committing, which embeds.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use soma_blobs::Blob;
use soma_client::{NodeClient, WonFacts};
use soma_data::Dataset;
use soma_model::{LOSS_NONE, Model, Scorer};
use soma_train::{Event, Stop, TrainConfig, TrainError, train};
use soma_types::{ContentHash, Embedding, Epoch, Seed};

use super::{
    Deed, Outcome, Read, Trainer, TrainerError,
    journal::{Journal, Placement, Published, Stage, Why},
    plan::{self, Comparison, View},
    settings::Settings,
    store::Store,
    text::{Text, is_held_out, mean_loss_nano},
};
use crate::{
    embedding,
    gaps::{self, Epochs},
    winners::{data, winners},
};

/// Epochs that are looked back at for data that won, beside the current one: so long every network keeps it.
const LOOK_BACK: u64 = 2;
/// Own wins that are fetched in a round.
const OWN_MAX: usize = 1_000;
/// What remains of a learning rate where there are weights already.
const FINE_TUNE_RATE: f64 = 0.5;
/// Bytes of won data that an embedding is made of, the latest first.
const WON_BYTES_MAX: usize = soma_model::score::DATA_BYTES_MAX;

/// A winner whose loss is compared with one's own, with its data and its epoch's seed.
type Rival = (WonFacts, Vec<u8>, Seed);

impl Trainer {
    /// Fetches data that won, and chooses what to train on.
    pub(super) async fn gather(&mut self, view: &View) -> Result<Outcome, TrainerError> {
        self.take_up().await?;
        let node = self.account.node().clone();
        let (known, own_id) = (self.store.winners()?, self.journal.model);
        let have: BTreeSet<_> = known.iter().map(|winner| winner.target).collect();
        let since = view.epoch.minus(LOOK_BACK).unwrap_or_default();
        let is_new = |winner: &WonFacts| !have.contains(&winner.target);
        let is_own = |winner: &WonFacts| Some(winner.model) == own_id;
        let mut found = winners(&node, since, self.settings.targets, |w| is_new(w) && !is_own(w)).await?;
        let others = found.len();
        if own_id.is_some() {
            found.extend(winners(&node, since, OWN_MAX, |w| is_new(w) && is_own(w)).await?);
        }
        let (mut fetched, mut own, mut gone) = (Vec::new(), 0, 0);
        for (index, winner) in found.into_iter().enumerate() {
            match data(&node, &winner).await? {
                Some(bytes) => {
                    self.store.put_data(&bytes)?;
                    own += usize::from(index >= others);
                    fetched.push(winner);
                }
                None => gone += 1,
            }
        }
        let count = fetched.len();
        fetched.extend(known);
        fetched.sort_by_key(|winner| std::cmp::Reverse(winner.epoch));
        self.store.put_winners(fetched.clone())?;

        let rivals = self.rivals(&node, &fetched).await?;
        let (mine, architecture) = (self.newest()?, self.architecture);
        let chosen = self
            .attended(plan::due(view), move |put_off| match mine {
                Some(weights) => {
                    let model = Model::read(weights.reader(), weights.size_bytes(), &architecture)?;
                    behind(&model, rivals, &put_off)
                }
                // Everything is better than nothing.
                None => Ok(Some(rivals.into_iter().map(|(winner, ..)| winner.hash).collect())),
            })
            .await?;
        let Some(chosen) = chosen else {
            return Ok(Outcome::GoesOn);
        };
        self.store.put_choice(&chosen)?;
        self.tidy()?;
        self.remember(|journal| journal.stage = Stage::Training)?;
        Ok(Outcome::Did(Deed::Gathered {
            winners: count,
            own,
            gone,
            chosen: chosen.len(),
        }))
    }

    /// The latest winners of others that may be trained on.
    async fn rivals(&self, node: &NodeClient, winners: &[WonFacts]) -> Result<Vec<Rival>, TrainerError> {
        let mut rivals = Vec::new();
        let mut known: Option<(Epoch, Seed)> = None;
        let others = winners
            .iter()
            .filter(|winner| Some(winner.model) != self.journal.model && !is_held_out(&winner.hash));
        for winner in others.take(self.settings.targets) {
            let seed = match known {
                Some((epoch, seed)) if epoch == winner.epoch => seed,
                _ => node.epoch(Some(winner.epoch)).await?.state.seed,
            };
            known = Some((winner.epoch, seed));
            if let Some(bytes) = self.store.data(&winner.hash)? {
                rivals.push((winner.clone(), bytes, seed));
            }
        }
        Ok(rivals)
    }

    /// Takes up the weights that a model has, where this trainer has published none.
    async fn take_up(&mut self) -> Result<(), TrainerError> {
        let (None, Some(model)) = (self.journal.newest(), self.journal.model) else {
            return Ok(());
        };
        let view = self.account.node().model(&model).await?;
        if view.model.weights.is_none() && view.model.revealed.is_none() {
            return Ok(());
        }
        let fetched = self.account.node().fetch_model(&model).await?;
        let store = Arc::clone(&self.store);
        let hash = tokio::task::spawn_blocking(move || {
            let mut weights = fetched.open().map_err(soma_client::ClientError::from)?;
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut weights, &mut bytes).map_err(soma_model::WeightsError::from)?;
            Ok::<_, TrainerError>(store.put_weights(&bytes)?)
        })
        .await??;
        let epoch = self.account.node().status().await?.epoch;
        self.remember(|journal| {
            journal.published = Some(Published {
                weights: hash,
                placement: Placement::Corpus,
                placed: epoch,
                hits: view.model.hits_total,
            });
        })
    }

    /// The weights that are newest, if there are any.
    fn newest(&self) -> Result<Option<Blob>, TrainerError> {
        let newest = self.journal.newest();
        Ok(newest.map(|hash| self.store.weights(&hash)).transpose()?)
    }

    /// The weights that a round starts from: the newest, or those given, or the network's genesis weights.
    async fn start(&self) -> Result<Option<Blob>, TrainerError> {
        if let Some(newest) = self.newest()? {
            return Ok(Some(newest));
        }
        if let Some(given) = &self.settings.start {
            return Ok(Some(self.store.weights(given)?));
        }
        let node = self.account.node();
        match node.genesis().await?.weights {
            Some(_) => Ok(Some(node.fetch_genesis().await?)),
            None => Ok(None),
        }
    }

    /// Removes what nothing names.
    fn tidy(&self) -> Result<(), TrainerError> {
        let weights = self.journal.weights().chain(self.settings.start).collect();
        let mut data: BTreeSet<ContentHash> = self.store.winners()?.iter().map(|w| w.hash).collect();
        data.extend(self.store.choice()?);
        if let Placement::Won { data: won } = self.journal.placement() {
            data.extend(won);
        }
        Ok(self.store.tidy(&weights, &data)?)
    }

    /// Trains from the newest weights.
    pub(super) async fn train(&mut self, view: &View) -> Result<Outcome, TrainerError> {
        let start = self.start().await?;
        let is_fine_tuning = self.journal.newest().is_some();
        let (read, store, settings, watch) = (
            Arc::clone(&self.read),
            Arc::clone(&self.store),
            self.settings.clone(),
            Arc::clone(&self.watch),
        );
        let mut config = TrainConfig {
            seed: settings.seed.wrapping_add(self.journal.round),
            checkpoint_dir: Some(store.checkpoints()),
            ..TrainConfig::new(self.architecture, settings.steps)
        };
        if is_fine_tuning {
            config.learning_rate *= FINE_TUNE_RATE;
        }
        config.learning_rate = settings.learning_rate.unwrap_or(config.learning_rate);
        let trained = self
            .attended(plan::due(view), move |put_off| {
                let config = config.fitted()?;
                let text = text(&read, &store, &settings)?;
                let start = start.map(|start| start.bytes()).transpose();
                let start = start.map_err(soma_model::WeightsError::from)?;
                let watch = |event: Event<'_>| {
                    if let Event::Updated(progress) = event {
                        watch(progress);
                    }
                };
                let trained = train(&config, &text.train, start.as_deref(), watch, &put_off)?;
                if trained.stop == Stop::Cancelled {
                    return Ok(None);
                }
                let hash = store.put_weights(&trained.weights)?;
                Ok(Some((hash, trained.steps, trained.last)))
            })
            .await;
        match trained {
            // What was done is in the checkpoint.
            Ok(None) => Ok(Outcome::GoesOn),
            Ok(Some((candidate, steps, last))) => {
                self.remember(|journal| journal.stage = Stage::Judging { candidate })?;
                Ok(Outcome::Did(Deed::Trained {
                    steps,
                    bits_per_byte: last.map(|last| last.bits_per_byte),
                }))
            }
            // Of another text or other settings than this round has now.
            Err(TrainerError::Train(TrainError::Checkpoint(error))) if !error.is_environment() => {
                self.store.remove_checkpoints()?;
                Ok(Outcome::Did(Deed::BeganAnew {
                    reason: error.to_string(),
                }))
            }
            Err(TrainerError::Train(error @ (TrainError::Diverged { .. } | TrainError::Overflow { .. }))) => {
                self.remember(Journal::rest)?;
                Ok(Outcome::Did(Deed::GaveUp {
                    reason: error.to_string(),
                }))
            }
            Err(error) => Err(error),
        }
    }

    /// Compares what was trained with what was published last.
    pub(super) async fn judge(&mut self, view: &View) -> Result<Outcome, TrainerError> {
        let Stage::Judging { candidate } = self.journal.stage else {
            return Ok(Outcome::GoesOn);
        };
        let (read, store) = (Arc::clone(&self.read), Arc::clone(&self.store));
        let (settings, architecture) = (self.settings.clone(), self.architecture);
        let before = self.journal.newest();
        let compared = self
            .attended(plan::due(view), move |put_off| {
                let text = text(&read, &store, &settings)?;
                let mean = |hash: ContentHash| {
                    let weights = store.weights(&hash)?;
                    let model = Model::read(weights.reader(), weights.size_bytes(), &architecture)?;
                    Ok::<_, TrainerError>(mean_loss_nano(Scorer::new()?, &model, &text.held_out)?)
                };
                let before_nano = before.map(mean).transpose()?;
                if put_off.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                Ok(Some(Comparison {
                    candidate_nano: mean(candidate)?,
                    before_nano,
                }))
            })
            .await?;
        let Some(compared) = compared else {
            return Ok(Outcome::GoesOn);
        };
        let follow = self.won(view)?.is_some();
        let refresh = view
            .model
            .is_some_and(|model| plan::is_refresh_due(&model, view.epoch));
        let publishes = plan::judge(&compared, self.settings.gain, follow, refresh);
        if compared.candidate_nano == LOSS_NONE && before.is_none() {
            self.remember(Journal::rest)?;
            let reason = "the trained weights overflow where they are scored".to_owned();
            return Ok(Outcome::Did(Deed::GaveUp { reason }));
        }
        self.remember(|journal| match (publishes, before) {
            (Some(why @ (Why::Follow | Why::Refresh)), Some(weights)) => {
                journal.stage = Stage::Ready { weights, why };
            }
            (Some(why), _) => {
                journal.stage = Stage::Ready {
                    weights: candidate,
                    why,
                };
            }
            (None, _) => journal.rest(),
        })?;
        Ok(Outcome::Did(Deed::Judged {
            candidate_nano: compared.candidate_nano,
            before_nano: compared.before_nano,
            publishes,
        }))
    }

    /// Commits to what is on its way, with the embedding of its place.
    pub(super) async fn commit(&mut self) -> Result<Outcome, TrainerError> {
        let (Some(model), Some(publishing)) = (self.journal.model, self.journal.publishing.clone()) else {
            return Ok(Outcome::GoesOn);
        };
        if publishing.container.is_some() {
            // What was committed has lapsed.
            self.remember(|journal| {
                if let Some(publishing) = &mut journal.publishing {
                    publishing.container = None;
                }
            })?;
        }
        let (read, store) = (Arc::clone(&self.read), Arc::clone(&self.store));
        let (settings, architecture) = (self.settings.clone(), self.architecture);
        let placement = publishing.placement.clone();
        let weights = self.store.weights(&publishing.weights)?;
        let file = weights.clone();
        let place = self
            .attended(None, move |_: Arc<AtomicBool>| {
                let model = Model::read(file.reader(), file.size_bytes(), &architecture)?;
                place(&read, &store, &settings, &model, &placement)
            })
            .await?;
        let committed = self.account.commit_model(model, weights, Some(place)).await?;
        self.note_commit(committed.hash)?;
        Ok(Outcome::Did(Deed::Committed {
            reveal_in: committed.reveal_in,
        }))
    }
}

/// The owner's text.
fn own_text(read: &Read, settings: &Settings) -> Result<Dataset, TrainerError> {
    Ok(read(&settings.data, &settings.rules())?.dataset)
}

/// A round's text.
fn text(read: &Read, store: &Store, settings: &Settings) -> Result<Text, TrainerError> {
    let own = own_text(read, settings)?;
    let (mut won, mut held_out) = (Vec::new(), Vec::new());
    for hash in store.choice()? {
        won.extend(store.data(&hash)?.map(|data| (hash, data)));
    }
    for winner in store.winners()?.iter().filter(|winner| is_held_out(&winner.hash)) {
        held_out.extend(store.data(&winner.hash)?);
    }
    Ok(Text::new(&own, won, held_out)?)
}

/// Data on which others are better, the largest gap first; none if it is put off.
fn behind(
    model: &Model,
    rivals: Vec<Rival>,
    put_off: &AtomicBool,
) -> Result<Option<Vec<ContentHash>>, TrainerError> {
    let scorer = Scorer::new()?;
    let (mut found, mut epochs) = (Vec::new(), Epochs::default());
    for (winner, bytes, seed) in rivals {
        if put_off.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let epoch: Epoch = winner.epoch;
        let directions = epochs.directions(epoch, &seed, model);
        found.push(gaps::measure(scorer, model, winner, &bytes, directions)?);
    }
    found.retain(|gap| gap.nano() > 0);
    gaps::sort(&mut found);
    Ok(Some(found.into_iter().map(|gap| gap.winner.hash).collect()))
}

/// Where `model` is registered.
fn place(
    read: &Read,
    store: &Store,
    settings: &Settings,
    model: &Model,
    placement: &Placement,
) -> Result<Embedding, TrainerError> {
    if let Placement::Won { data } = placement {
        let (mut won, mut size_bytes) = (Vec::new(), 0);
        for hash in data {
            let Some(bytes) = store.data(hash)? else { continue };
            size_bytes += bytes.len();
            if size_bytes > WON_BYTES_MAX {
                break;
            }
            won.push(bytes);
        }
        if !won.is_empty() {
            let won: Vec<&[u8]> = won.iter().map(Vec::as_slice).collect();
            return Ok(embedding::of_data(model, &won)?);
        }
    }
    Ok(embedding::genesis(
        model,
        &own_text(read, settings)?,
        settings.seed,
    )?)
}
