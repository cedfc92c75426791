//! What each role trained on, scored and moved: for what the network is held against, which is exchanging
//! gradients.

use std::ops::AddAssign;

use serde::Serialize;
use soma_client::{NodeClient, Traffic};
use soma_types::{ModelId, api::SubmissionView, objects::SubmissionStatus};

use crate::error::CliResult;

/// What all participants of a role did in a run, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct RoleBytes {
    /// The role.
    pub role: &'static str,
    /// How many had it.
    pub participants: u64,
    /// Text that was trained on.
    pub trained: u64,
    /// Documents that were scored, each once for every model.
    pub scored: u64,
    /// Weights and data that came from nodes.
    pub downloaded: u64,
    /// Weights and data that went to them.
    pub uploaded: u64,
    /// Transactions, questions and answers, in both directions.
    pub talk: u64,
}

impl RoleBytes {
    /// A role that nobody has taken yet.
    pub const fn new(role: &'static str) -> Self {
        Self {
            role,
            participants: 0,
            trained: 0,
            scored: 0,
            downloaded: 0,
            uploaded: 0,
            talk: 0,
        }
    }
}

/// One participant more, by its client's word.
impl AddAssign<Traffic> for RoleBytes {
    fn add_assign(&mut self, traffic: Traffic) {
        self.participants += 1;
        self.downloaded += traffic.content_received;
        self.uploaded += traffic.content_sent;
        self.talk += traffic.talk;
    }
}

/// The same node, by a client whose traffic is counted by itself.
pub fn apart(node: &NodeClient) -> CliResult<NodeClient> {
    Ok(NodeClient::with_options(node.address(), node.options().clone())?)
}

/// Follows the competition as anyone may who takes no part: fetches every model that competes, and all data
/// that has won.
pub async fn follow(
    node: &NodeClient,
    models: &[ModelId],
    submissions: &[SubmissionView],
) -> CliResult<RoleBytes> {
    let node = apart(node)?;
    for model in models {
        node.fetch_model(model).await?;
    }
    for view in submissions {
        let has_won = matches!(
            view.submission.status,
            SubmissionStatus::Won | SubmissionStatus::Paid { .. }
        );
        if let Some(found) = view.submission.found.as_ref().filter(|_| has_won) {
            node.content(&found.data_hash).await?;
        }
    }
    let mut follower = RoleBytes::new("follower");
    follower += node.traffic();
    Ok(follower)
}
