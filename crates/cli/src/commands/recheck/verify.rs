//! `soma submission verify`.

use serde::Serialize;
use soma_agents::{
    ScoringDesk,
    bench::{Bench, BenchError, data_of},
    download::DownloadError,
    recheck::{Claimed, Recheck, recheck},
};
use soma_blobs::Location;
use soma_model::Scorer;
use soma_types::{
    ContentHash, Epoch, ModelId, Seed, SubmissionId, TargetId,
    api::SubmissionView,
    objects::{AuditFinding, Found, Submission},
    provenance::Provenance,
    transaction::Verdict,
};

use super::compared::{differences, losses_text, parts};
use crate::{
    commands::named::resolve_submission,
    context::{Context, experts},
    error::{CliError, CliResult},
    printer::{Printer, facts},
    reference::Reference,
};

#[derive(Serialize)]
struct VerifyOutput {
    submission: SubmissionId,
    target: TargetId,
    epoch: Epoch,
    seed: Seed,
    models: Vec<ModelId>,
    weights: Vec<ContentHash>,
    data_hash: ContentHash,
    data_size_bytes: u64,
    /// What its submitter says of where the data comes from, which nobody checks.
    provenance: Provenance,
    #[serde(flatten)]
    recheck: Recheck,
    /// Revealed findings of auditors with this transcript, and with another verdict or transcript.
    auditors_agree: usize,
    auditors_differ: usize,
}

/// `soma submission verify`.
pub async fn verify(printer: Printer, context: &Context, submission: &Reference) -> CliResult {
    let node = context.patient_node()?;
    // Says at once that there is no node.
    let params = context.node()?.params().await?;
    let submission = resolve_submission(&node, submission).await?;
    let view = node.submission(&submission).await?;
    let Some(found) = &view.submission.found else {
        return Err(CliError::new(format!(
            "submission {submission} has revealed nothing, so it claims nothing"
        ))
        .hint(format!("`soma why {submission}` says how it stands")));
    };
    let target = node.target(&view.submission.target).await?;
    let bench = Bench::of(&node, target).await?;
    let (experts, desk) = (experts(&node, &params)?, ScoringDesk::new(Scorer::new()?));
    let data = data_of(&experts, found)
        .await
        .map_err(|error| unread(error, &view.submission))?;
    let exact = bench.contest(data, &experts, &desk).await?;
    let models = bench.target.target.models.clone();
    let claimed = Claimed::by(found, view.embedding.clone(), &models);
    let recheck = recheck(&claimed, &bench.target.embedding, &exact);
    let (auditors_agree, auditors_differ) = votes(&view, &recheck);
    let output = VerifyOutput {
        submission,
        target: bench.target.target.id,
        epoch: bench.target.target.epoch,
        seed: bench.seed(),
        models,
        weights: bench.weights.iter().map(|one| one.committed.hash).collect(),
        data_hash: found.data_hash,
        data_size_bytes: found.data_size_bytes,
        provenance: Provenance::of(&found.data_url),
        recheck,
        auditors_agree,
        auditors_differ,
    };
    printer.show(&output, verify_text)?;
    match output.recheck.verdict {
        Verdict::Valid => Ok(()),
        _ => Err(CliError::differs(format!(
            "submission {submission} is not what exact scoring finds: {}",
            differences(&output.recheck).join(", ")
        ))
        .hint("while it can be challenged, `soma submission challenge` has it audited")),
    }
}

/// Why there is no data to recheck, and what to do about it.
fn unread(error: BenchError, submission: &Submission) -> CliError {
    let id = submission.id;
    let hint = match &error {
        BenchError::Data(DownloadError::Here { .. }) => {
            "the node or this machine failed, not the data: try again, or another node with --network"
                .to_owned()
        }
        BenchError::Data(DownloadError::Mismatch { .. }) => format!(
            "auditors find the same; while it can be challenged, `soma submission challenge {id}` has it audited"
        ),
        _ if submission
            .found
            .as_ref()
            .is_none_or(|found| found.winner_index.is_none()) =>
        {
            format!("only data that has won is public; `soma why {id}` says how this one stands")
        }
        _ if submission.found.as_ref().is_some_and(is_hosted) => format!(
            "its submitter serves it, and has to until its audit: auditors who cannot fetch it find it false; \
             `soma why {id}` says what they found"
        ),
        _ => "a node keeps data for as long as its operator has set: ask another with --network".to_owned(),
    };
    CliError::from(error).hint(hint)
}

/// Whether its submitter serves its data, and not the nodes.
fn is_hosted(found: &Found) -> bool {
    matches!(
        Location::parse_public(found.data_url.as_str()),
        Ok(Location::Http(_))
    )
}

/// How many revealed findings are this one, and how many are not.
fn votes(view: &SubmissionView, recheck: &Recheck) -> (usize, usize) {
    let same = |finding: &AuditFinding| {
        finding.transcript == recheck.transcript || finding.transcript == recheck.hearing_transcript
    };
    if let Some(outcome) = &view.audit_outcome {
        let counts = [Some(&outcome.drawn), outcome.hearing.as_ref()];
        let agreed = counts.into_iter().flatten().map(|count| match &count.majority {
            Some(finding) if same(finding) => (count.agreed.len(), count.dissented.len()),
            Some(_) => (0, count.agreed.len()),
            None => (0, 0),
        });
        return agreed.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    }
    let revealed = view.audits.iter().filter_map(|audit| audit.vote.revealed);
    let (agree, differ): (Vec<_>, Vec<_>) = revealed.partition(same);
    (agree.len(), differ.len())
}

fn verify_text(output: &VerifyOutput) -> String {
    let mut lines = vec![
        ("submission", output.submission.to_string()),
        ("target", format!("{} of epoch {}", output.target, output.epoch)),
        ("seed", output.seed.to_string()),
        (
            "data",
            format!(
                "{} ({} bytes), as announced",
                output.data_hash, output.data_size_bytes
            ),
        ),
    ];
    let told = output.provenance.told();
    lines.extend(told.map(|(name, value)| (name, format!("{value}, as its submitter says"))));
    lines.extend(output.weights.iter().map(|hash| ("weights", hash.to_string())));
    lines.extend(parts(&output.recheck));
    let votes = match (output.auditors_agree, output.auditors_differ) {
        (0, 0) => "none has revealed a finding".to_owned(),
        (agree, differ) => format!("{agree} with this transcript, {differ} with another finding"),
    };
    lines.push(("auditors", votes));
    let verdict = match output.recheck.verdict {
        Verdict::Valid => "valid: every integer is as claimed",
        _ => "false",
    };
    lines.push(("verdict", verdict.to_owned()));
    format!(
        "{}\n{}",
        losses_text(&output.models, &output.recheck),
        facts(&lines)
    )
}

#[cfg(test)]
mod tests {
    use soma_types::{
        Address, Commitment, Height, Shannons, Url, objects::SubmissionStatus, transaction::BasisPoints,
    };

    use super::*;

    fn submission(url: &Url, winner_index: Option<u64>) -> Submission {
        Submission {
            id: SubmissionId([1; 32]),
            target: TargetId([2; 32]),
            submitter: Address([3; 32]),
            commitment: Commitment([4; 32]),
            committed: Height(1),
            sequence: 0,
            threshold_q30: 0,
            deposit: Shannons::ZERO,
            bond: Shannons::ZERO,
            status: SubmissionStatus::Won,
            found: Some(Found {
                revealed: Height(2),
                data_url: url.clone(),
                data_size_bytes: 10,
                data_hash: ContentHash([5; 32]),
                losses_nano: Vec::new(),
                cross_entropy_nano: 1,
                model: ModelId([6; 32]),
                commission: BasisPoints::default(),
                dot_q30: 0,
                winner_index,
            }),
            challenge: None,
        }
    }

    /// What helps depends on what is missing, and where.
    #[test]
    fn what_cannot_be_read_says_what_would_help() {
        let stored: Url = format!("soma:{}", ContentHash([5; 32])).parse().unwrap();
        let served: Url = "https://example.org/data".parse().unwrap();
        let error = |kind: &str, url: &Url| {
            let (url, reason) = (url.clone(), "why".to_owned());
            BenchError::Data(match kind {
                "here" => DownloadError::Here { url, reason },
                "other" => DownloadError::Mismatch { url, reason },
                _ => DownloadError::Unavailable { url, reason },
            })
        };
        for (kind, url, winner_index, hint) in [
            ("here", &stored, Some(0), "try again"),
            ("other", &served, Some(0), "challenge"),
            ("gone", &stored, None, "only data that has won"),
            ("gone", &served, Some(0), "its submitter serves it"),
            ("gone", &stored, Some(0), "ask another"),
        ] {
            let said = format!("{:?}", unread(error(kind, url), &submission(url, winner_index)));
            assert!(said.contains(hint), "{kind} {url}: {said}");
        }
    }
}
