//! Whether a node is well, in one word for machines and one sentence for people.

use std::fmt;

/// Without a block for this long a node is stuck, in milliseconds. With a silent leader a view takes a few
/// seconds.
pub const STUCK_MS: u64 = 30_000;
/// The chain's time may be this far ahead of a node's without a word, in milliseconds.
const AHEAD_MS: u64 = 5_000;

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Blocks become final.
    Well,
    /// They do, at half their pace: the chain's time is ahead of the clock.
    Ahead {
        /// By how much, in seconds.
        seconds: u64,
    },
    /// No block has become final since the node started, which is not long ago.
    Starting,
    /// None has for a while.
    Stuck {
        /// The height of the last that did, if one has since the node started.
        height: Option<u64>,
        /// For how long, in seconds.
        seconds: u64,
    },
}

impl Health {
    /// Judges by the height and date of the last block that has become final since the node started, if any,
    /// by how long ago that was, or the start, and by the node's time.
    #[must_use]
    pub fn judge(last: Option<(u64, u64)>, age_ms: u64, now_ms: u64) -> Self {
        if age_ms >= STUCK_MS {
            return Self::Stuck {
                height: last.map(|(height, _)| height),
                seconds: age_ms / 1_000,
            };
        }
        match last {
            None => Self::Starting,
            Some((_, date_ms)) => match date_ms.saturating_sub(now_ms) {
                ahead_ms if ahead_ms >= AHEAD_MS => Self::Ahead {
                    seconds: ahead_ms / 1_000,
                },
                _ => Self::Well,
            },
        }
    }

    /// Whether clients can rely on it.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self, Self::Well | Self::Ahead { .. })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => write!(f, "ok"),
            Self::Ahead { seconds } => write!(
                f,
                "ok, but this machine's clock is {seconds} s behind the chain's time: blocks come at half their pace \
                 for about {} s",
                seconds.saturating_mul(2)
            ),
            Self::Starting => write!(
                f,
                "no block has become final since this node started: wait some seconds"
            ),
            Self::Stuck { height, seconds } => {
                write!(f, "no block has become final for {seconds} s")?;
                if let Some(height) = height {
                    write!(f, ", the last is {height}")?;
                }
                write!(
                    f,
                    ": too many validators are silent, or this machine does not keep up"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_that_is_stuck_is_no_health() {
        let now = 1_000_000;
        assert_eq!(Health::judge(None, 400, now), Health::Starting);
        assert_eq!(Health::judge(Some((7, now - 400)), 400, now), Health::Well);
        for last in [None, Some((7, now + 3_600_000))] {
            let stuck = Health::judge(last, STUCK_MS, now);
            let height = last.map(|(height, _)| height);
            assert_eq!(stuck, Health::Stuck { height, seconds: 30 });
            assert!(!stuck.serves() && stuck.to_string().contains("30 s"), "{stuck}");
        }
        assert!(!Health::Starting.serves());
        let ahead = Health::judge(Some((7, now + 3_600_000)), 400, now);
        assert!(
            ahead.serves() && ahead.to_string().contains("3600 s behind"),
            "{ahead}"
        );
        assert!(ahead.to_string().contains("about 7200 s"), "{ahead}");
    }
}
