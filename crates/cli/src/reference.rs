//! Ids as people type them: whole, their first digits, or shortened as tables show them.

use std::{fmt::Display, str::FromStr};

use crate::{
    error::{CliError, CliResult},
    printer::short,
};

/// Fewest characters, with the `0x`, that can stand for a whole id.
const LENGTH_MIN: usize = 6;

/// What was typed for an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(String);

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").unwrap_or_default().replacen("..", "", 1);
        if text.len() < LENGTH_MIN
            || digits.is_empty()
            || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err("an id is 0x and 64 hex digits; its first digits, or its short form, will do".into());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Reference {
    /// The id, where it was typed in full.
    pub fn whole<T: FromStr>(&self) -> Option<T> {
        self.0.parse().ok()
    }

    /// The one of `ids` that is meant.
    ///
    /// # Errors
    /// When none is, or several are.
    pub fn pick<T: Copy + Display>(&self, what: &str, ids: impl IntoIterator<Item = T>) -> CliResult<T> {
        let mut found = ids.into_iter().filter(|id| {
            let whole = id.to_string();
            whole.starts_with(&self.0) || short(&whole) == self.0
        });
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(first), Some(second)) => Err(CliError::new(format!(
                "{} could be {what} {first} or {what} {second}",
                self.0
            ))
            .hint("give more digits")),
            (None, _) => Err(
                CliError::new(format!("there is no {what} {}", self.0)).hint(format!(
                    "`soma {what} list` shows those there are; check that --network names the right network"
                )),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use soma_types::ModelId;

    use super::*;
    use crate::record::Record;

    #[test]
    fn ids_are_found_by_their_digits() {
        let ids = [ModelId([0x11; 32]), ModelId([0x12; 32])];
        let pick = |text: &str| text.parse::<Reference>().unwrap().pick("model", ids);
        assert_eq!(pick("0x1111").unwrap(), ids[0]);
        assert_eq!(pick(&short(ids[1])).unwrap(), ids[1]);
        assert_eq!(pick(&ids[1].to_string()).unwrap(), ids[1]);
        assert_eq!(pick("0x3333").unwrap_err().exit_code(&Record::default()), 1);
        assert!(
            ModelId([7; 32])
                .to_string()
                .parse::<Reference>()
                .unwrap()
                .whole::<ModelId>()
                .is_some()
        );
        for text in ["", "0x", "0x11", "model", "1111111", "0x11gg11"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        let twins = [ModelId([0x11; 32]), ModelId([0x11; 32])];
        assert!(
            "0x1111"
                .parse::<Reference>()
                .unwrap()
                .pick("model", twins)
                .is_err()
        );
    }
}
