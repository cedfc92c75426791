//! `soma why`: why something did not win, pay or count.

use soma_agents::why::{Why, model, submission, transaction};
use soma_client::{ClientError, ModelFilter, NodeClient, SubmissionFilter, TargetFilter};
use soma_types::{
    ModelId, SubmissionId, TransactionHash,
    objects::{ModelStatus, SubmissionStatus},
    text::printable,
};

use crate::{
    context::Context,
    error::{CliError, CliResult},
    printer::{Printer, facts},
    reference::Reference,
};

/// `soma why`.
pub async fn run(printer: Printer, context: &Context, id: &Reference) -> CliResult {
    let node = context.node()?;
    let why = match id.whole::<SubmissionId>() {
        Some(whole) => of_whole(&node, whole.0).await?,
        None => of_part(&node, id).await?,
    };
    printer.show(&why, text)
}

fn found<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A submission, a model or a transaction: their names are as long, and none is another's.
async fn of_whole(node: &NodeClient, id: [u8; 32]) -> CliResult<Why> {
    if let Some(view) = found(node.submission(&SubmissionId(id)).await)? {
        return of_submission(node, &view.submission.id).await;
    }
    if let Some(view) = found(node.model(&ModelId(id)).await)? {
        return of_model(node, &view.model.id).await;
    }
    let hash = TransactionHash(id);
    if let Some(view) = node.transaction(&hash).await? {
        return Ok(transaction::why(&view, node.status().await?.epoch));
    }
    Err(CliError::new(format!(
        "{hash} is no submission, model or transaction that the node knows"
    ))
    .hint("check the id, and that --network names the right network"))
}

/// A short form, of a submission or a model.
async fn of_part(node: &NodeClient, id: &Reference) -> CliResult<Why> {
    let submissions = node.submissions(&SubmissionFilter::default()).await?;
    let models = node.models(&ModelFilter::default()).await?;
    let all = submissions
        .iter()
        .map(|view| view.submission.id)
        .chain(models.iter().map(|view| SubmissionId(view.model.id.0)));
    let whole = id.pick("submission", all).map_err(|error| {
        error.hint("short forms are known of submissions and models; a transaction needs its whole hash")
    })?;
    of_whole(node, whole.0).await
}

async fn of_submission(node: &NodeClient, id: &SubmissionId) -> CliResult<Why> {
    let view = node.submission(id).await?;
    let other = match view.submission.status {
        SubmissionStatus::LostRace { to: other } | SubmissionStatus::NotNew { first: other } => {
            found(node.submission(&other).await)?
        }
        _ => None,
    };
    let (target, params) = (node.target(&view.submission.target).await?, node.params().await?);
    let (now, status) = (node.epoch(None).await?.state, node.status().await?);
    Ok(submission::why(
        &view,
        &submission::Around {
            target: &target,
            other: other.as_ref(),
            now: &now,
            height: status.height,
            params: &params,
        },
    ))
}

async fn of_model(node: &NodeClient, id: &ModelId) -> CliResult<Why> {
    let (view, params) = (node.model(id).await?, node.params().await?);
    let active = ModelFilter {
        status: Some(ModelStatus::Active),
        owner: None,
    };
    let active = node.models(&active).await?;
    let targets = node.targets(&TargetFilter::default()).await?;
    let now = node.epoch(None).await?.state;
    let generations = node.generations(id).await?;
    let last = generations
        .first()
        .map(|generation| (generation, generation.committed.next()));
    let due = match last {
        Some((generation, due)) if due < now.epoch => {
            found(node.epoch(Some(due)).await)?.map(|epoch| (generation, epoch.state))
        }
        _ => None,
    };
    Ok(model::why(
        &view,
        &model::Around {
            now: &now,
            targets: &targets,
            active: &active,
            params: &params,
            last_due: due
                .as_ref()
                .map(|(generation, epoch)| model::Due { generation, epoch }),
        },
    ))
}

fn text(why: &Why) -> String {
    let line = |text: &String| printable(text).into_owned();
    let mut lines = vec![("it stands", line(&why.stands))];
    lines.extend(why.because.iter().map(|reason| ("because", line(reason))));
    lines.extend(why.advice.iter().map(|advice| ("you can", line(advice))));
    facts(&lines)
}
