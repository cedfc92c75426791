//! Domain-separated BLAKE3. Every hash in the protocol names its purpose, so a digest made for one
//! purpose can never stand for another.

/// Hashes `parts`, each prefixed with its length, under `domain` (BLAKE3's key-derivation mode).
///
/// `domain` is a constant of the protocol such as `"soma 2026 address"`.
#[must_use]
pub fn domain_hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    *domain_hasher(domain, parts).finalize().as_bytes()
}

/// The extendable output of [`domain_hash`]: an endless stream of bytes fixed by `domain` and `parts`.
#[must_use]
pub fn domain_xof(domain: &str, parts: &[&[u8]]) -> blake3::OutputReader {
    domain_hasher(domain, parts).finalize_xof()
}

fn domain_hasher(domain: &str, parts: &[&[u8]]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_boundaries_separate() {
        let base = domain_hash("soma test a", &[b"ab", b"c"]);
        assert_ne!(base, domain_hash("soma test b", &[b"ab", b"c"]));
        assert_ne!(base, domain_hash("soma test a", &[b"a", b"bc"]));
        assert_ne!(base, domain_hash("soma test a", &[b"abc"]));
    }
}
