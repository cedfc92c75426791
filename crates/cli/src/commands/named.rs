//! Targets and submissions as they were typed.

use std::collections::BTreeSet;

use soma_client::{ClientError, NodeClient, SubmissionFilter, TargetFilter};
use soma_types::{SubmissionId, TargetId, api::TargetView, phase::TargetPhase};

use crate::{error::CliResult, reference::Reference};

/// The latest that `filter` admits, at most `limit`.
pub async fn latest(
    node: &NodeClient,
    filter: &TargetFilter,
    limit: usize,
) -> Result<Vec<TargetView>, ClientError> {
    let (mut found, mut cursor) = (Vec::new(), None);
    while found.len() < limit {
        let page = node
            .targets_page(filter, cursor.as_deref(), limit - found.len())
            .await?;
        found.extend(page.items);
        // A page may be empty and not the last; a cursor that stands still would go on for ever.
        match page.next {
            Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
            _ => break,
        }
    }
    Ok(found)
}

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
    all.extend(latest(node, &filled, FILLED_KNOWN).await?);
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
