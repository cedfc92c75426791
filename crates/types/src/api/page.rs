//! Lists in parts.

use serde::{Deserialize, Serialize};

/// Items of a page where the request names no limit.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Most items of a page.
pub const PAGE_ITEMS_MAX: usize = 1_000;

/// A part of a list. `next`, given back as `cursor`, continues it; none at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on.
    pub next: Option<String>,
}

/// Splits a list's remaining items into a page of `limit`, with the cursor of the first item left out.
#[must_use]
pub fn page<T>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
    let next = items.get(limit).map(cursor);
    items.truncate(limit);
    Page { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_what_comes_next() {
        let all = page(vec![1, 2, 3], 3, ToString::to_string);
        assert_eq!((all.items.len(), all.next), (3, None));
        let part = page(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!((part.items, part.next), (vec![1, 2], Some("3".into())));
    }
}
