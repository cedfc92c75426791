//! The native half of `soma_sdk`. Private: what people use is the Python package around it.
//!
//! - [`operation`]: Rust futures that Python awaits: one runtime, cancellation, forks, panics, the end of the
//!   process.
//! - [`failure`]: what can go wrong, as the package's exceptions.
//! - [`keys`], [`weights`]: keys, and the encrypted containers of weights.
//! - [`connection`]: one network: what is read from it. [`deeds`], [`publishing`], [`revealing`]: what is
//!   signed for it.
//! - [`scoring`]: exact scores on this machine.
//!
//! Values cross as JSON, in the form that the HTTP interface documents; bytes cross as bytes.
#![forbid(unsafe_code)]
#![allow(clippy::needless_pass_by_value, reason = "pyo3 hands arguments over by value")]

mod connection;
mod deeds;
mod failure;
mod keys;
mod operation;
mod publishing;
mod revealing;
mod scoring;
mod weights;

use pyo3::prelude::*;
use soma_types::Rejection;

/// Made by maturin; imported by `soma_sdk` alone.
#[pymodule(gil_used = false)]
fn _soma_sdk(module: &Bound<'_, PyModule>) -> PyResult<()> {
    soma_model::device::provide(soma_cuda::open);
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("DEBUG", cfg!(debug_assertions))?;
    module.add("REJECTIONS", Rejection::GUIDE.to_vec())?;
    module.add_class::<keys::Keypair>()?;
    module.add_class::<keys::DecryptionKey>()?;
    module.add_class::<connection::Client>()?;
    module.add_class::<operation::Operation>()?;
    module.add_function(wrap_pyfunction!(keys::verify, module)?)?;
    module.add_function(wrap_pyfunction!(weights::encrypt_weights, module)?)?;
    module.add_function(wrap_pyfunction!(weights::decrypt_weights, module)?)?;
    module.add_function(wrap_pyfunction!(weights::commitment, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::pay, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::add_stake, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::withdraw_stake, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::set_model_commission, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::deactivate_model, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::submit_data, module)?)?;
    module.add_function(wrap_pyfunction!(deeds::reveal_submissions, module)?)?;
    module.add_function(wrap_pyfunction!(publishing::commit_model, module)?)?;
    module.add_function(wrap_pyfunction!(revealing::reveal_model, module)?)?;
    module.add_function(wrap_pyfunction!(revealing::pending_models, module)?)?;
    module.add_function(wrap_pyfunction!(scoring::score, module)?)?;
    module.add_function(wrap_pyfunction!(scoring::embedding_q15, module)?)?;
    module.add_function(wrap_pyfunction!(scoring::architecture, module)?)?;
    module.add_function(wrap_pyfunction!(operation::shutdown, module)?)?;
    #[cfg(debug_assertions)]
    module.add_function(wrap_pyfunction!(operation::panic_on_purpose, module)?)?;
    Ok(())
}
