//! Weights that were revealed: which are examined, what was found, and who is told.
//!
//! Examined are the newest weights of each model that competes or is about to. One file at a time, the
//! shortest first, and none twice. What is not as promised is reported while the model is there to be
//! reported: once in each epoch, since a report counts in its own and the next. What could not be had is
//! looked for again then.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use soma_types::{
    Architecture, ContentHash, DecryptionKey, Epoch, Height, ModelId,
    objects::{Model, ModelStatus, Weights},
    transaction::ModelFault,
};
use tokio::task::JoinSet;

use super::error::AuditError;
use crate::experts::{ExpertError, Experts};

/// Blocks between two looks at all models for weights revealed since.
pub const MODELS_EVERY_BLOCKS: u64 = 12;

/// A file and the key revealed for it.
type Name = (ContentHash, DecryptionKey);

fn name(weights: &Weights) -> Name {
    (weights.committed.hash, weights.key)
}

#[derive(Clone, Debug)]
enum Exam {
    Sound,
    Faulty {
        fault: ModelFault,
        found: Epoch,
        is_final: bool,
    },
}

/// What this auditor knows of revealed weights.
#[derive(Debug, Default)]
pub(super) struct Revealed {
    /// When all models were last looked at.
    seen: Option<Height>,
    /// The models that compete or will, with their newest weights.
    listed: Vec<(ModelId, Weights)>,
    known: BTreeMap<Name, Exam>,
    /// Whom the observer was told to be sound.
    told: BTreeSet<(ModelId, Name)>,
    /// When each was last reported.
    reported: BTreeMap<(ModelId, Name), Epoch>,
    loading: JoinSet<(ModelId, Weights, Result<(), ExpertError>)>,
    /// Files on their way to the node.
    awaited: BTreeSet<Name>,
    brought: JoinSet<(ModelId, Weights, Result<(), ExpertError>)>,
}

/// The weights of `model` to be examined, on a network of this architecture: weights of another shape cannot
/// fit it, which is no fault, and those of a model that is stale or retires need no report.
fn newest(model: &Model, network: Architecture) -> Option<&Weights> {
    let competing = model
        .weights
        .as_ref()
        .filter(|_| model.status == ModelStatus::Active);
    let newest = model.revealed.as_ref().or(competing);
    newest.filter(|weights| model.is_live() && weights.committed.architecture == network)
}

impl Revealed {
    /// Whether it is time to look at all models.
    pub(super) fn is_due(&self, height: Height) -> bool {
        self.seen
            .is_none_or(|seen| height >= seen.plus(MODELS_EVERY_BLOCKS))
    }

    /// Takes the models that there are at `height` in `epoch`.
    pub(super) fn list<'a>(
        &mut self,
        height: Height,
        epoch: Epoch,
        models: impl Iterator<Item = &'a Model>,
        network: Architecture,
    ) {
        self.seen = Some(height);
        self.listed = models
            .filter_map(|model| Some((model.id, newest(model, network)?.clone())))
            .collect();
        let named: BTreeSet<_> = self
            .listed
            .iter()
            .map(|(model, weights)| (*model, name(weights)))
            .collect();
        let files: BTreeSet<Name> = named.iter().map(|(_, name)| *name).collect();
        // What nobody names any more is forgotten; what could not be had, an epoch later.
        self.known.retain(|name, exam| {
            let lasts = match exam {
                Exam::Sound => true,
                Exam::Faulty { found, is_final, .. } => *is_final || *found == epoch,
            };
            lasts && files.contains(name)
        });
        self.told.retain(|entry| named.contains(entry));
        self.reported.retain(|entry, _| named.contains(entry));
    }

    /// Takes what examinations have come to, and begins the next.
    pub(super) fn advance(
        &mut self,
        epoch: Epoch,
        experts: &Experts,
        patience: Duration,
        passed_over: &mut Vec<AuditError>,
    ) {
        while let Some(brought) = self.brought.try_join_next() {
            match brought {
                Ok((model, weights, result)) => {
                    self.awaited.remove(&name(&weights));
                    // What has arrived is examined next.
                    if result.is_err() {
                        self.note(model, &weights, result, epoch, passed_over);
                    }
                }
                Err(error) => passed_over.push(error.into()),
            }
        }
        while let Some(loaded) = self.loading.try_join_next() {
            match loaded {
                Ok((model, weights, Err(ExpertError::NotKept(_)))) => {
                    self.awaited.insert(name(&weights));
                    let experts = experts.clone();
                    self.brought.spawn(async move {
                        let result = experts.bring(&weights, patience).await;
                        (model, weights, result.map_err(ExpertError::from))
                    });
                }
                Ok((model, weights, result)) => self.note(model, &weights, result, epoch, passed_over),
                Err(error) => passed_over.push(error.into()),
            }
        }
        if !self.loading.is_empty() {
            return;
        }
        let unknown = self.listed.iter().filter(|(_, weights)| {
            let name = name(weights);
            !self.known.contains_key(&name) && !self.awaited.contains(&name)
        });
        let shortest =
            unknown.min_by_key(|(_, weights)| (weights.committed.size_bytes, weights.committed.sequence));
        if let Some((model, weights)) = shortest.cloned() {
            let experts = experts.clone();
            self.loading.spawn(async move {
                let result = experts.load(&weights).await.map(|_| ());
                (model, weights, result)
            });
        }
    }

    fn note(
        &mut self,
        model: ModelId,
        weights: &Weights,
        result: Result<(), ExpertError>,
        epoch: Epoch,
        passed_over: &mut Vec<AuditError>,
    ) {
        let exam = match &result {
            Ok(()) => Some(Exam::Sound),
            Err(error) => error.fault().map(|fault| Exam::Faulty {
                fault,
                found: epoch,
                is_final: error.is_final(),
            }),
        };
        if let Some(exam) = exam {
            self.known.insert(name(weights), exam);
        }
        if let Err(error) = result {
            passed_over.push(AuditError::Expert { model, error });
        }
    }

    /// Models that were found sound since the last call.
    pub(super) fn newly_sound(&mut self) -> Vec<ModelId> {
        let sound = self.listed.iter().filter(|(_, weights)| {
            let exam = self.known.get(&name(weights));
            matches!(exam, Some(Exam::Sound))
        });
        let told = &mut self.told;
        sound
            .filter(|(model, weights)| told.insert((*model, name(weights))))
            .map(|(model, _)| *model)
            .collect()
    }

    /// The files that were found sound.
    pub(super) fn sound(&self) -> BTreeSet<ContentHash> {
        let sound = self.known.iter().filter(|(_, exam)| matches!(exam, Exam::Sound));
        sound.map(|((hash, _), _)| *hash).collect()
    }

    /// The models to be reported in `epoch`.
    pub(super) fn to_report(&self, epoch: Epoch) -> Vec<(ModelId, ModelFault)> {
        let faulty = self.listed.iter().filter_map(|(model, weights)| {
            let name = name(weights);
            match self.known.get(&name)? {
                Exam::Faulty { fault, .. } if self.reported.get(&(*model, name)) != Some(&epoch) => {
                    Some((*model, *fault))
                }
                _ => None,
            }
        });
        faulty.collect()
    }

    /// Notes that a model was reported in `epoch`, or that the ledger refuses to hear of it.
    pub(super) fn reported(&mut self, model: ModelId, epoch: Epoch) {
        let listed = self.listed.iter().find(|(listed, _)| *listed == model);
        if let Some((_, weights)) = listed {
            self.reported.insert((model, name(weights)), epoch);
        }
    }
}
