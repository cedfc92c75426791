//! Where content comes from that is not here: its owner's host, or the other nodes.

use std::time::Duration;

use soma_blobs::{Fetcher, Location};
use soma_types::{ContentHash, Url};

/// Other nodes, which are asked for content that was handed to one of them (`soma:HASH`).
#[derive(Clone, Debug)]
pub struct Nodes {
    /// Downloads from them.
    pub fetcher: Fetcher,
    /// The addresses of their interfaces, as `http://10.0.0.2:9000`.
    pub interfaces: Vec<String>,
}

/// Who is asked for something, and how patiently.
pub(super) struct Asked<'a> {
    pub fetcher: &'a Fetcher,
    /// One after the other.
    pub addresses: Vec<Location>,
    /// Rounds of asking.
    pub tries: u32,
    /// The longest between two rounds.
    pub pause_max: Duration,
}

/// Where content comes from that is not here.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// Downloads from owners' hosts.
    pub owners: Fetcher,
    /// Nobody where another node has the same store.
    pub nodes: Nodes,
}

impl Sources {
    /// Who has what its owner says is at `url`; none where there is nobody to ask.
    pub fn of(&self, url: &Url, hash: &ContentHash) -> Option<Asked<'_>> {
        let asked = match Location::parse_public(url.as_str()).ok()? {
            location @ Location::Http(_) => Asked {
                fetcher: &self.owners,
                addresses: vec![location],
                tries: 6,
                pause_max: Duration::from_secs(60),
            },
            // Who has won may hand data in for hours.
            Location::Soma(_) => Asked {
                fetcher: &self.nodes.fetcher,
                addresses: self.nodes.with(hash),
                tries: 150,
                pause_max: Duration::from_secs(300),
            },
            Location::File(_) => return None,
        };
        Some(asked).filter(|asked| !asked.addresses.is_empty())
    }
}

impl Nodes {
    /// Where each has `hash`, if it does. Not all are asked in one order.
    fn with(&self, hash: &ContentHash) -> Vec<Location> {
        let of = |interface: &String| {
            let address = format!("{}/v1/blobs/{hash}", interface.trim_end_matches('/'));
            Location::parse_public(&address).ok()
        };
        let mut addresses: Vec<Location> = self.interfaces.iter().filter_map(of).collect();
        if !addresses.is_empty() {
            let first = usize::from(hash.0[0]) % addresses.len();
            addresses.rotate_left(first);
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use soma_blobs::FetchPolicy;

    use super::*;

    #[test]
    fn what_was_handed_to_a_node_is_asked_of_all() {
        let fetcher = Fetcher::new(FetchPolicy::default()).unwrap();
        let sources = Sources {
            owners: fetcher.clone(),
            nodes: Nodes {
                fetcher,
                interfaces: vec!["http://10.0.0.2:9000".into(), "http://10.0.0.3:9000/".into()],
            },
        };
        let addresses = |url: &str, hash: [u8; 32]| -> Vec<String> {
            let asked = sources.of(&url.parse().unwrap(), &ContentHash(hash));
            let addresses = asked.map(|asked| asked.addresses).unwrap_or_default();
            addresses.iter().map(ToString::to_string).collect()
        };
        let hash = |byte: u8| (format!("0x{}", hex::encode([byte; 32])), [byte; 32]);
        for (byte, first) in [(2, "2"), (3, "3")] {
            let (name, bytes) = hash(byte);
            let asked = addresses(&format!("soma:{name}"), bytes);
            assert_eq!(asked.len(), 2);
            assert_eq!(asked[0], format!("http://10.0.0.{first}:9000/v1/blobs/{name}"));
        }
        let (_, bytes) = hash(2);
        assert_eq!(addresses("https://a.example/w", bytes), ["https://a.example/w"]);
    }
}
