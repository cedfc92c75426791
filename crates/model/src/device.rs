//! Machines beside the processor that score exactly: weights stay in their memory, whole passes run there.
//!
//! A [`Device`] is seen from two sides. Its [`kernels`](Device::kernels) are the operations one by one, slow
//! because everything travels, so that the conformance suite can be run on it; its [`pass`](Device::pass) is
//! what scoring uses. Both are held against the reference before a [`Checked`] one exists, and only that
//! scores.

pub(crate) mod error;
pub(crate) mod findings;

use std::sync::OnceLock;

use soma_types::{Architecture, Seed};

use crate::{
    forward,
    kernels::{BackendError, Kernels, first_difference, scalar::Scalar},
    model::Model,
    sigreg::Directions,
    tokenizer::{Chunk, chunks},
};

pub use self::{error::DeviceError, findings::Findings};

/// A machine that scores, with memory of its own.
pub trait Device: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Its operations, one by one.
    fn kernels(&self) -> &dyn Kernels;

    /// Tokens of `architecture` that it takes in one pass.
    fn pass_tokens(&self, architecture: &Architecture) -> usize;

    /// What [`Findings`] says of every chunk.
    ///
    /// # Errors
    /// When the device has no room, or fails.
    fn pass(
        &self,
        model: &Model,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError>;
}

/// A device whose bits are the reference's, as far as the self-check sees.
#[derive(Clone, Copy)]
pub struct Checked(&'static dyn Device);

impl Checked {
    /// Holds every operation and whole passes against the reference.
    ///
    /// # Errors
    /// Names the device and the first operation that differs, or says why it cannot be used.
    pub fn new(device: &'static dyn Device) -> Result<Self, BackendError> {
        let differs = |operation| BackendError::DeviceDiffers {
            device: device.name().to_owned(),
            operation,
        };
        if let Some(operation) = first_difference(device.kernels())? {
            return Err(differs(operation));
        }
        let architecture = Architecture {
            layers: 2,
            embedding_dim: 36,
            heads: 3,
            ffn_dim: 50,
            max_seq_len: 70,
            rope_wavelength: 10_000,
        };
        let model = Model::random(&architecture, 13);
        let directions = Directions::draw(&Seed([13; 32]), &architecture);
        let text: Vec<u8> = (0..=u8::MAX).collect();
        let chunks: Vec<_> = chunks(&text, architecture.max_seq_len as usize).collect();
        let expected = forward::findings(&Scalar, &model, &chunks, Some(&directions));
        if device.pass(&model, &chunks, Some(&directions))? != expected {
            return Err(differs("a whole pass"));
        }
        Ok(Self(device))
    }

    /// The device.
    #[must_use]
    pub const fn device(self) -> &'static dyn Device {
        self.0
    }
}

/// Opens the device of a name.
pub type Open = fn(&str) -> Result<&'static dyn Device, DeviceError>;

static OPEN: OnceLock<Open> = OnceLock::new();

/// Says, once per process and before anything is scored, who opens the devices that `SOMA_DEVICE` names.
pub fn provide(open: Open) {
    // Said again, it is the same.
    let _ = OPEN.set(open);
}

/// What `SOMA_DEVICE` names, right or wrong; none for `cpu` or nothing.
///
/// # Errors
/// When there is no such device.
pub fn named() -> Result<Option<&'static dyn Device>, DeviceError> {
    match std::env::var("SOMA_DEVICE") {
        Ok(name) if !name.is_empty() && name != "cpu" => {
            let open = OPEN.get().ok_or_else(|| {
                let reason =
                    format!("SOMA_DEVICE is '{name}', but this program knows the processor only: unset it");
                DeviceError::Absent(reason)
            })?;
            open(&name).map(Some)
        }
        _ => Ok(None),
    }
}

/// What `SOMA_DEVICE` names, checked once per process.
pub(crate) fn chosen() -> Result<Option<Checked>, BackendError> {
    static CHOSEN: OnceLock<Result<Option<Checked>, BackendError>> = OnceLock::new();
    let choose = || named()?.map(Checked::new).transpose();
    CHOSEN.get_or_init(choose).clone()
}

/// Where scoring runs.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// On these kernels.
    Processor(&'static dyn Kernels),
    /// On this machine.
    Device(&'static dyn Device),
}

impl Place {
    pub(crate) fn pass(
        self,
        model: &Model,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError> {
        match self {
            Self::Processor(kernels) => Ok(forward::findings(kernels, model, chunks, directions)),
            Self::Device(device) => device.pass(model, chunks, directions),
        }
    }
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checked({})", self.0.name())
    }
}
