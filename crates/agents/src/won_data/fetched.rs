//! One document, from the node.

use soma_client::{ClientError, NodeClient, WonDocument};
use soma_types::api::TargetView;

use super::synced::Missing;

/// What won a target, with its data; none where nothing stands.
pub(super) async fn document(
    node: &NodeClient,
    target: &TargetView,
) -> Result<Option<WonDocument>, ClientError> {
    let Some(facts) = node.won(target).await? else {
        return Ok(None);
    };
    let data = node.fetch_won(&facts).await?;
    Ok(Some(WonDocument { facts, data }))
}

/// What it means that a document did not come.
///
/// # Errors
/// Where it says nothing of the document.
pub(super) fn missing(view: &TargetView, error: ClientError) -> Result<Missing, ClientError> {
    let wrong = matches!(
        error,
        ClientError::WrongHash { .. } | ClientError::WrongSize { .. }
    );
    if !error.is_of_content() {
        return Err(error);
    }
    Ok(Missing {
        target: view.target.id,
        epoch: view.target.epoch,
        reason: error.to_string(),
        wrong,
    })
}

#[cfg(test)]
mod tests {
    use soma_types::{ContentHash, Epoch, api::Problem};

    use super::*;
    use crate::test_cast::target;

    fn view() -> TargetView {
        let mut view = target(1, 0);
        view.target.epoch = Epoch(5);
        view
    }

    /// What is gone, or taken down, or a lie is told and passed over; a node that does not answer ends the
    /// run.
    #[test]
    fn only_what_says_something_of_a_document_is_passed_over() {
        let problem = |status| {
            ClientError::Problem(Box::new(Problem {
                kind: "about:blank".into(),
                title: "no".into(),
                status,
                detail: "says the node".into(),
                code: None,
                name: None,
            }))
        };
        for status in [404, 451, 502] {
            let passed = missing(&view(), problem(status)).unwrap();
            assert_eq!((passed.epoch, passed.wrong), (Epoch(5), false));
            assert_eq!(passed.reason, "says the node");
        }
        let lie = ClientError::WrongHash {
            expected: ContentHash([1; 32]),
            found: ContentHash([2; 32]),
        };
        let passed = missing(&view(), lie).unwrap();
        assert!(passed.wrong && passed.reason.contains("hash to"), "{passed:?}");
        assert!(missing(&view(), problem(503)).is_err());
        let gone = ClientError::Unreachable {
            node: "n".into(),
            reason: "r".into(),
        };
        assert!(missing(&view(), gone).is_err());
    }
}
