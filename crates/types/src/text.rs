//! The one way a value with a text form enters from JSON: as a string that its `FromStr` accepts.

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize, Deserializer};

/// Deserializes a string and parses it.
pub(crate) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = <String as Deserialize>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
