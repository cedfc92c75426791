//! How far a page looks, and a target as it is shown.

use soma_ledger::{Error as LedgerError, State as LedgerState, view};
use soma_types::{Embedding, Epoch, api::TargetView, objects::Target};

use crate::query::{LiveReader, Since};

/// Entries of a list looked at for one page. A page that finds fewer than its limit still names where to
/// go on.
pub(super) const SCANNED_MAX: usize = 2_000;

/// Entries that are looked at before a block that waits is applied.
const SLICE: usize = 64;

/// Whether a page that has looked at `looked` entries ends here: a block came that waited for it.
pub(super) async fn is_over(reader: &mut LiveReader<'_>, looked: usize) -> bool {
    looked > 0 && looked.is_multiple_of(SLICE) && reader.let_others_go_first().await == Since::ABlock
}

/// A target as it is shown in the epoch `current`; `None` where its epoch is not known.
pub(super) fn target_view(
    state: &mut dyn LedgerState,
    target: Target,
    current: Epoch,
) -> Result<Option<TargetView>, LedgerError> {
    // Its epoch's dimension: the network's may have changed since.
    let past = view::epoch_record(state, target.epoch)?.map(|record| record.state);
    let Some(epoch) = (match past {
        None => view::epoch(state)?,
        past => past,
    }) else {
        return Ok(None);
    };
    let embedding = Embedding::draw(&target.seed, epoch.architecture.embedding_dim as usize);
    Ok(Some(TargetView {
        commit_threshold_q30: view::commit_threshold_q30(state, &target)?,
        current: target.epoch == current,
        target,
        embedding,
    }))
}
