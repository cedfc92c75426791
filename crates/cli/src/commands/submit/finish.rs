//! `soma submission finish`: what a `soma submit` that was stopped has left.

use serde::Serialize;
use soma_client::Account;
use soma_types::{SubmissionId, objects::SubmissionStatus};

use crate::{error::CliResult, printer::Printer, standing::submission_status};

/// `soma submission finish`.
pub async fn finish(printer: Printer, account: &Account) -> CliResult {
    #[derive(Serialize)]
    struct Finished {
        submission: Option<SubmissionId>,
        status: Option<SubmissionStatus>,
        error: Option<String>,
    }
    let (mut finished, mut failed) = (Vec::new(), None);
    for (pending, result) in account.finish_submissions().await? {
        let submission = pending.submission;
        finished.push(match result {
            Ok(view) => Finished {
                submission,
                status: Some(view.submission.status),
                error: None,
            },
            Err(error) => {
                let text = error.to_string();
                if error.rejection_code().is_none() {
                    failed = Some(error);
                }
                Finished {
                    submission,
                    status: None,
                    error: Some(text),
                }
            }
        });
    }
    printer.show(&finished, |finished| {
        if finished.is_empty() {
            return "nothing was left to be finished".to_owned();
        }
        let line = |one: &Finished| {
            let submission = one
                .submission
                .map_or("one without a name".to_owned(), |id| id.to_string());
            let how = match (&one.status, &one.error) {
                (Some(status), _) => submission_status(status),
                (None, Some(error)) => error.clone(),
                (None, None) => String::new(),
            };
            format!("{submission}  {how}\n")
        };
        finished.iter().map(line).collect()
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
