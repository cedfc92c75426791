//! Lists, which come in pages.

use serde::de::DeserializeOwned;
use soma_types::api::{PAGE_ITEMS_MAX, Page};

use super::{NodeClient, filter::Query};
use crate::error::ClientError;

/// Most items that the methods returning whole lists collect.
pub const LIST_ITEMS_MAX: usize = 100_000;
/// Most pages that are asked for.
const LIST_PAGES_MAX: usize = 10_000;

impl NodeClient {
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        mut query: Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<T>, ClientError> {
        query.push(("limit", limit.clamp(1, PAGE_ITEMS_MAX).to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.get(path, &query).await
    }

    /// All that `query` admits, as far as whole lists go.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
    ) -> Result<Vec<T>, ClientError> {
        self.first(path, query, LIST_ITEMS_MAX).await
    }

    /// The first `limit` of what `query` admits.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        limit: usize,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        // A page may be empty and not the last: the node looks at a bounded number of places for each.
        for _ in 0..LIST_PAGES_MAX {
            let left = limit - items.len();
            if left == 0 {
                break;
            }
            let page: Page<T> = self.page(path, query.clone(), cursor.as_deref(), left).await?;
            items.extend(page.items.into_iter().take(left));
            match page.next {
                // A cursor that stands still would go on for ever.
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => break,
            }
        }
        Ok(items)
    }
}
