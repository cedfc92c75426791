//! How long content stays public once nothing needs it any more: the data of winners, and the weights that
//! competed.
//!
//! What competition and audits need is kept whatever is set here, and so is what has come to that state
//! within the last [`EPOCHS_MIN`] epochs. Then it is kept for as many epochs as its operator sets, within as
//! many bytes: beyond those the oldest goes first. All other content (what was never named, commitments that
//! lapsed, data that lost its race) is nobody's, and goes when its time is over.

use std::collections::BTreeSet;

use soma_types::{ContentHash, Epoch};

/// The fewest epochs for which content stays after the last that named it: audits and hearings of the next.
pub const EPOCHS_MIN: u64 = 2;
/// Bytes of content that stays although nothing needs it, unless set.
const BYTES_DEFAULT: u64 = 8 << 30;

/// What an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Epochs for which content stays after the last that named it, at least [`EPOCHS_MIN`]; for ever where
    /// left out.
    pub epochs: Option<u64>,
    /// Most bytes of it; as many as the store holds where left out.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Everything, for as long as the store has room.
    pub const ARCHIVE: Self = Self {
        epochs: None,
        bytes: None,
    };

    /// Whether content stays that was last named `age` epochs ago and is the oldest of `used_bytes`.
    fn keeps(&self, age: u64, used_bytes: u64) -> bool {
        let young_enough = self.epochs.is_none_or(|epochs| age <= epochs);
        let fits = self.bytes.is_none_or(|bytes_max| used_bytes <= bytes_max);
        age <= EPOCHS_MIN || (young_enough && fits)
    }
}

impl Default for Retention {
    /// Of every epoch, within 8 GiB.
    fn default() -> Self {
        Self {
            epochs: None,
            bytes: Some(BYTES_DEFAULT),
        }
    }
}

/// Content that was public and that nothing needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Public {
    /// The last epoch that named it.
    pub last: Epoch,
    /// Its name.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// What of it leaves in epoch `now`.
#[must_use]
pub fn beyond(retention: &Retention, now: Epoch, public: &[Public]) -> BTreeSet<ContentHash> {
    let mut newest_first = public.to_vec();
    newest_first.sort_unstable_by(|one, other| other.cmp(one));
    let (mut used_bytes, mut leaving) = (0_u64, BTreeSet::new());
    for content in newest_first {
        // Once one does not fit, nothing older stays: what is public is an unbroken stretch of time.
        used_bytes = used_bytes.saturating_add(content.size_bytes);
        let age = now.0.saturating_sub(content.last.0);
        if !retention.keeps(age, used_bytes) {
            leaving.insert(content.hash);
        }
    }
    leaving
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(byte: u8, last: u64, size_bytes: u64) -> Public {
        Public {
            last: Epoch(last),
            hash: ContentHash([byte; 32]),
            size_bytes,
        }
    }

    fn bytes(leaving: &BTreeSet<ContentHash>) -> Vec<u8> {
        leaving.iter().map(|hash| hash.0[0]).collect()
    }

    #[test]
    fn epochs_count_from_the_last_that_named_it_and_audits_have_theirs() {
        let all = [
            public(1, 5, 1),
            public(2, 6, 1),
            public(3, 8, 1),
            public(4, 10, 1),
        ];
        let kept_for = |epochs| {
            let retention = Retention {
                epochs: Some(epochs),
                bytes: None,
            };
            bytes(&beyond(&retention, Epoch(10), &all))
        };
        assert_eq!(kept_for(5), [0u8; 0]);
        assert_eq!(kept_for(4), [1]);
        assert_eq!(kept_for(3), [1, 2]);
        for less in [0, 1, 2] {
            assert_eq!(kept_for(less), [1, 2], "{less}");
        }
        assert_eq!(
            bytes(&beyond(&Retention::ARCHIVE, Epoch(u64::MAX), &all)),
            [0u8; 0]
        );
        assert_eq!(
            bytes(&beyond(&Retention::default(), Epoch(u64::MAX), &all)),
            [0u8; 0]
        );
    }

    #[test]
    fn beyond_its_bytes_the_oldest_goes_first() {
        let all = [
            public(1, 5, 40),
            public(2, 6, 50),
            public(3, 7, 30),
            public(4, 7, 20),
        ];
        let within = |bytes_max| {
            let retention = Retention {
                epochs: None,
                bytes: Some(bytes_max),
            };
            bytes(&beyond(&retention, Epoch(9), &all))
        };
        assert_eq!(within(140), [0u8; 0]);
        assert_eq!(within(139), [1]);
        assert_eq!(
            within(99),
            [1, 2],
            "nor what would fit, once something newer did not"
        );
        assert_eq!(within(0), [1, 2], "what was named just now stays");
        assert_eq!(beyond(&Retention::default(), Epoch(7), &[]), BTreeSet::new());
    }
}
