//! `soma judge`.

use std::{fs, path::Path};

use serde::Serialize;
use soma_agents::{
    ScoringDesk,
    bench::Bench,
    recheck::{Claimed, Recheck, recheck},
};
use soma_client::NodeClient;
use soma_files::read_bounded;
use soma_model::{Contest, Scorer};
use soma_types::{
    ContentHash, Embedding, Epoch, ModelId, Seed, Shannons, TargetId, Transcript,
    api::score::{ContestView, ScoreView},
    objects::TargetStatus,
    params::Params,
    text::printable,
    transaction::Verdict,
};

use super::compared::{ONE_Q30, differences, losses_text, nats, parts};
use crate::{
    args::JudgeArgs,
    commands::named::resolve_target,
    context::{Context, experts},
    error::{CliError, CliResult},
    printer::{Printer, facts, short, table},
};

/// Longest claim that is read, in bytes: sixteen models of the largest dimension, as JSON.
const CLAIM_BYTES_MAX: u64 = 64 << 20;

/// One thing that the ledger or an auditor asks.
#[derive(Debug, PartialEq, Serialize)]
struct Check {
    what: &'static str,
    holds: bool,
    detail: String,
}

#[derive(Serialize)]
struct JudgeOutput {
    target: TargetId,
    epoch: Epoch,
    seed: Seed,
    models: Vec<ModelId>,
    data_hash: ContentHash,
    data_size_bytes: usize,
    /// What there is to claim, and what an auditor computes.
    exact: ContestView,
    embedding: Embedding,
    dot_q30: i32,
    /// The claim beside it, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    recheck: Option<Recheck>,
    hearing_transcript: Transcript,
    /// What the ledger asks of a commit and a reveal now.
    checks: Vec<Check>,
    deposit: Shannons,
    bond: Shannons,
    verdict: Verdict,
}

/// `soma judge`.
pub async fn judge(printer: Printer, context: &Context, args: &JudgeArgs) -> CliResult {
    let node = context.patient_node()?;
    let params = context.node()?.params().await?;
    let claim = args.claim.as_deref().map(read_claim).transpose()?;
    let data = document(&args.data, &params)?;
    let target = resolve_target(&node, &args.target).await?;
    let bench = Bench::of(&node, node.target(&target).await?).await?;
    let desk = ScoringDesk::new(Scorer::new()?);
    let experts = experts(&node, &params)?;
    let exact = bench.contest(data.clone().into(), &experts, &desk).await?;
    let checks = checks(&node, &bench, &data, &exact, &params).await?;
    let recheck = claim.map(|claim| recheck(&claim, &bench.target.embedding, &exact));
    let winning = exact.winning();
    let output = JudgeOutput {
        target,
        epoch: bench.target.target.epoch,
        seed: bench.seed(),
        models: bench.target.target.models.clone(),
        data_hash: ContentHash::of(&data),
        data_size_bytes: data.len(),
        exact: ContestView::from(&*exact),
        embedding: winning.embedding().clone(),
        dot_q30: winning.embedding().dot(&bench.target.embedding),
        hearing_transcript: exact.hearing_transcript(),
        checks,
        deposit: params.submission_deposit,
        bond: bench.epoch.bond_of(&params, data.len() as u64),
        verdict: recheck.as_ref().map_or(Verdict::Valid, |recheck| recheck.verdict),
        recheck,
    };
    printer.show(&output, judge_text)?;
    if let Some(recheck) = output
        .recheck
        .as_ref()
        .filter(|one| one.verdict != Verdict::Valid)
    {
        return Err(CliError::differs(format!(
            "an auditor would find a false score: {}",
            differences(recheck).join(", ")
        ))
        .hint(format!(
            "a winner found false loses its bond, {} SOMA",
            output.bond
        )));
    }
    let failing = output.checks.iter().find(|check| !check.holds);
    failing.map_or(Ok(()), |check| {
        Err(CliError::differs(format!(
            "the ledger would not take it: {}",
            check.detail
        )))
    })
}

/// One document, its bytes as they are.
fn document(path: &Path, params: &Params) -> CliResult<Vec<u8>> {
    let shown = printable(&path.to_string_lossy()).into_owned();
    let limit_bytes = params.data_size_max_bytes();
    let size_bytes = fs::metadata(path).map_or(0, |found| found.len());
    if size_bytes > limit_bytes {
        return Err(CliError::new(format!(
            "{shown} has {size_bytes} bytes; this network takes {limit_bytes}"
        ))
        .hint("split it into documents"));
    }
    read_bounded(path, limit_bytes)?.ok_or_else(|| CliError::new(format!("there is no file {shown}")))
}

/// What `soma score --json` said of one document.
fn read_claim(path: &Path) -> CliResult<Claimed> {
    let shown = printable(&path.to_string_lossy()).into_owned();
    let bytes = read_bounded(path, CLAIM_BYTES_MAX)?
        .ok_or_else(|| CliError::new(format!("there is no file {shown}")))?;
    claim_of(&bytes).map_err(|reason| {
        CliError::new(format!("{shown} is no claim: {reason}"))
            .hint("give what `soma score --json` printed for one document")
    })
}

fn claim_of(bytes: &[u8]) -> Result<Claimed, String> {
    let contest: ContestView = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let losses_nano = contest.models.iter().map(|model| match model {
        ScoreView::Scored { loss_nano, .. } => *loss_nano,
        ScoreView::Failed { .. } => u64::MAX,
    });
    let Some(ScoreView::Scored {
        cross_entropy_nano,
        embedding_q15,
        ..
    }) = contest.models.get(contest.winner)
    else {
        return Err(format!("its winner, {}, has no score", contest.winner));
    };
    let embedding = Embedding::from_q15(embedding_q15.clone()).map_err(|error| error.to_string())?;
    Ok(Claimed {
        losses_nano: losses_nano.collect(),
        winner: Some(contest.winner),
        cross_entropy_nano: *cross_entropy_nano,
        embedding: Some(embedding),
        dot_q30: None,
    })
}

/// What the ledger asks, beside exact scores.
async fn checks(
    node: &NodeClient,
    bench: &Bench,
    data: &[u8],
    exact: &Contest,
    params: &Params,
) -> CliResult<Vec<Check>> {
    let view = &bench.target;
    let winning = exact.winning();
    let dot_q30 = i64::from(winning.embedding().dot(&view.embedding));
    let cosine = |dot: i64| format!("{:+.6}", dot as f64 / ONE_Q30);
    let entropy = winning.cross_entropy_nano();
    let band = params.cross_entropy_min_nano..=params.cross_entropy_max_nano;
    let claim = node.data_claim(&ContentHash::of(data)).await?;
    let stands = match view.target.status {
        TargetStatus::Open if view.current => "open".to_owned(),
        TargetStatus::Open => format!("closed: its epoch, {}, is over", view.target.epoch),
        TargetStatus::Settling { at } => format!("in its race, which settles at block {at}"),
        TargetStatus::Filled { submission, .. } => format!("filled by {submission}"),
    };
    Ok(vec![
        Check {
            what: "target",
            holds: view.current && !matches!(view.target.status, TargetStatus::Filled { .. }),
            detail: format!("the target is {stands}"),
        },
        Check {
            what: "cosine",
            holds: dot_q30 >= view.commit_threshold_q30,
            detail: format!(
                "a cosine of {}, and at least {} is asked",
                cosine(dot_q30),
                cosine(view.commit_threshold_q30)
            ),
        },
        Check {
            what: "loss band",
            holds: band.contains(&entropy),
            detail: format!(
                "a cross entropy of {}, and {} to {} is asked",
                nats(Some(entropy)),
                nats(Some(*band.start())),
                nats(Some(*band.end()))
            ),
        },
        Check {
            what: "new",
            holds: claim.is_none(),
            detail: claim.map_or_else(
                || "the data is new".to_owned(),
                |claim| format!("the data is submission {}'s", claim.submission),
            ),
        },
    ])
}

fn judge_text(output: &JudgeOutput) -> String {
    let losses = match &output.recheck {
        Some(recheck) => losses_text(&output.models, recheck),
        None => exact_text(&output.models, &output.exact),
    };
    let mut lines = vec![
        ("target", format!("{} of epoch {}", output.target, output.epoch)),
        ("seed", output.seed.to_string()),
        (
            "data",
            format!("{} ({} bytes)", output.data_hash, output.data_size_bytes),
        ),
    ];
    if let Some(recheck) = &output.recheck {
        lines.extend(parts(recheck));
    } else {
        lines.push(("transcript", output.exact.transcript.to_string()));
        lines.push(("in a hearing", output.hearing_transcript.to_string()));
    }
    lines.extend(output.checks.iter().map(|check| {
        let mark = if check.holds { "yes" } else { "NO" };
        (check.what, format!("{mark}: {}", check.detail))
    }));
    lines.push((
        "locks",
        format!(
            "{} SOMA at the commit, {} at the reveal",
            output.deposit, output.bond
        ),
    ));
    let verdict = match (&output.recheck, output.verdict) {
        (None, _) => "valid, if these integers are claimed",
        (_, Verdict::Valid) => "valid",
        _ => "false score",
    };
    lines.push(("an auditor finds", verdict.to_owned()));
    format!("{losses}\n{}", facts(&lines))
}

fn exact_text(models: &[ModelId], exact: &ContestView) -> String {
    let rows = exact
        .models
        .iter()
        .zip(models)
        .enumerate()
        .map(|(index, (score, model))| {
            let loss = match score {
                ScoreView::Scored { loss_nano, .. } => nats(Some(*loss_nano)),
                ScoreView::Failed { error } => error.clone(),
            };
            let mark = if index == exact.winner { "winner" } else { "" };
            vec![short(model), loss, mark.into()]
        });
    table(&["model", "exact", ""], &["exact"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_what_score_prints_of_one_document() {
        let scored = r#"{"loss_nano":3,"cross_entropy_nano":2,"sigreg_nano":1,"predicted_tokens":9,
            "embedding_q15":[32767,0],"mean_embedding":[1.0,0.0]}"#;
        let claim = |models: &str, winner: usize| {
            let transcript = "0x".to_owned() + &"0".repeat(64);
            let json = format!(r#"{{"models":[{models}],"winner":{winner},"transcript":"{transcript}"}}"#);
            claim_of(json.as_bytes())
        };
        let good = claim(&format!(r#"{{"error":"no"}},{scored}"#), 1).unwrap();
        assert_eq!(good.losses_nano, [u64::MAX, 3]);
        assert_eq!((good.winner, good.cross_entropy_nano), (Some(1), 2));
        for (models, winner) in [
            (scored, 1),
            (scored, 9),
            (r#"{"error":"no"}"#, 0),
            ("", 0),
            ("{}", 0),
        ] {
            assert!(claim(models, winner).is_err(), "{models} {winner}");
        }
        for bytes in [&b""[..], b"[]", b"{\"documents\":[]}", b"\xff"] {
            assert!(claim_of(bytes).is_err());
        }
    }
}
