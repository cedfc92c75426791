//! Whole numbers above zero.

use std::str::FromStr;

/// A number of a type that has no zero, with words for whoever gives one.
pub(super) fn positive<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "give a whole number, at least 1")
}
