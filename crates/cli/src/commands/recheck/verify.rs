//! `soma submission verify`.

use serde::Serialize;
use soma_agents::{
    ScoringDesk,
    bench::{Bench, data_of},
    recheck::{Claimed, Recheck, recheck},
};
use soma_model::Scorer;
use soma_types::{
    ContentHash, Epoch, ModelId, Seed, SubmissionId, TargetId, api::SubmissionView, objects::AuditFinding,
    provenance::Provenance, transaction::Verdict,
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
    let data = data_of(&experts, found).await.map_err(|error| {
        CliError::from(error).hint(
            "data stays public for as long as a node's operator has set, and that of submissions that did not \
             win does not: ask another node with --network",
        )
    })?;
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
