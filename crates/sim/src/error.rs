//! Why a simulation stops.

/// Why a simulation stopped.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The ledger is broken, or the genesis is not valid.
    #[error("the ledger stopped the simulation: {0}")]
    Ledger(#[from] soma_ledger::Error),
    /// The ledger lacks something that must be there.
    #[error("the ledger has no {0} where there must be one")]
    Absent(&'static str),
    /// A file of the report cannot be written.
    #[error(transparent)]
    Write(#[from] soma_files::FileError),
}
