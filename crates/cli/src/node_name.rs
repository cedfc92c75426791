//! A node as the person named it.

use std::{fmt, str::FromStr};

use soma_types::secrecy::repeatable;

/// A node as it was named. Its URL may hold a password, so `Debug` does not show it.
#[derive(Clone)]
pub struct NodeName(String);

impl FromStr for NodeName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            Err("give `local`, or the URL of a node")
        } else {
            Ok(Self(text.trim().to_owned()))
        }
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&repeatable(&self.0))
    }
}

impl Default for NodeName {
    fn default() -> Self {
        Self("local".into())
    }
}

impl NodeName {
    /// As it was named.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
