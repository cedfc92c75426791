//! Why a device is of no use.

/// Why a device did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is none, or nothing to drive it with.
    #[error("{0}")]
    Absent(String),
    /// Its memory is full.
    #[error(
        "{device} has no room for {what} ({bytes} bytes): score fewer models at once, or unset SOMA_DEVICE to score on \
         the processor"
    )]
    Full {
        /// The device.
        device: String,
        /// Weights or activations.
        what: &'static str,
        /// What was asked for.
        bytes: u64,
    },
    /// The driver reports an error: the device is lost, or was never sound.
    #[error(
        "{device} failed ({reason}): nothing it computed was used; start again, or unset SOMA_DEVICE to score on the processor"
    )]
    Failed {
        /// The device.
        device: String,
        /// The driver's word.
        reason: String,
    },
}
