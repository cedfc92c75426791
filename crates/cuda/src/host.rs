//! A processor that plays a GPU, for tests: the kernels compiled by the system's C++ compiler, memory in
//! vectors.
#![allow(unsafe_code)] // a library is loaded, and its memory is ours by address

use std::{
    ffi::{CString, c_char, c_int, c_uint, c_void},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use libloading::Library;
use soma_model::device::DeviceError;

use crate::{
    machine::{Arg, Launch, Machine, Memory, Plain},
    source::Tiles,
};

type HostLaunch = unsafe extern "C" fn(*const c_char, *const c_uint, c_uint, *mut *mut c_void) -> c_int;

/// The player.
pub struct Host {
    library: Library,
    /// Its fibers are of one launch at a time.
    launching: Mutex<()>,
    /// Bytes that are left to take.
    left: Arc<AtomicUsize>,
}

/// Memory of it, in words of 16 bytes as the copies ask for.
pub struct Words {
    address: u64,
    bytes: usize,
    left: Arc<AtomicUsize>,
}

impl Drop for Words {
    fn drop(&mut self) {
        self.left.fetch_add(self.bytes, Ordering::Relaxed);
        // SAFETY: made by `room` from a boxed slice of that many words.
        drop(unsafe {
            Box::from_raw(std::ptr::slice_from_raw_parts_mut(
                self.address as *mut u128,
                words(self.bytes),
            ))
        });
    }
}

fn words(bytes: usize) -> usize {
    bytes.div_ceil(size_of::<u128>()).max(1)
}

impl Memory for Words {
    fn address(&self) -> u64 {
        self.address
    }

    fn size_bytes(&self) -> usize {
        self.bytes
    }
}

impl Host {
    /// With kernels of these tiles, and `bytes` of memory.
    pub fn new(tiles: Tiles, bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = compile(folder.path(), tiles);
        // SAFETY: the library is the one that was built from our kernels, and runs nothing when it is loaded.
        let library = unsafe { Library::new(library) }.expect("the library loads");
        Self {
            library,
            launching: Mutex::default(),
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }
}

fn compile(folder: &Path, tiles: Tiles) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/host.cpp");
    let library = folder.join("kernels.so");
    let output = Command::new("c++")
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC"])
        .args(["-Wall", "-Werror", "-Wno-unknown-pragmas"])
        .args(tiles.definitions())
        .arg(source)
        .arg("-o")
        .arg(&library)
        .output()
        .expect("a C++ compiler called c++ (Debian: apt-get install g++)");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    library
}

impl Machine for Host {
    type Memory = Words;
    type Queue = ();

    fn name(&self) -> &str {
        "a processor that plays a GPU"
    }

    fn free_bytes(&self) -> Result<usize, DeviceError> {
        Ok(self.left.load(Ordering::Relaxed))
    }

    fn queue(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn room(&self, what: &'static str, bytes: usize) -> Result<Words, DeviceError> {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_err(|_| DeviceError::Full {
            device: self.name().to_owned(),
            what,
            bytes: bytes as u64,
        })?;
        // What nobody wrote is seen: a NaN.
        let memory = vec![u128::MAX; words(bytes)].into_boxed_slice();
        Ok(Words {
            address: Box::into_raw(memory).cast::<u128>() as u64,
            bytes,
            left: Arc::clone(&self.left),
        })
    }

    fn write<T: Plain>(&self, (): &(), to: &Words, values: &[T]) -> Result<(), DeviceError> {
        assert!(size_of_val(values) <= to.bytes, "what is written fits");
        // SAFETY: both sides have that many bytes, and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to.address as *mut T, values.len()) };
        Ok(())
    }

    fn zero(&self, (): &(), of: &Words, bytes: usize) -> Result<(), DeviceError> {
        assert!(bytes <= of.bytes, "what is zeroed is there");
        // SAFETY: the bytes are the memory's.
        unsafe { std::ptr::write_bytes(of.address as *mut u8, 0, bytes) };
        Ok(())
    }

    fn read<T: Plain>(&self, (): &(), from: &Words, count: usize) -> Result<Vec<T>, DeviceError> {
        let mut values = vec![T::default(); count];
        assert!(size_of_val(&values[..]) <= from.bytes, "what is read is there");
        // SAFETY: both sides have that many bytes, any of which make a value.
        unsafe { std::ptr::copy_nonoverlapping(from.address as *const T, values.as_mut_ptr(), count) };
        Ok(values)
    }

    fn launch(&self, (): &(), launch: Launch, args: &[Arg]) -> Result<(), DeviceError> {
        let name = CString::new(launch.kernel.name()).unwrap();
        let mut places: Vec<_> = args.iter().map(Arg::place).collect();
        let _one = self.launching.lock().unwrap();
        // SAFETY: the engine gives each kernel the arguments that its source names, over memory that it
        // holds.
        let found = unsafe {
            let entry = self.library.get::<HostLaunch>(b"host_launch").unwrap();
            entry(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.threads,
                places.as_mut_ptr(),
            )
        };
        assert_eq!(found, 0, "there is no kernel {}", launch.kernel.name());
        Ok(())
    }
}
