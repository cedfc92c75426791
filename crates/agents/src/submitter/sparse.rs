//! Trying what the scout thinks likely.

use std::{cmp::Reverse, slice, sync::Arc, time::Instant};

use soma_model::{Fast as _, Sample, ScoreError};
use soma_types::api::TargetView;

use super::{Search, SubmitError, Submitter, scouting::Scouting};
use crate::{
    attended::attended,
    matching::{self, Miss, Scores},
    scout::{CHANCE_MIN, CHUNKS, Candidate, Impression},
};

impl Submitter {
    /// Tries the targets that `data` may hit, likeliest first, until it hits one.
    pub(super) async fn search_sparsely(
        &mut self,
        scouting: &mut Scouting,
        data: &[u8],
        targets: &[TargetView],
    ) -> Result<Search, SubmitError> {
        let Some(seen) = self.look(scouting, data).await? else {
            return self.search_densely(data, targets.to_vec()).await;
        };
        let mut candidates = scouting.scout.candidates(&seen, targets, CHANCE_MIN);
        // Of those that are about as likely, each key tries others first.
        candidates.sort_by_key(|candidate| (Reverse(likeliness(candidate)), self.rank(&candidate.target)));
        let (mut scores, mut miss) = (Scores::new(), Miss::Unlikely);
        for candidate in candidates {
            let Some(view) = targets.iter().find(|view| view.target.id == candidate.target) else {
                continue;
            };
            let (mut usable, directions) = self.models(slice::from_ref(view)).await?;
            if !view.target.models.iter().all(|model| usable.contains_key(model)) {
                continue;
            }
            usable.retain(|model, _| !scores.contains_key(model));
            let new = self.score_with(usable, directions, data).await?;
            for (model, score) in &new {
                if let Some(score) = score {
                    scouting.scout.learn(&seen, *model, &Impression::of(score));
                }
            }
            scores.extend(new);
            // Any target all of whose models were scored by now may be hit.
            match matching::hits(&scores, targets, &self.params) {
                Ok(hits) => {
                    if let Some(find) = self.choose(hits) {
                        return Ok(Search::Found(Box::new(find)));
                    }
                }
                Err(found) => miss = found,
            }
        }
        Ok(Search::Missed(miss))
    }

    /// What the scout makes of `data`; none if it has no finite loss on it.
    async fn look(&mut self, scouting: &Scouting, data: &[u8]) -> Result<Option<Impression>, SubmitError> {
        let sample = Sample {
            scorer: self.scorer,
            chunks: CHUNKS,
        };
        let (model, data, length_bytes) = (Arc::clone(&scouting.model), data.to_vec(), data.len());
        let looking = attended(move |_| {
            let start = Instant::now();
            (sample.estimate(&model, &data), start.elapsed())
        });
        let (estimate, time) = looking.await?;
        let chunk_bytes = scouting.model.architecture().max_seq_len as usize;
        self.effort.scorings += 1;
        self.effort.scored_bytes += length_bytes.min(CHUNKS.get() * chunk_bytes) as u64;
        self.effort.scoring += time;
        match estimate {
            Ok(estimate) => Ok(Some(Impression::estimated(&estimate))),
            Err(ScoreError::Model { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// How likely a candidate is, by powers of two.
fn likeliness(candidate: &Candidate) -> i32 {
    candidate.chance.log2().floor() as i32
}
