//! What a node tells of the market: models, targets, submissions and audits.

use soma_types::{
    Address, ContentHash, ModelId, SubmissionId, TargetId,
    api::{DataView, GenerationView, ModelView, Page, SubmissionView, TargetView},
};

use super::{
    NodeClient,
    filter::{ModelFilter, SubmissionFilter, TargetFilter},
};
use crate::error::ClientError;

impl NodeClient {
    /// All models that `filter` admits.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn models(&self, filter: &ModelFilter) -> Result<Vec<ModelView>, ClientError> {
        self.list("/v1/models", &filter.query()).await
    }

    /// A model.
    ///
    /// # Errors
    /// When there is no such model ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn model(&self, model: &ModelId) -> Result<ModelView, ClientError> {
        self.get_one(&format!("/v1/models/{model}"), model, |view: &ModelView| {
            view.model.id
        })
        .await
    }

    /// All the weights that a model has had, latest commit first.
    ///
    /// # Errors
    /// When there is no such model ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn generations(&self, model: &ModelId) -> Result<Vec<GenerationView>, ClientError> {
        self.list(&format!("/v1/models/{model}/generations"), &Vec::new())
            .await
    }

    /// All targets that `filter` admits, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn targets(&self, filter: &TargetFilter) -> Result<Vec<TargetView>, ClientError> {
        self.list("/v1/targets", &filter.query()).await
    }

    /// The first `limit` targets that `filter` admits, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn latest_targets(
        &self,
        filter: &TargetFilter,
        limit: usize,
    ) -> Result<Vec<TargetView>, ClientError> {
        self.first("/v1/targets", &filter.query(), limit).await
    }

    /// A page of targets that `filter` admits, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn targets_page(
        &self,
        filter: &TargetFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<TargetView>, ClientError> {
        self.page("/v1/targets", filter.query(), cursor, limit).await
    }

    /// A target.
    ///
    /// # Errors
    /// When there is no such target ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn target(&self, target: &TargetId) -> Result<TargetView, ClientError> {
        self.get_one(&format!("/v1/targets/{target}"), target, |view: &TargetView| {
            view.target.id
        })
        .await
    }

    /// A page of submissions that `filter` admits, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn submissions_page(
        &self,
        filter: &SubmissionFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<SubmissionView>, ClientError> {
        self.page("/v1/submissions", filter.query(), cursor, limit).await
    }

    /// The first `limit` submissions that `filter` admits, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn latest_submissions(
        &self,
        filter: &SubmissionFilter,
        limit: usize,
    ) -> Result<Vec<SubmissionView>, ClientError> {
        self.first("/v1/submissions", &filter.query(), limit).await
    }

    /// All submissions that `filter` admits, latest first.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn submissions(&self, filter: &SubmissionFilter) -> Result<Vec<SubmissionView>, ClientError> {
        self.list("/v1/submissions", &filter.query()).await
    }

    /// A submission.
    ///
    /// # Errors
    /// When there is no such submission ([`ClientError::is_not_found`]), or the node does not answer.
    pub async fn submission(&self, submission: &SubmissionId) -> Result<SubmissionView, ClientError> {
        let path = format!("/v1/submissions/{submission}");
        self.get_one(&path, submission, |view: &SubmissionView| view.submission.id)
            .await
    }

    /// Whose data a hash names; `None` where it is new to the ledger.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn data_claim(&self, data: &ContentHash) -> Result<Option<DataView>, ClientError> {
        match self.get(&format!("/v1/data/{data}"), &[]).await {
            Ok(view) => Ok(Some(view)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The winners on which `auditor` has a vote in the current epoch: as one of their auditors, or once
    /// hearings have begun as one of the committee. Challenged ones are among them once their auditors are
    /// drawn.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn audits(&self, auditor: &Address) -> Result<Vec<SubmissionView>, ClientError> {
        self.list("/v1/audits", &vec![("auditor", auditor.to_string())])
            .await
    }
}
