//! What a submitter says of where data comes from: plain fields, which travel in the fragment of the address
//! that a reveal names (docs/protocol.md, section 7).
//!
//! A fragment is asked of no server, and the ledger looks at none. The commitment binds it with the rest of
//! the reveal, and its submitter signs it. Whether it is true nobody checks.
//!
//! ```
//! use soma_types::{bounded::Url, provenance::Provenance};
//!
//! let address: Url = "https://example.org/data/ab".parse()?;
//! let told = address.telling(&Provenance {
//!     licence: Some("CC BY 4.0".into()),
//!     ..Provenance::default()
//! });
//! assert_eq!(told.as_str(), "https://example.org/data/ab#licence=CC+BY+4.0");
//! assert_eq!(Provenance::of(&told).licence.as_deref(), Some("CC BY 4.0"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::bounded::Url;

const LICENCE: &str = "licence";
const SOURCE: &str = "source";
const URL: &str = "url";
const ID: &str = "id";

/// What its source says of a document: whose it is, and where it was published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The data set, with the revision that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its licence: the document's own where it has one, otherwise the data set's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Where it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What its data set calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Provenance {
    /// What an address tells; nothing of a field that it does not name, or names twice.
    #[must_use]
    pub fn of(address: &Url) -> Self {
        let fragment = address
            .as_str()
            .split_once('#')
            .map_or("", |(_, fragment)| fragment);
        let field = |wanted: &str| {
            let mut values = form_urlencoded::parse(fragment.as_bytes())
                .filter(|(name, value)| name == wanted && !value.is_empty());
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Some(value.into_owned()),
                _ => None,
            }
        };
        Self {
            source: field(SOURCE),
            licence: field(LICENCE),
            url: field(URL),
            id: field(ID),
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// With the source and licence of `whole`, the data set it is of, where it has none of its own.
    #[must_use]
    pub fn within(self, whole: &Self) -> Self {
        Self {
            source: self.source.or_else(|| whole.source.clone()),
            licence: self.licence.or_else(|| whole.licence.clone()),
            ..self
        }
    }

    /// What may be told to everyone, what matters most first. A source's query may hold what opens it.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let source = self
            .source
            .as_deref()
            .map(|source| source.split(['?', '#']).next().unwrap_or_default());
        [
            (LICENCE, self.licence.as_deref()),
            (SOURCE, source),
            (URL, self.url.as_deref()),
            (ID, self.id.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(_, value)| !value.is_empty())
    }
}

impl Url {
    /// The same address, which tells of its data as many fields as an address has room for. One that tells
    /// something already stays as it is.
    #[must_use]
    pub fn telling(&self, provenance: &Provenance) -> Self {
        if self.as_str().contains('#') {
            return self.clone();
        }
        let mut told = self.clone();
        for (name, value) in provenance.told() {
            let joint = if told.as_str().contains('#') { '&' } else { '#' };
            let mut field = form_urlencoded::Serializer::new(String::new());
            let field = field.append_pair(name, value).finish();
            if let Ok(longer) = format!("{told}{joint}{field}").parse() {
                told = longer;
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bounded::URL_MAX_BYTES;

    fn address() -> Url {
        format!("soma:0x{}", "ab".repeat(32)).parse().unwrap()
    }

    fn provenance(of: impl Fn(&str) -> Option<String>) -> Provenance {
        Provenance {
            source: of(SOURCE),
            licence: of(LICENCE),
            url: of(URL),
            id: of(ID),
        }
    }

    #[test]
    fn what_opens_a_source_is_not_told() {
        let told = address().telling(&Provenance {
            source: Some("https://bucket.example.org/a.parquet?X-Amz-Signature=secret#part".into()),
            url: Some("https://example.org/page?id=7".into()),
            ..Provenance::default()
        });
        assert!(!told.as_str().contains("secret"), "{told}");
        let read = Provenance::of(&told);
        assert_eq!(
            read.source.as_deref(),
            Some("https://bucket.example.org/a.parquet")
        );
        assert_eq!(read.url.as_deref(), Some("https://example.org/page?id=7"));
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_is_told() {
        let long = provenance(|name| {
            Some(if name == SOURCE {
                "s".repeat(600)
            } else {
                name.to_owned()
            })
        });
        let read = Provenance::of(&address().telling(&long));
        assert_eq!(read, Provenance { source: None, ..long });
        let told: Url = "https://example.org/ab#page".parse().unwrap();
        assert_eq!(told.telling(&read), told);
        assert_eq!(address().telling(&Provenance::default()), address());
    }

    #[test]
    fn what_is_named_twice_or_is_nothing_tells_nothing() {
        for fragment in [
            "",
            "#",
            "#licence",
            "#licence=",
            "#licence=a&licence=b",
            "#other=a",
        ] {
            let url: Url = format!("soma:ab{fragment}").parse().unwrap();
            assert_eq!(Provenance::of(&url), Provenance::default(), "{fragment}");
        }
    }

    proptest! {
        #[test]
        fn any_fields_come_back_or_are_left_out(licence in ".{0,80}", id in ".{0,200}") {
            let said = Provenance { licence: Some(licence.clone()), id: Some(id.clone()), ..Provenance::default() };
            let told = address().telling(&said);
            prop_assert!(told.as_str().len() <= URL_MAX_BYTES);
            let read = Provenance::of(&told);
            for (said, read) in [(licence, read.licence), (id, read.id)] {
                prop_assert!(read.is_none_or(|read| read == said));
            }
        }

        #[test]
        fn hostile_addresses_never_panic(text in "[!-~]{1,300}") {
            let _ = Provenance::of(&text.parse().unwrap());
        }
    }
}
