//! Targets and submissions as they were typed.

use std::collections::BTreeSet;

use soma_client::{NodeClient, SubmissionFilter, TargetFilter};
use soma_types::{SubmissionId, TargetId, phase::TargetPhase};

use crate::{error::CliResult, reference::Reference};

/// Of so many filled targets a short form is known.
const FILLED_KNOWN: usize = 1_000;

/// The target that was typed: whole, or as tables show the current epoch's and the latest that are filled.
pub async fn resolve_target(node: &NodeClient, target: &Reference) -> CliResult<TargetId> {
    if let Some(target) = target.whole() {
        return Ok(target);
    }
    let mut all = node.targets(&TargetFilter::default()).await?;
    let filled = TargetFilter {
        phase: Some(TargetPhase::Filled),
        epoch: None,
    };
    all.extend(node.latest_targets(&filled, FILLED_KNOWN).await?);
    let ids: BTreeSet<_> = all.iter().map(|view| view.target.id).collect();
    target.pick("target", ids)
}

/// The submission that was typed: whole, or as the list of all shows it.
pub async fn resolve_submission(node: &NodeClient, submission: &Reference) -> CliResult<SubmissionId> {
    if let Some(submission) = submission.whole() {
        return Ok(submission);
    }
    let all = node.submissions(&SubmissionFilter::default()).await?;
    submission.pick("submission", all.iter().map(|view| view.submission.id))
}
