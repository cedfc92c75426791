//! What is to be done next: a pure function of what a trainer remembers and what the ledger says.
//!
//! What is due first comes first: committed weights that are not revealed in their epoch cost a part of the
//! stake. Then weights that are on their way, then the round. One file of weights is on its way at a time,
//! and a model is created once: whatever was done and not noted is found on the ledger and noted now.

use soma_types::{ContentHash, Epoch, ModelId};

use super::journal::{Journal, Published, Stage, Why};

/// What the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The epoch in progress.
    pub epoch: Epoch,
    /// The model; none where there is none yet.
    pub model: Option<Standing>,
    /// Where the weights that are on their way stand.
    pub publication: Publication,
    /// A model of the owner that was created since a creation began, and never had weights.
    pub created: Option<ModelId>,
}

/// How a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may still compete.
    pub is_live: bool,
    /// Its hits ever.
    pub hits: u64,
    /// From this epoch on its newest weights are stale.
    pub stale_from: Option<Epoch>,
    /// When a commit that is not the trainer's is to be revealed.
    pub others_reveal: Option<Epoch>,
}

/// Where weights that are on their way stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// They are not committed, or were and have lapsed.
    Absent,
    /// They wait for their reveal.
    Committed {
        /// BLAKE3 of the encrypted weights.
        container: ContentHash,
        /// When it is.
        reveal_in: Epoch,
    },
    /// They compete, or will.
    Revealed,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reveal what is committed.
    Reveal,
    /// Note that weights were seen committed.
    NoteCommit(ContentHash),
    /// Note that they are revealed.
    Settle,
    /// Create the model.
    Create,
    /// Note the model that was created.
    Adopt(ModelId),
    /// Commit to what is on its way.
    Commit,
    /// Send what is ready on its way.
    Publish,
    /// Begin a round.
    Begin,
    /// Fetch data that won, and choose text.
    Gather,
    /// Train from the newest weights.
    Train,
    /// Compare with what was published last.
    Judge,
    /// Nothing until this epoch.
    Wait(Epoch),
    /// Nothing ever: the model is retired.
    Over,
}

/// The next step.
#[must_use]
pub fn next(journal: &Journal, view: &View) -> Step {
    if view.model.is_some_and(|model| !model.is_live) {
        return Step::Over;
    }
    let mut wait = None;
    if let Some(publishing) = &journal.publishing {
        match view.publication {
            Publication::Revealed => return Step::Settle,
            Publication::Committed { container, .. } if publishing.container != Some(container) => {
                return Step::NoteCommit(container);
            }
            Publication::Committed { reveal_in, .. } if view.epoch >= reveal_in => return Step::Reveal,
            Publication::Committed { reveal_in, .. } => wait = Some(reveal_in),
            Publication::Absent => match (journal.model, view.created, view.model) {
                (None, Some(created), _) if journal.creating.is_some() => return Step::Adopt(created),
                (None, ..) => return Step::Create,
                // Until then nobody else's commit is taken.
                (Some(_), _, Some(model)) if model.others_reveal.is_some() => {
                    wait = model.others_reveal.map(Epoch::next);
                }
                (Some(_), ..) => return Step::Commit,
            },
        }
    }
    match journal.stage {
        Stage::Resting { until } if view.epoch >= until => Step::Begin,
        Stage::Resting { until } => Step::Wait(wait.map_or(until, |wait| wait.min(until))),
        Stage::Gathering => Step::Gather,
        Stage::Training => Step::Train,
        Stage::Judging { .. } => Step::Judge,
        Stage::Ready { .. } => match wait {
            None => Step::Publish,
            Some(wait) => Step::Wait(wait.max(view.epoch.next())),
        },
    }
}

/// When what is done meanwhile has to be put off.
#[must_use]
pub const fn due(view: &View) -> Option<Epoch> {
    match view.publication {
        Publication::Committed { reveal_in, .. } => Some(reveal_in),
        Publication::Absent | Publication::Revealed => None,
    }
}

/// When a model's embedding follows its wins (docs/strategies.md, Embedding update).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// After so many wins.
    pub wins: u64,
    /// Or after so many epochs, with a win at least.
    pub epochs: u64,
}

impl Cadence {
    /// Whether it follows now.
    #[must_use]
    pub const fn is_due(self, published: &Published, epoch: Epoch, hits: u64) -> bool {
        let wins = hits.saturating_sub(published.hits);
        wins >= self.wins || wins > 0 && epoch.0.saturating_sub(published.placed.0) >= self.epochs
    }
}

/// Epochs before weights grow stale in which they are committed again: a commit competes two epochs later,
/// and one is for a machine that was off.
const REFRESH_BEFORE: u64 = 3;

/// Whether weights that go stale have to be committed again.
#[must_use]
pub fn is_refresh_due(model: &Standing, epoch: Epoch) -> bool {
    model
        .stale_from
        .is_some_and(|stale_from| epoch.plus(REFRESH_BEFORE) >= stale_from)
}

/// What a comparison found: mean losses on text that neither has trained on, in nano-nats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Of the trained weights.
    pub candidate_nano: u64,
    /// Of what was published last; none where nothing was.
    pub before_nano: Option<u64>,
}

/// What to publish, and why: trained weights if there were none or they are better by the share `gain` at
/// least; else those before, if their place or their age demands it; else nothing.
#[must_use]
pub fn judge(comparison: &Comparison, gain: f64, follow: bool, refresh: bool) -> Option<Why> {
    match comparison.before_nano {
        None => Some(Why::First),
        Some(before) if (comparison.candidate_nano as f64) < before as f64 * (1.0 - gain) => {
            Some(Why::Better)
        }
        Some(_) if follow => Some(Why::Follow),
        Some(_) if refresh => Some(Why::Refresh),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
