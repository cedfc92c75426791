//! What the engine asks of a machine: memory, and kernels that run in order on a queue.
//!
//! Two machines answer: the driver of a GPU, and, for tests, a processor that plays one with the same
//! kernels.

use std::ffi::c_void;

use soma_model::device::DeviceError;

/// A kernel, by the name it has in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kernel {
    Linear,
    Scores,
    Values,
    Embed,
    LayerNorm,
    Rope,
    Softmax,
    TokenLosses,
    ToPanels,
    ToRows,
    SumRows,
    Characteristic,
    Gelu,
    Add,
    WidenBf16,
    WidenF16,
}

impl Kernel {
    /// All of them, in their order.
    pub const ALL: [Self; 16] = [
        Self::Linear,
        Self::Scores,
        Self::Values,
        Self::Embed,
        Self::LayerNorm,
        Self::Rope,
        Self::Softmax,
        Self::TokenLosses,
        Self::ToPanels,
        Self::ToRows,
        Self::SumRows,
        Self::Characteristic,
        Self::Gelu,
        Self::Add,
        Self::WidenBf16,
        Self::WidenF16,
    ];

    /// Its name in the source.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Scores => "scores",
            Self::Values => "values",
            Self::Embed => "embed",
            Self::LayerNorm => "layer_norm",
            Self::Rope => "rope",
            Self::Softmax => "softmax",
            Self::TokenLosses => "token_losses",
            Self::ToPanels => "to_panels",
            Self::ToRows => "to_rows",
            Self::SumRows => "sum_rows",
            Self::Characteristic => "characteristic",
            Self::Gelu => "gelu",
            Self::Add => "add",
            Self::WidenBf16 => "widen_bf16",
            Self::WidenF16 => "widen_f16",
        }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg {
    /// Where memory of the machine begins; 0 for none.
    Address(u64),
    /// An `int`.
    Int(i32),
    /// A `float`.
    Float(f32),
    /// A count of 64 bits.
    Count(u64),
}

impl Arg {
    /// What a launch takes: where the value stands.
    pub const fn place(&self) -> *mut c_void {
        match self {
            Self::Address(value) | Self::Count(value) => std::ptr::from_ref(value) as *mut c_void,
            Self::Int(value) => std::ptr::from_ref(value) as *mut c_void,
            Self::Float(value) => std::ptr::from_ref(value) as *mut c_void,
        }
    }
}

/// How a kernel is started.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// What runs.
    pub kernel: Kernel,
    /// Blocks in x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of shared memory of a block.
    pub shared_bytes: u32,
}

/// Values that travel as they are.
pub trait Plain: Copy + Default + 'static {}

impl Plain for f32 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i32 {}
impl Plain for i64 {}

/// Memory of a machine, freed when dropped.
pub trait Memory: Send + Sync + 'static {
    /// Where it begins.
    fn address(&self) -> u64;
    /// Its bytes.
    fn size_bytes(&self) -> usize;
}

/// A machine.
pub trait Machine: Send + Sync + 'static {
    /// Its memory.
    type Memory: Memory;
    /// Work in order. Work of two queues may run at once.
    type Queue: Send + 'static;

    /// What it is called.
    fn name(&self) -> &str;

    /// Memory that nothing has.
    fn free_bytes(&self) -> Result<usize, DeviceError>;

    /// A queue of its own.
    fn queue(&self) -> Result<Self::Queue, DeviceError>;

    /// Room for `bytes`, for `what`; its content is anything.
    fn room(&self, what: &'static str, bytes: usize) -> Result<Self::Memory, DeviceError>;

    /// Copies `values` to the beginning of `to`, before what is queued next.
    fn write<T: Plain>(
        &self,
        queue: &Self::Queue,
        to: &Self::Memory,
        values: &[T],
    ) -> Result<(), DeviceError>;

    /// Makes the first `bytes` of `of` zeros.
    fn zero(&self, queue: &Self::Queue, of: &Self::Memory, bytes: usize) -> Result<(), DeviceError>;

    /// The first values of `from`, after all that is queued.
    fn read<T: Plain>(
        &self,
        queue: &Self::Queue,
        from: &Self::Memory,
        count: usize,
    ) -> Result<Vec<T>, DeviceError>;

    /// Queues a kernel.
    fn launch(&self, queue: &Self::Queue, launch: Launch, args: &[Arg]) -> Result<(), DeviceError>;
}
