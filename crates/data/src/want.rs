//! What is wanted of each record of JSONL or Parquet: which field is its text, and which records count.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Fields that hold a record's text where none is named, the first that is there.
pub const TEXT_FIELDS: [&str; 2] = ["text", "content"];
/// Fields that hold a record's licence, the first that is there.
pub const LICENCE_FIELDS: [&str; 5] = [
    "license",
    "licence",
    "detected_licenses",
    "license_type",
    "gha_license_id",
];
/// Fields that hold where it was published.
pub const URL_FIELDS: [&str; 1] = ["url"];
/// Fields that hold what its data set calls it.
pub const ID_FIELDS: [&str; 3] = ["id", "instance_id", "blob_id"];

/// What is wanted of each record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The field that is its text; the first of [`TEXT_FIELDS`] that there is if none is named.
    pub column: Option<String>,
    /// Whether that column holds ids of texts that lie elsewhere, as in The Stack v2.
    pub by_id: bool,
    /// What must hold of it, all of them.
    pub filters: Vec<Filter>,
}

impl Want {
    /// The fields that its text may be in, the first that is there.
    #[must_use]
    pub fn text_fields(&self) -> Vec<&str> {
        match &self.column {
            Some(column) => vec![column],
            None => TEXT_FIELDS.to_vec(),
        }
    }

    /// Whether a record is wanted, given what its fields hold; what it lacks fulfils nothing.
    pub fn admits<'a>(&self, field: impl Fn(&str) -> Option<Scalar<'a>>) -> bool {
        let mut filters = self.filters.iter();
        filters.all(|filter| field(&filter.field).is_some_and(|value| filter.holds(&value)))
    }
}

/// What one field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Text, compared letter by letter.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
}

/// How a field and a value compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Other,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
}

impl Comparison {
    const ALL: [(&'static str, Self); 4] = [
        ("!=", Self::Other),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("=", Self::Equal),
    ];
}

/// `FIELD=VALUE`, `FIELD!=VALUE`, `FIELD<=NUMBER` or `FIELD>=NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The field.
    pub field: String,
    comparison: Comparison,
    value: String,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No comparison in it, no field before it, or a field that ends as a sign begins.
    #[error("write FIELD=VALUE, FIELD!=VALUE, FIELD<=NUMBER or FIELD>=NUMBER, such as language=en")]
    Malformed,
    /// A bound that is no number.
    #[error("`{0}` is no number: only numbers are compared by <= and >=")]
    NoNumber(String),
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let found = Comparison::ALL
            .iter()
            .filter_map(|(sign, comparison)| Some((text.find(sign)?, sign.len(), *comparison)))
            // At the same place the longer sign is meant.
            .min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
        let (at, length, comparison) = found.ok_or(FilterError::Malformed)?;
        let (field, value) = (text[..at].trim(), text[at + length..].trim());
        // A name's last letter must not read as the sign's first: `a! =b` is not `a!=b`.
        if field.is_empty() || field.ends_with(['!', '<', '>']) {
            return Err(FilterError::Malformed);
        }
        let is_bound = matches!(comparison, Comparison::AtMost | Comparison::AtLeast);
        if is_bound && value.parse::<f64>().map_or(true, f64::is_nan) {
            return Err(FilterError::NoNumber(value.into()));
        }
        Ok(Self {
            field: field.into(),
            comparison,
            value: value.into(),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Comparison::ALL.iter();
        let sign = all.filter(|(_, comparison)| *comparison == self.comparison);
        let sign = sign.map(|(sign, _)| *sign).next().unwrap_or_default();
        write!(f, "{}{sign}{}", self.field, self.value)
    }
}

impl Filter {
    /// Whether it holds of a field that has this value.
    #[must_use]
    pub fn holds(&self, found: &Scalar<'_>) -> bool {
        match self.comparison {
            Comparison::Equal => self.is_equal(found),
            Comparison::Other => !self.is_equal(found),
            Comparison::AtMost => self.bound(found).is_some_and(|(found, bound)| found <= bound),
            Comparison::AtLeast => self.bound(found).is_some_and(|(found, bound)| found >= bound),
        }
    }

    fn is_equal(&self, found: &Scalar<'_>) -> bool {
        match found {
            Scalar::Text(text) => *text == self.value,
            Scalar::Bool(truth) => self.value.parse() == Ok(*truth),
            Scalar::Int(number) => match self.value.parse::<i64>() {
                Ok(value) => value == *number,
                Err(_) => self.value.parse() == Ok(*number as f64),
            },
            Scalar::Float(number) => self.value.parse() == Ok(*number),
        }
    }

    /// What is found and what it is compared with, as numbers.
    fn bound(&self, found: &Scalar<'_>) -> Option<(f64, f64)> {
        let found = match found {
            Scalar::Int(number) => *number as f64,
            Scalar::Float(number) => *number,
            Scalar::Text(_) | Scalar::Bool(_) => return None,
        };
        Some((found, self.value.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_exact() {
        let holds = |filter: &str, value: Scalar<'_>| filter.parse::<Filter>().unwrap().holds(&value);
        assert!(holds("language=en", Scalar::Text("en")));
        assert!(!holds("language=en", Scalar::Text("en-GB")));
        assert!(!holds("language=en", Scalar::Text("EN")));
        assert!(holds("language!=en", Scalar::Text("de")));
        assert!(!holds("id=1", Scalar::Text("01")));
        assert!(holds("n=01", Scalar::Int(1)) && holds("n=1.0", Scalar::Int(1)));
        assert!(holds("n=0.5", Scalar::Float(0.5)));
        assert!(!holds("n=9007199254740993", Scalar::Int(9_007_199_254_740_992)));
        assert!(holds("int_score>=3", Scalar::Int(3)) && !holds("int_score>=3", Scalar::Int(2)));
        assert!(holds("score<=2.5", Scalar::Float(2.5)) && !holds("score<=2.5", Scalar::Float(f64::NAN)));
        assert!(!holds("text>=3", Scalar::Text("4")));
        assert!(holds("vendored=false", Scalar::Bool(false)) && !holds("vendored=0", Scalar::Bool(false)));
        // The first sign counts; a value may hold others.
        assert!(holds("url=http://a/?b>=c", Scalar::Text("http://a/?b>=c")));
        assert!(holds("empty=", Scalar::Text("")));
    }

    #[test]
    fn what_is_no_filter_says_how_to_write_one() {
        for text in ["", "language", "=en", " >=3", "language:en", "a! =b", "a< =3"] {
            assert_eq!(text.parse::<Filter>(), Err(FilterError::Malformed), "{text}");
        }
        let error = "score>=high".parse::<Filter>().unwrap_err();
        assert!(error.to_string().contains("`high` is no number"), "{error}");
        assert!("score<=NaN".parse::<Filter>().is_err());
    }

    #[test]
    fn all_filters_must_hold() {
        let want = Want {
            filters: vec!["a=1".parse().unwrap(), "b!=x".parse().unwrap()],
            ..Want::default()
        };
        let with = |a: i64, b: Option<&'static str>| {
            want.admits(move |name| match name {
                "a" => Some(Scalar::Int(a)),
                _ => b.map(Scalar::Text),
            })
        };
        assert!(with(1, Some("y")));
        assert!(!with(2, Some("y")) && !with(1, Some("x")) && !with(1, None));
    }

    proptest::proptest! {
        #[test]
        fn a_filter_is_shown_as_it_is_read(text in ".{0,40}") {
            if let Ok(filter) = text.parse::<Filter>() {
                proptest::prop_assert_eq!(filter.to_string().parse::<Filter>(), Ok(filter));
            }
        }
    }
}
