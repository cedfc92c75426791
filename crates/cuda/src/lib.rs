//! Exact scoring on NVIDIA GPUs: the bits of the processor, from kernels in CUDA C++ that are compiled when a
//! device is opened (docs/scoring.md).
//!
//! | file | holds |
//! |---|---|
//! | `kernels/` | the kernels: arithmetic, matrix products in tiles, rows, sums |
//! | `source` | their text, and the shape of tiles |
//! | `machine` | what is asked of a machine: memory, queues, launches |
//! | `driver` | a GPU as one |
//! | `weights`, `pass` | a model in a machine's memory, and the forward pass on it |
//! | `card` | one machine: passes on lanes, each operation by itself |
//! | `engine` | machines as a [`Device`] |
//!
//! Nothing here decides whether a device is exact: [`Checked`](soma_model::device::Checked) does, before it
//! scores.
//!
//! ```
//! use soma_model::device::{Checked, Device as _};
//!
//! // Where there is no GPU, the error says what is missing.
//! match soma_cuda::open("cuda") {
//!     Ok(device) => println!("{} scores: {:?}", device.name(), Checked::new(device)),
//!     Err(error) => println!("{error}"),
//! }
//! ```

mod card;
mod driver;
mod engine;
#[cfg(test)]
mod host;
mod machine;
mod pass;
mod source;
#[cfg(test)]
mod tests;
mod weights;

use std::sync::OnceLock;

use soma_model::device::{Device, DeviceError};

pub use self::{driver::Driver, engine::Engine, source::Tiles};

/// Opens what `SOMA_DEVICE` names: `cuda`, all GPUs, or `cuda:N`, the one of that number. Once per process.
///
/// # Errors
/// When the name is another, or there is no GPU that can be used.
pub fn open(name: &str) -> Result<&'static dyn Device, DeviceError> {
    static OPENED: OnceLock<Result<Engine<Driver>, DeviceError>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        let indices = indices(name)?;
        let count = driver::count()?;
        let indices = indices.map_or_else(|| (0..count).collect(), |index| vec![index]);
        if indices.is_empty() || indices.iter().any(|index| *index >= count) {
            return Err(DeviceError::Absent(format!(
                "SOMA_DEVICE is '{name}', and there are {count} GPUs: unset it to score on the processor"
            )));
        }
        let open = |index| Driver::open(index, Tiles::BEST);
        let cards = indices.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Engine::new(cards, Tiles::BEST))
    });
    match opened {
        Ok(engine) => Ok(engine),
        Err(error) => Err(error.clone()),
    }
}

/// The GPU that a name means; none for all.
fn indices(name: &str) -> Result<Option<usize>, DeviceError> {
    let number = match name.strip_prefix("cuda") {
        Some("") => return Ok(None),
        Some(rest) => rest
            .strip_prefix(':')
            .filter(|number| !number.starts_with('+'))
            .and_then(|number| number.parse().ok()),
        None => None,
    };
    number.map(Some).ok_or_else(|| {
        DeviceError::Absent(format!(
            "SOMA_DEVICE is '{name}': write cpu, cuda or cuda:N, or unset it"
        ))
    })
}
