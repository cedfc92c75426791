//! Trying everything: the models of all open targets.

use soma_types::api::TargetView;

use super::{Search, SubmitError, Submitter};
use crate::matching::{self, Miss};

/// Up to so many models in all, a scout saves nothing: three targets' worth.
pub(super) const MODELS_MAX: usize = 9;

impl Submitter {
    /// Looks for a target that `data` hits among all `targets` whose models can be used.
    pub(super) async fn search_densely(
        &mut self,
        data: &[u8],
        mut targets: Vec<TargetView>,
    ) -> Result<Search, SubmitError> {
        let (usable, directions) = self.models(&targets).await?;
        targets.retain(|view| view.target.models.iter().all(|model| usable.contains_key(model)));
        if targets.is_empty() {
            return Ok(Search::Missed(Miss::NoModels));
        }
        let scores = self.score_with(usable, directions, data).await?;
        Ok(match matching::hits(&scores, &targets, &self.params) {
            Ok(hits) => match self.choose(hits) {
                Some(find) => Search::Found(Box::new(find)),
                None => Search::Missed(Miss::NoTargets),
            },
            Err(miss) => Search::Missed(miss),
        })
    }
}
