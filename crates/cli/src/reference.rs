//! Ids as people type them: whole, their first digits, or shortened as tables show them.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use soma_client::{ModelFilter, NodeClient};
use soma_types::{Address, ModelId, secrecy::repeatable, transaction::PoolId};

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
        match id_text(text) {
            Some(id)
                if id.len() >= LENGTH_MIN
                    && id.replacen("..", "", 1)[2..]
                        .bytes()
                        .all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Ok(Self(id))
            }
            _ => {
                Err("an id is 0x and 64 hex digits; its first four digits, or its short form, will do".into())
            }
        }
    }
}

/// `text` as ids are written, if it is meant for one: it starts as one, is as long as one, or is shortened as
/// tables do.
pub fn id_text(text: &str) -> Option<String> {
    let text = text.trim().replace('…', "..").to_ascii_lowercase();
    if text.starts_with("0x") {
        return Some(text);
    }
    let digits = text.replacen("..", "", 1);
    let is_short = digits.len() < text.len() && digits.len() + 2 >= LENGTH_MIN;
    let is_id = (is_short || digits.len() == 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| format!("0x{text}"))
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
        let mut found = ids.into_iter().filter(|id| self.fits(id));
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(first), Some(second)) => Err(CliError::new(format!(
                "{} could be {what} {first} or {what} {second}",
                repeatable(&self.0)
            ))
            .hint("give more digits")),
            (None, _) => Err(
                CliError::new(format!("there is no {what} {}", repeatable(&self.0))).hint(format!(
                    "`soma {what} list` shows those there are; check that --network names the right network"
                )),
            ),
        }
    }
}

impl Reference {
    fn fits(&self, id: &impl Display) -> bool {
        let whole = id.to_string();
        whole.starts_with(&self.0) || short(&whole) == self.0
    }
}

/// What was typed for a pool of stake: its kind, or what of its id can tell it from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolReference {
    kind: Option<PoolKind>,
    id: Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PoolKind {
    Model,
    Validator,
}

impl PoolKind {
    const fn of(pool: &PoolId) -> Self {
        match pool {
            PoolId::Model(_) => Self::Model,
            PoolId::Validator(_) => Self::Validator,
        }
    }
}

impl FromStr for PoolReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (kind, id) = match text.split_once([':', ' ']) {
            Some((kind, id)) if kind.eq_ignore_ascii_case("model") => (Some(PoolKind::Model), id),
            Some((kind, id)) if kind.eq_ignore_ascii_case("validator") => (Some(PoolKind::Validator), id),
            _ => (None, text),
        };
        match id.parse() {
            Ok(id) => Ok(Self { kind, id }),
            Err(_) => Err(format!(
                "'{}' is not a pool: write model:ID or validator:ADDRESS; the id's first four digits, or its short form, will do",
                repeatable(text)
            )),
        }
    }
}

impl PoolReference {
    /// The pool, where it was typed in full.
    fn whole(&self) -> Option<PoolId> {
        match self.kind? {
            PoolKind::Model => self.id.whole::<ModelId>().map(PoolId::Model),
            PoolKind::Validator => self.id.whole::<Address>().map(PoolId::Validator),
        }
    }

    /// The one of `pools` that is meant.
    ///
    /// # Errors
    /// When none is, or several are; `none` is said of the first case.
    pub fn pick(&self, pools: impl IntoIterator<Item = PoolId>, none: &str) -> CliResult<PoolId> {
        if let Some(pool) = self.whole() {
            return Ok(pool);
        }
        let fits = |pool: &PoolId| {
            self.kind.is_none_or(|kind| kind == PoolKind::of(pool))
                && match pool {
                    PoolId::Model(model) => self.id.fits(model),
                    PoolId::Validator(address) => self.id.fits(address),
                }
        };
        let found: Vec<PoolId> = pools.into_iter().filter(fits).collect();
        match found[..] {
            [pool] => Ok(pool),
            [] => Err(CliError::new(format!("{none} {}", repeatable(&self.id.0))).hint(
                "`soma stake list` shows what you staked, `soma model list` and `soma validator list` what there is",
            )),
            [first, second, ..] => Err(CliError::new(format!(
                "{} could be {first} or {second}",
                repeatable(&self.id.0)
            ))
            .hint("give more digits")),
        }
    }

    /// The one of the network's pools that is meant.
    ///
    /// # Errors
    /// As [`PoolReference::pick`], or when the node does not answer.
    pub async fn find(&self, node: &NodeClient) -> CliResult<PoolId> {
        if let Some(pool) = self.whole() {
            return Ok(pool);
        }
        let mut pools = BTreeSet::new();
        if self.kind != Some(PoolKind::Validator) {
            let models = node.models(&ModelFilter::default()).await?;
            pools.extend(models.iter().map(|view| PoolId::Model(view.model.id)));
        }
        if self.kind != Some(PoolKind::Model) {
            let validators = node.validators().await?;
            pools.extend(
                validators
                    .iter()
                    .map(|view| PoolId::Validator(view.validator.address)),
            );
        }
        self.pick(pools, "there is no model or validator")
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
        for text in [" 0X1111", "111111..1111", "0x111111…1111", &"11".repeat(32)] {
            assert_eq!(pick(text).unwrap(), ids[0], "{text}");
        }
        for text in [
            "",
            "0x",
            "0x11",
            "model",
            "1111111",
            "0x11gg11",
            "0x11..11..11",
            "..",
            "0x…",
        ] {
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

    #[test]
    fn pools_are_found_as_tables_show_them() {
        let (model, validator) = (ModelId([0x11; 32]), Address([0x11; 32]));
        let other = PoolId::Model(ModelId([0x12; 32]));
        let pools = [PoolId::Model(model), PoolId::Validator(validator), other];
        let pick = |text: &str| text.parse::<PoolReference>().unwrap().pick(pools, "there is no");
        for text in [
            "model:0x111111..1111",
            "Model 0x1111",
            "model:111111..1111",
            &format!("model:{model}"),
        ] {
            assert_eq!(pick(text).unwrap(), pools[0], "{text}");
        }
        assert_eq!(pick("validator:0x111111..1111").unwrap(), pools[1]);
        assert_eq!(pick("0x121212..1212").unwrap(), other);
        let error = pick("0x111111..1111").unwrap_err().to_string();
        assert!(
            error.contains(&model.to_string()) && error.contains("validator 0x"),
            "{error}"
        );
        assert!(
            pick("0x333333..3333")
                .unwrap_err()
                .to_string()
                .contains("there is no")
        );
        for text in ["", "bank:0x1111", "model:", "0x11", "alice"] {
            assert!(text.parse::<PoolReference>().is_err(), "{text}");
        }
    }
}
