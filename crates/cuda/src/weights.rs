//! A model's weights in a machine's memory, as kernels read them.

use soma_model::{
    Model,
    device::DeviceError,
    kernels::Rope,
    matrix::{Matrix, PanelValues},
    model::{Linear, Norm},
};

use crate::machine::{Arg, Kernel, Launch, Machine, Memory, Plain};

/// Threads of a block that works on elements.
pub const ELEMENT_THREADS: u32 = 256;
const WHAT: &str = "a model's weights";

/// Weight, in panels of binary32, and bias.
pub struct LinearAt<M: Machine> {
    pub weight: M::Memory,
    /// None starts sums at 0.
    pub bias: Option<M::Memory>,
    pub inputs: i32,
    pub outputs: i32,
}

pub struct NormAt<M: Machine> {
    pub gamma: M::Memory,
    pub beta: M::Memory,
}

pub struct LayerAt<M: Machine> {
    pub norm_1: NormAt<M>,
    pub query: LinearAt<M>,
    pub key: LinearAt<M>,
    pub value: LinearAt<M>,
    pub output: LinearAt<M>,
    pub norm_2: NormAt<M>,
    pub linear_inner: LinearAt<M>,
    pub linear_outer: LinearAt<M>,
}

/// Cosines and sines, `[pair][position]`.
pub struct RopeAt<M: Machine> {
    pub cosines: M::Memory,
    pub sines: M::Memory,
    pub half: i32,
    pub positions: i32,
}

pub struct ModelAt<M: Machine> {
    pub embedding: M::Memory,
    pub layers: Vec<LayerAt<M>>,
    pub final_norm: NormAt<M>,
    pub predictor: LinearAt<M>,
    pub rope: RopeAt<M>,
}

impl<M: Machine> ModelAt<M> {
    /// Copies all of it.
    pub fn place(machine: &M, queue: &M::Queue, model: &Model) -> Result<Self, DeviceError> {
        let linear = |linear: &Linear| LinearAt::place(machine, queue, linear);
        let norm = |norm: &Norm| {
            Ok(NormAt {
                gamma: values(machine, queue, &norm.gamma)?,
                beta: values(machine, queue, &norm.beta)?,
            })
        };
        let layers = model.layers().iter().map(|layer| {
            Ok(LayerAt {
                norm_1: norm(&layer.norm_1)?,
                query: linear(&layer.query)?,
                key: linear(&layer.key)?,
                value: linear(&layer.value)?,
                output: linear(&layer.output)?,
                norm_2: norm(&layer.norm_2)?,
                linear_inner: linear(&layer.linear_inner)?,
                linear_outer: linear(&layer.linear_outer)?,
            })
        });
        let positions = model.architecture().max_seq_len as usize;
        let placed = Self {
            embedding: values(machine, queue, model.embedding())?,
            layers: layers.collect::<Result<_, DeviceError>>()?,
            final_norm: norm(model.final_norm())?,
            predictor: linear(model.predictor())?,
            rope: RopeAt::place(machine, queue, model.rope(), positions)?,
        };
        // Other queues will read it.
        machine.read::<f32>(queue, &placed.embedding, 1)?;
        Ok(placed)
    }
}

impl<M: Machine> LinearAt<M> {
    pub fn place(machine: &M, queue: &M::Queue, linear: &Linear) -> Result<Self, DeviceError> {
        Ok(Self {
            weight: matrix(machine, queue, &linear.weight)?,
            bias: Some(values(machine, queue, &linear.bias)?),
            inputs: int(linear.weight.inputs()),
            outputs: int(linear.weight.outputs()),
        })
    }
}

impl<M: Machine> RopeAt<M> {
    pub fn place(machine: &M, queue: &M::Queue, rope: &Rope, positions: usize) -> Result<Self, DeviceError> {
        let half = rope.half();
        let (mut cosines, mut sines) = (vec![0.0; half * positions], vec![0.0; half * positions]);
        for position in 0..positions {
            let (cosines_at, sines_at) = rope.at(position);
            for pair in 0..half {
                cosines[pair * positions + position] = cosines_at[pair];
                sines[pair * positions + position] = sines_at[pair];
            }
        }
        Ok(Self {
            cosines: values(machine, queue, &cosines)?,
            sines: values(machine, queue, &sines)?,
            half: int(half),
            positions: int(positions),
        })
    }
}

/// Values as they are.
pub fn values<M: Machine, T: Plain>(
    machine: &M,
    queue: &M::Queue,
    values: &[T],
) -> Result<M::Memory, DeviceError> {
    let room = machine.room(WHAT, size_of_val(values))?;
    machine.write(queue, &room, values)?;
    Ok(room)
}

/// A matrix in panels of binary32. Narrow ones travel narrow.
pub fn matrix<M: Machine>(machine: &M, queue: &M::Queue, matrix: &Matrix) -> Result<M::Memory, DeviceError> {
    let widened = |kernel, narrow: &[u16]| {
        let from = values(machine, queue, narrow)?;
        let to = machine.room(WHAT, size_of::<f32>() * narrow.len())?;
        let blocks = narrow.len().div_ceil(ELEMENT_THREADS as usize);
        let launch = Launch {
            kernel,
            grid: [
                u32::try_from(blocks).expect("a matrix is below 2^40 values"),
                1,
                1,
            ],
            threads: ELEMENT_THREADS,
            shared_bytes: 0,
        };
        let count = Arg::Count(narrow.len() as u64);
        let args = [Arg::Address(to.address()), Arg::Address(from.address()), count];
        machine.launch(queue, launch, &args)?;
        Ok(to)
    };
    match matrix.panels() {
        PanelValues::F32(wide) => values(machine, queue, wide),
        PanelValues::Bf16(narrow) => widened(Kernel::WidenBf16, narrow),
        PanelValues::F16(narrow) => widened(Kernel::WidenF16, narrow),
    }
}

/// A dimension, as kernels take it.
///
/// # Panics
/// Beyond 2^31, which no architecture reaches.
pub fn int(value: usize) -> i32 {
    i32::try_from(value).expect("dimensions are below 2^31")
}
