//! A GPU, through NVIDIA's driver and run-time compiler. Both are looked for when a device is opened, so the
//! same program runs where there is none.
#![allow(unsafe_code)] // the driver's functions take addresses

use std::{
    ffi::{CStr, CString},
    sync::Arc,
};

use cudarc::{
    driver::{
        DriverError, result,
        sys::{self, CUdevice_attribute, CUfunction_attribute_enum, CUresult},
    },
    nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts},
};
use soma_model::device::DeviceError;

use crate::{
    machine::{Arg, Kernel, Launch, Machine, Memory, Plain},
    source::{SOURCE, Tiles},
};

/// One GPU.
pub struct Driver {
    name: String,
    context: Arc<Context>,
    functions: [sys::CUfunction; Kernel::ALL.len()],
}

// SAFETY: functions belong to the context, which may be used from any thread that makes it current.
unsafe impl Send for Driver {}
// SAFETY: as above; launches take no lock of ours.
unsafe impl Sync for Driver {}

/// The device's primary context, kept as long as anything of it.
struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
    module: sys::CUmodule,
}

// SAFETY: the driver's contexts and modules may be used from any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: nothing of the module or the context is left: all of it holds this.
        unsafe {
            let _ = result::ctx::set_current(self.context);
            let _ = result::module::unload(self.module);
            let _ = result::primary_ctx::release(self.device);
        }
    }
}

/// Work in order.
pub struct Queue {
    stream: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: a stream may be used from any thread, by one at a time, which `&Queue` of a `!Sync` type assures.
unsafe impl Send for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the stream is ours; the driver lets its work end before it goes.
        unsafe {
            let _ = result::ctx::set_current(self.context.context);
            let _ = result::stream::destroy(self.stream);
        }
    }
}

/// Memory of the GPU.
pub struct Room {
    address: sys::CUdeviceptr,
    bytes: usize,
    context: Arc<Context>,
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the memory is ours; freeing waits for work that uses it.
        unsafe {
            let _ = result::ctx::set_current(self.context.context);
            let _ = result::free_sync(self.address);
        }
    }
}

impl Memory for Room {
    fn address(&self) -> u64 {
        self.address
    }

    fn size_bytes(&self) -> usize {
        self.bytes
    }
}

/// How many GPUs there are.
///
/// # Errors
/// When there is no driver, or it does not start.
pub fn count() -> Result<usize, DeviceError> {
    // SAFETY: looks whether a library can be loaded.
    if !unsafe { sys::is_culib_present() } {
        return Err(absent("the NVIDIA driver (libcuda) is not on this machine"));
    }
    let failed = |error: DriverError| absent(format!("the NVIDIA driver does not start: {}", reason(error)));
    result::init().map_err(failed)?;
    let count = result::device::get_count().map_err(failed)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

impl Driver {
    /// The GPU of this number, with the kernels compiled for it.
    ///
    /// # Errors
    /// When it is too old, its driver or the compiler is missing, or the driver fails.
    pub fn open(index: usize, tiles: Tiles) -> Result<Self, DeviceError> {
        let failed = |error| absent(format!("GPU {index} cannot be used: {}", reason(error)));
        let index_c = i32::try_from(index).map_err(|_| absent(format!("there is no GPU {index}")))?;
        let device = result::device::get(index_c).map_err(failed)?;
        let name = result::device::get_name(device).map_err(failed)?;
        let attribute = |attribute| {
            // SAFETY: the device is one that the driver gave.
            unsafe { result::device::get_attribute(device, attribute) }.map_err(failed)
        };
        let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        if major < 8 {
            return Err(absent(format!(
                "{name} has compute capability {major}.{minor}: exact scoring needs 8.0 (Ampere) or later"
            )));
        }
        let code = compile(&format!("sm_{major}{minor}"), tiles)?;
        // SAFETY: the device is the driver's, the image outlives its loading, names are of the source.
        unsafe {
            let context = result::primary_ctx::retain(device).map_err(failed)?;
            result::ctx::set_current(context).map_err(failed)?;
            let module = result::module::load_data(code.as_ptr().cast()).map_err(failed)?;
            let context = Arc::new(Context {
                device,
                context,
                module,
            });
            let mut functions = [std::ptr::null_mut(); Kernel::ALL.len()];
            for kernel in Kernel::ALL {
                let symbol = CString::new(kernel.name()).expect("a name has no zero byte");
                let function = result::module::get_function(module, symbol).map_err(failed)?;
                functions[kernel as usize] = function;
            }
            for kernel in [Kernel::Linear, Kernel::Scores, Kernel::Values] {
                result::function::set_function_attribute(
                    functions[kernel as usize],
                    CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    i32::try_from(tiles.shared_bytes()).expect("kilobytes"),
                )
                .map_err(failed)?;
            }
            Ok(Self {
                name,
                context,
                functions,
            })
        }
    }

    fn bind(&self) -> Result<(), DeviceError> {
        // SAFETY: the context lives as long as this.
        unsafe { result::ctx::set_current(self.context.context) }.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: DriverError) -> DeviceError {
        DeviceError::Failed {
            device: self.name.clone(),
            reason: reason(error),
        }
    }
}

impl Machine for Driver {
    type Memory = Room;
    type Queue = Queue;

    fn name(&self) -> &str {
        &self.name
    }

    fn free_bytes(&self) -> Result<usize, DeviceError> {
        self.bind()?;
        let (free, _) = result::mem_get_info().map_err(|error| self.failed(error))?;
        Ok(free)
    }

    fn queue(&self) -> Result<Queue, DeviceError> {
        self.bind()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        Ok(Queue {
            stream: stream.map_err(|error| self.failed(error))?,
            context: Arc::clone(&self.context),
        })
    }

    fn room(&self, what: &'static str, bytes: usize) -> Result<Room, DeviceError> {
        self.bind()?;
        // SAFETY: what comes back is a fresh allocation or an error.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|error| match error.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => DeviceError::Full {
                device: self.name.clone(),
                what,
                bytes: bytes as u64,
            },
            _ => self.failed(error),
        })?;
        Ok(Room {
            address,
            bytes,
            context: Arc::clone(&self.context),
        })
    }

    fn write<T: Plain>(&self, queue: &Queue, to: &Room, values: &[T]) -> Result<(), DeviceError> {
        assert!(size_of_val(values) <= to.bytes, "what is written fits");
        self.bind()?;
        // SAFETY: the destination has room, and the wait ends before `values` go: whether the driver has
        // copied them when the first call returns depends on the machine.
        unsafe {
            result::memcpy_htod_async(to.address, values, queue.stream)
                .and_then(|()| result::stream::synchronize(queue.stream))
        }
        .map_err(|error| self.failed(error))
    }

    fn zero(&self, queue: &Queue, of: &Room, bytes: usize) -> Result<(), DeviceError> {
        assert!(bytes <= of.bytes, "what is zeroed is there");
        self.bind()?;
        // SAFETY: the bytes are the room's.
        unsafe { result::memset_d8_async(of.address, 0, bytes, queue.stream) }
            .map_err(|error| self.failed(error))
    }

    fn read<T: Plain>(&self, queue: &Queue, from: &Room, count: usize) -> Result<Vec<T>, DeviceError> {
        let mut values = vec![T::default(); count];
        assert!(size_of_val(&values[..]) <= from.bytes, "what is read is there");
        self.bind()?;
        // SAFETY: both sides have that many bytes, any of which make a value, and the wait ends before
        // `values` moves.
        unsafe {
            result::memcpy_dtoh_async(&mut values, from.address, queue.stream)
                .and_then(|()| result::stream::synchronize(queue.stream))
        }
        .map_err(|error| self.failed(error))?;
        Ok(values)
    }

    fn launch(&self, queue: &Queue, launch: Launch, args: &[Arg]) -> Result<(), DeviceError> {
        self.bind()?;
        let mut places: Vec<_> = args.iter().map(Arg::place).collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the engine gives each kernel the arguments that its source names, over memory that it
        // holds.
        unsafe {
            result::launch_kernel(
                self.functions[launch.kernel as usize],
                (x, y, z),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                queue.stream,
                &mut places,
            )
        }
        .map_err(|error| self.failed(error))
    }
}

/// The kernels in the driver's assembly.
fn compile(target: &str, tiles: Tiles) -> Result<Vec<u8>, DeviceError> {
    // SAFETY: looks whether a library can be loaded.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(absent(
            "the CUDA run-time compiler (libnvrtc) is not on this machine: install the CUDA toolkit's nvrtc, or put its \
             folder in LD_LIBRARY_PATH",
        ));
    }
    let mut options = vec![
        format!("--gpu-architecture={}", target.replace("sm_", "compute_")),
        "--fmad=false".to_owned(),
        "--ftz=false".to_owned(),
        "--prec-div=true".to_owned(),
        "--prec-sqrt=true".to_owned(),
        "--std=c++17".to_owned(),
    ];
    options.extend(tiles.definitions());
    let options = CompileOptions {
        options,
        ..CompileOptions::default()
    };
    let compiled = compile_ptx_with_opts(SOURCE, options).map_err(|error| match error {
        CompileError::CompileError { log, .. } => absent(format!(
            "the CUDA run-time compiler refuses the kernels: {}",
            log.to_string_lossy().lines().next().unwrap_or_default()
        )),
        error => absent(format!("the CUDA run-time compiler fails: {error:?}")),
    })?;
    Ok(compiled.to_src().into_bytes().into_iter().chain([0]).collect())
}

fn absent(reason: impl Into<String>) -> DeviceError {
    DeviceError::Absent(format!(
        "no GPU can score: {}; unset SOMA_DEVICE to score on the processor",
        reason.into()
    ))
}

fn reason(error: DriverError) -> String {
    let text = |text: Result<&CStr, _>| text.map(|text| text.to_string_lossy().into_owned());
    text(error.error_string()).unwrap_or_else(|_: DriverError| format!("{:?}", error.0))
}
