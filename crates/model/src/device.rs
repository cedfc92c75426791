//! Machines beside the processor that score exactly: weights stay in their memory, whole passes run there.
//!
//! A [`Device`] is made of [`Unit`]s, each seen from two sides. Its [`kernels`](Unit::kernels) are the
//! operations one by one, slow because everything travels, so that the conformance suite can be run on it;
//! its [`pass`](Unit::pass) is what scoring uses. Both are held against the reference on every unit before a
//! [`Checked`] device exists, and only that scores.

pub(crate) mod error;
pub(crate) mod findings;

use std::{env::VarError, sync::OnceLock};

use soma_types::{Architecture, Seed};

use crate::{
    forward,
    kernels::{BackendError, Kernels, first_difference, scalar::Scalar},
    model::Model,
    sigreg::Directions,
    tokenizer::{Chunk, chunks},
};

pub use self::{error::DeviceError, findings::Findings};

/// What scores beside the processor: machines of one kind.
pub trait Device: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Its machines. A pass may run on any.
    fn units(&self) -> Vec<&dyn Unit>;

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

/// One machine of a device, with memory of its own.
pub trait Unit: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Its operations, one by one.
    fn kernels(&self) -> &dyn Kernels;

    /// A [`Device::pass`] on this machine, which keeps nothing of the model.
    ///
    /// # Errors
    /// When it has no room, or fails.
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
    /// Holds every operation and whole passes of each machine against the reference.
    ///
    /// # Errors
    /// Names the machine and the first operation that differs, or says why it cannot be used.
    pub fn new(device: &'static dyn Device) -> Result<Self, BackendError> {
        let passes = [ODD, LONG].map(Pass::of);
        for unit in device.units() {
            let differs = |operation| BackendError::DeviceDiffers {
                device: unit.name().to_owned(),
                operation,
            };
            // A machine that has no room or fails says so in a pass; operations by themselves panic.
            for pass in &passes {
                if !pass.matches(unit)? {
                    return Err(differs("a whole pass"));
                }
            }
            if let Some(operation) = first_difference(unit.kernels())? {
                return Err(differs(operation));
            }
        }
        Ok(Self(device))
    }

    /// The device.
    #[must_use]
    pub const fn device(self) -> &'static dyn Device {
        self.0
    }
}

/// Sizes that fill no tile.
const ODD: Architecture = Architecture {
    layers: 2,
    embedding_dim: 36,
    heads: 3,
    ffn_dim: 50,
    max_seq_len: 70,
    rope_wavelength: 10_000,
};
/// Keys, and dimensions of a head, that take two tiles and more.
const LONG: Architecture = Architecture {
    layers: 1,
    embedding_dim: 140,
    heads: 1,
    ffn_dim: 33,
    max_seq_len: 200,
    rope_wavelength: 10_000,
};

/// A pass of a random model, and what the reference finds.
struct Pass {
    model: Model,
    directions: Directions,
    text: Vec<u8>,
    expected: Vec<Findings>,
}

impl Pass {
    fn of(architecture: Architecture) -> Self {
        let model = Model::random(&architecture, 13);
        let directions = Directions::draw(&Seed([13; 32]), &architecture);
        let text: Vec<u8> = (0..=u8::MAX).collect();
        let chunks: Vec<_> = chunks(&text, architecture.max_seq_len as usize).collect();
        let expected = forward::findings(&Scalar, &model, &chunks, Some(&directions));
        Self {
            model,
            directions,
            text,
            expected,
        }
    }

    fn matches(&self, unit: &dyn Unit) -> Result<bool, DeviceError> {
        let length = self.model.architecture().max_seq_len as usize;
        let chunks: Vec<_> = chunks(&self.text, length).collect();
        Ok(unit.pass(&self.model, &chunks, Some(&self.directions))? == self.expected)
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
    let Some(name) = wanted(std::env::var("SOMA_DEVICE")) else {
        return Ok(None);
    };
    let open = OPEN.get().ok_or_else(|| {
        DeviceError::Absent(format!(
            "SOMA_DEVICE is '{name}', but this program knows the processor only: unset it"
        ))
    })?;
    open(&name).map(Some)
}

/// The device that a variable asks for. What is no text is no device's name, and must not mean the processor.
fn wanted(variable: Result<String, VarError>) -> Option<String> {
    match variable {
        Err(VarError::NotPresent) => None,
        Err(VarError::NotUnicode(name)) => Some(name.to_string_lossy().into_owned()),
        Ok(name) => Some(name).filter(|name| !name.is_empty() && name != "cpu"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_and_cpu_mean_the_processor() {
        for name in ["", "cpu"] {
            assert_eq!(wanted(Ok(name.to_owned())), None);
        }
        assert_eq!(wanted(Err(VarError::NotPresent)), None);
        assert_eq!(wanted(Ok("cuda".to_owned())).as_deref(), Some("cuda"));
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt as _;
            let name = std::ffi::OsString::from_vec(b"cuda\xff".to_vec());
            assert!(wanted(Err(VarError::NotUnicode(name))).is_some());
        }
    }
}
