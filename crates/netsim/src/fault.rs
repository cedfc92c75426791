//! What can go wrong, and for how long.

use std::fmt::{self, Display};

use serde::Serialize;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Kind {
    /// Every link loses so many of a hundred messages.
    Loss {
        /// Of a hundred.
        percent: u64,
    },
    /// Every link takes so long.
    Delay {
        /// The mean, in milliseconds.
        latency_ms: u64,
        /// Its standard deviation, in milliseconds.
        jitter_ms: u64,
    },
    /// One does not hear another, who hears it.
    Deaf {
        /// Who is not heard.
        from: usize,
        /// Who does not hear.
        to: usize,
    },
    /// Some and the others do not hear each other.
    Partition {
        /// Those on one side.
        group: Vec<usize>,
    },
    /// One stops at once, and is started again at the end.
    Crash {
        /// Whose machine it is.
        validator: usize,
    },
    /// All stop at once.
    Outage,
    /// One stops in the middle of a storage operation: a write is torn.
    Torn {
        /// Whose machine it is.
        validator: usize,
        /// Storage operations that it still completes.
        operations: u64,
    },
    /// Storage operations fail.
    FailingDisk {
        /// Whose machine it is.
        validator: usize,
        /// Of a thousand.
        permille: u64,
    },
    /// Nothing more can be written.
    FullDisk {
        /// Whose machine it is.
        validator: usize,
    },
    /// No file can be opened.
    NoDescriptors {
        /// Whose machine it is.
        validator: usize,
    },
    /// Storage operations take so long.
    SlowDisk {
        /// Whose machine it is.
        validator: usize,
        /// Each, in milliseconds.
        delay_ms: u64,
    },
    /// A clock is wrong by so much.
    ClockStep {
        /// Whose clock it is.
        validator: usize,
        /// Ahead, in milliseconds.
        ahead_ms: i64,
    },
    /// A clock runs so much too fast.
    ClockDrift {
        /// Whose clock it is.
        validator: usize,
        /// Of a thousand.
        permille: i64,
    },
    /// A validator votes for everything, and for what nobody proposed.
    Equivocator {
        /// Who it is.
        validator: usize,
    },
    /// A validator runs twice, each half of the others hears one of the two.
    Twins {
        /// Who it is.
        validator: usize,
    },
    /// A validator sends noise, and what it heard with bits flipped, on all channels.
    Garbage {
        /// Who it is.
        validator: usize,
    },
    /// A validator sends again what it heard, late and to everyone.
    Stale {
        /// Who it is.
        validator: usize,
    },
    /// A validator votes and proposes, and hands out no block.
    Withholder {
        /// Who it is.
        validator: usize,
    },
    /// A validator says nothing.
    Silent {
        /// Who it is.
        validator: usize,
    },
}

impl Kind {
    /// Its name in the matrix.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Loss { .. } => "messages lost",
            Self::Delay { .. } => "slow links",
            Self::Deaf { .. } => "one does not hear another",
            Self::Partition { .. } => "partition",
            Self::Crash { .. } => "crash",
            Self::Outage => "all crash at once",
            Self::Torn { .. } => "crash inside a storage operation",
            Self::FailingDisk { .. } => "failing disk",
            Self::FullDisk { .. } => "full disk",
            Self::NoDescriptors { .. } => "no file can be opened",
            Self::SlowDisk { .. } => "slow disk",
            Self::ClockStep { .. } => "clock steps",
            Self::ClockDrift { .. } => "clock drifts",
            Self::Equivocator { .. } => "equivocator",
            Self::Twins { .. } => "twins",
            Self::Garbage { .. } => "garbage",
            Self::Stale { .. } => "stale messages",
            Self::Withholder { .. } => "blocks withheld",
            Self::Silent { .. } => "silent",
        }
    }

    /// The validator that is not honest, if this makes one.
    #[must_use]
    pub const fn byzantine(&self) -> Option<usize> {
        match self {
            Self::Equivocator { validator }
            | Self::Twins { validator }
            | Self::Garbage { validator }
            | Self::Stale { validator }
            | Self::Withholder { validator }
            | Self::Silent { validator } => Some(*validator),
            _ => None,
        }
    }
}

/// A fault and its time, in simulated milliseconds. Who is not honest is so from the start to the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// When it begins.
    pub from_ms: u64,
    /// When it is over.
    pub until_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
}

impl Fault {
    /// Whether it is there at `now_ms`.
    #[must_use]
    pub const fn is_there(&self, now_ms: u64) -> bool {
        self.from_ms <= now_ms && now_ms < self.until_ms
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| ms as f64 / 1_000.0;
        if self.kind.byzantine().is_none() {
            write!(
                f,
                "{:.1} to {:.1} s: ",
                seconds(self.from_ms),
                seconds(self.until_ms)
            )?;
        }
        f.write_str(self.kind.name())?;
        match &self.kind {
            Kind::Loss { percent } => write!(f, ", {percent} of 100"),
            Kind::Delay {
                latency_ms,
                jitter_ms,
            } => write!(f, ", {latency_ms} ms, give or take {jitter_ms}"),
            Kind::Deaf { from, to } => write!(f, ": {to} does not hear {from}"),
            Kind::Partition { group } => write!(f, ": {group:?} and the others"),
            Kind::Outage => Ok(()),
            Kind::Torn {
                validator,
                operations,
            } => write!(f, ": validator {validator}, after {operations} more"),
            Kind::FailingDisk { validator, permille } => {
                write!(f, ": validator {validator}, {permille} operations of 1000")
            }
            Kind::SlowDisk { validator, delay_ms } => {
                write!(f, ": validator {validator}, {delay_ms} ms each")
            }
            Kind::ClockStep { validator, ahead_ms } => {
                write!(f, ": validator {validator}, {ahead_ms} ms ahead")
            }
            Kind::ClockDrift { validator, permille } => {
                write!(f, ": validator {validator}, {permille} ms a second")
            }
            Kind::Crash { validator }
            | Kind::FullDisk { validator }
            | Kind::NoDescriptors { validator }
            | Kind::Equivocator { validator }
            | Kind::Twins { validator }
            | Kind::Garbage { validator }
            | Kind::Stale { validator }
            | Kind::Withholder { validator }
            | Kind::Silent { validator } => write!(f, ": validator {validator}"),
        }
    }
}
