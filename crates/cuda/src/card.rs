//! One machine: lanes that passes and operations run on, and each operation by itself.

use std::sync::{Mutex, PoisonError};

use soma_model::{
    Directions, Model,
    device::{DeviceError, Findings, Unit},
    kernels::{Kernels, Rope},
    matrix::{Matrix, PANEL},
    tokenizer::Chunk,
};
use soma_types::Architecture;

use crate::{
    machine::{Arg, Kernel, Launch, Machine, Memory},
    pass::{Attention, Lane, Room, Run, Span, Then},
    source::Tiles,
    weights::{self, ELEMENT_THREADS, LinearAt, ModelAt, NormAt, RopeAt, int},
};

/// One machine, and lanes that nobody uses now.
pub struct Card<M: Machine> {
    pub machine: M,
    tiles: Tiles,
    lanes: Mutex<Vec<Lane<M>>>,
}

impl<M: Machine> Card<M> {
    /// `tiles` is what its kernels were compiled for.
    pub fn new(machine: M, tiles: Tiles) -> Self {
        Self {
            machine,
            tiles,
            lanes: Mutex::default(),
        }
    }

    /// A model's weights in its memory.
    pub fn place(&self, model: &Model) -> Result<ModelAt<M>, DeviceError> {
        self.with_lane(|lane| ModelAt::place(&self.machine, &lane.queue, model))
    }

    /// A pass of a model that is placed here.
    pub fn pass_of(
        &self,
        model: &ModelAt<M>,
        architecture: &Architecture,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError> {
        self.with_lane(|lane| lane.pass(&self.machine, self.tiles, model, architecture, chunks, directions))
    }

    /// Frees what lanes keep that nobody uses; whether there was any.
    pub fn drop_idle_lanes(&self) -> bool {
        let idle = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        !idle.is_empty()
    }

    /// A lane for the length of `work`. One whose work failed is not used again.
    fn with_lane<T>(
        &self,
        work: impl FnOnce(&mut Lane<M>) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let idle = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lane = idle.map_or_else(|| Lane::new(&self.machine), Ok)?;
        let result = work(&mut lane)?;
        self.lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lane);
        Ok(result)
    }

    /// `work` on rows that become panels: their number, the memory they are in, and the run.
    fn on_panels(
        &self,
        x: &[f32],
        width: usize,
        work: impl FnOnce(&Run<'_, M>, &M::Memory, usize) -> Result<Vec<f32>, DeviceError>,
    ) -> Vec<f32> {
        self.with_lane(|lane| {
            let run = self.run(&lane.queue);
            let (memory, panels) = panels(&run, x, width)?;
            work(&run, &memory, panels)
        })
        .expect(OPERATIONS)
    }

    fn run<'a>(&'a self, queue: &'a M::Queue) -> Run<'a, M> {
        Run {
            machine: &self.machine,
            queue,
            tiles: self.tiles,
        }
    }

    /// A linear map alone, whose output begins as `out`.
    fn map(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>, then: Then) {
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        let result = self.on_panels(x, inputs, |run, x, count| {
            let map = LinearAt {
                weight: weights::matrix(run.machine, run.queue, weight)?,
                bias: bias
                    .map(|bias| weights::values(run.machine, run.queue, bias))
                    .transpose()?,
                inputs: int(inputs),
                outputs: int(outputs),
            };
            let (to, _) = panels(run, out, outputs)?;
            run.linear(&[(&map, &to)], x, count, (then, then), outputs)?;
            rows(run, &to, out.len() / outputs, outputs)
        });
        out.copy_from_slice(&result);
    }

    /// Adds what a kernel sums over the rows of `x`. Its arguments are made of where sums, marks of chunks
    /// out of range, rows and their owners are.
    fn sum(
        &self,
        kernel: Kernel,
        sums: &mut [i64],
        x: &[f32],
        width: usize,
        args: impl FnOnce(Arg, Arg, Arg, Arg) -> Vec<Arg>,
    ) {
        let result = self.with_lane(|lane| {
            let run = self.run(&lane.queue);
            let (machine, queue) = (run.machine, run.queue);
            let (at, count) = panels(&run, x, width)?;
            let owners: Vec<i32> = (0..count)
                .flat_map(|panel| [0, int((x.len() / width - panel * PANEL).min(PANEL))])
                .collect();
            let owners_at = weights::values(machine, queue, &owners)?;
            let sums_at = weights::values(machine, queue, &*sums)?;
            let out_of_range = machine.room("marks", size_of::<u32>())?;
            machine.zero(queue, &out_of_range, size_of::<u32>())?;
            let [sums_arg, out_of_range, at, owners_at] =
                [&sums_at, &out_of_range, &at, &owners_at].map(|memory| Arg::Address(memory.address()));
            run.columns(kernel, count, width, &args(sums_arg, out_of_range, at, owners_at))?;
            machine.read(queue, &sums_at, sums.len())
        });
        sums.copy_from_slice(&result.expect(OPERATIONS));
    }

    /// A kernel on each value of `x`, with more arguments before their number.
    fn elements(&self, kernel: Kernel, x: &mut [f32], y: Option<&[f32]>) {
        let result = self.with_lane(|lane| {
            let (machine, queue) = (&self.machine, &lane.queue);
            let memory = weights::values(machine, queue, x)?;
            let other = y.map(|y| weights::values(machine, queue, y)).transpose()?;
            let mut args = vec![Arg::Address(memory.address())];
            args.extend(other.iter().map(|other| Arg::Address(other.address())));
            args.push(Arg::Int(int(x.len())));
            let launch = Launch {
                kernel,
                grid: [(x.len() as u32).div_ceil(ELEMENT_THREADS), 1, 1],
                threads: ELEMENT_THREADS,
                shared_bytes: 0,
            };
            machine.launch(queue, launch, &args)?;
            machine.read(queue, &memory, x.len())
        });
        x.copy_from_slice(&result.expect(OPERATIONS));
    }
}

/// Operations by themselves are for checks: a device that fails at them is of no use.
const OPERATIONS: &str = "the device does small operations";

/// Rows to panels of rows, and how many.
fn panels<M: Machine>(run: &Run<'_, M>, x: &[f32], width: usize) -> Result<(M::Memory, usize), DeviceError> {
    let count = (x.len() / width).div_ceil(PANEL);
    let from = weights::values(run.machine, run.queue, x)?;
    let to = run
        .machine
        .room("rows", size_of::<f32>() * count * PANEL * width)?;
    let args = [
        Arg::Address(to.address()),
        Arg::Address(from.address()),
        Arg::Int(int(x.len() / width)),
        Arg::Int(int(width)),
    ];
    run.rows(Kernel::ToPanels, count, &args)?;
    // `from` goes when it was read.
    run.machine.read::<f32>(run.queue, &to, 1)?;
    Ok((to, count))
}

/// Panels of rows to rows.
fn rows<M: Machine>(
    run: &Run<'_, M>,
    from: &M::Memory,
    count: usize,
    width: usize,
) -> Result<Vec<f32>, DeviceError> {
    let to = run.machine.room("rows", size_of::<f32>() * count * width)?;
    let args = [
        Arg::Address(to.address()),
        Arg::Address(from.address()),
        Arg::Int(int(count)),
        Arg::Int(int(width)),
    ];
    run.rows(Kernel::ToRows, count.div_ceil(PANEL), &args)?;
    run.machine.read(run.queue, &to, count * width)
}

impl<M: Machine> Unit for Card<M> {
    fn name(&self) -> &str {
        self.machine.name()
    }

    fn kernels(&self) -> &dyn Kernels {
        self
    }

    fn pass(
        &self,
        model: &Model,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError> {
        self.pass_of(&self.place(model)?, model.architecture(), chunks, directions)
    }
}

impl<M: Machine> Kernels for Card<M> {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn linear(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: Option<&[f32]>) {
        self.map(out, x, weight, bias, Then::Write);
    }

    fn linear_gelu(&self, out: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
        self.map(out, x, weight, Some(bias), Then::Gelu);
    }

    fn add_linear(&self, sum: &mut [f32], x: &[f32], weight: &Matrix, bias: &[f32]) {
        self.map(sum, x, weight, Some(bias), Then::Add);
    }

    fn layer_norm(&self, out: &mut [f32], x: &[f32], gamma: &[f32], beta: &[f32]) {
        let width = gamma.len();
        let result = self.on_panels(x, width, |run, x, count| {
            let norm = NormAt {
                gamma: weights::values(run.machine, run.queue, gamma)?,
                beta: weights::values(run.machine, run.queue, beta)?,
            };
            let to = run.machine.room("rows", x.size_bytes())?;
            run.layer_norm(&to, x, &norm, count, width)?;
            rows(run, &to, out.len() / width, width)
        });
        out.copy_from_slice(&result);
    }

    fn gelu(&self, x: &mut [f32]) {
        self.elements(Kernel::Gelu, x, None);
    }

    fn add(&self, x: &mut [f32], y: &[f32]) {
        self.elements(Kernel::Add, x, Some(y));
    }

    fn rope(&self, x: &mut [f32], table: &Rope, heads: usize, first: usize) {
        let width = heads * 2 * table.half();
        let count = x.len() / width;
        let result = self.on_panels(x, width, |run, x, panels| {
            let rope = RopeAt::place(run.machine, run.queue, table, first + count)?;
            // Rows that fill the last panel stand at position 0.
            let mut positions: Vec<u32> = (first as u32..(first + count) as u32).collect();
            positions.resize(panels * PANEL, 0);
            let at = weights::values(run.machine, run.queue, &positions)?;
            run.rope(x, &rope, &at, panels, width)?;
            rows(run, x, count, width)
        });
        x.copy_from_slice(&result);
    }

    fn attention(&self, out: &mut [f32], q: &[f32], k: &[f32], v: &[f32], heads: usize, width: usize) {
        let (queries, keys, head_dim) = (q.len() / width, k.len() / width, width / heads);
        let result = self.on_panels(q, width, |run, q, query_panels| {
            let (k, value_panels) = panels(run, k, width)?;
            let v = by_head(v, value_panels * PANEL, heads, head_dim);
            let v = weights::values(run.machine, run.queue, &v)?;
            let to = run.machine.room("rows", q.size_bytes())?;
            let spans = [Span {
                query_panel: 0,
                key_panel: 0,
                queries,
                keys,
            }];
            let mut rooms = (Room::new(), Room::new(), Room::new());
            let plan = Attention::plan(
                run,
                &spans,
                (heads, width),
                (query_panels, value_panels),
                (&mut rooms.0, &mut rooms.1, &mut rooms.2),
            )?;
            run.attention(&plan, &to, [q, &k, &v])?;
            rows(run, &to, queries, width)
        });
        out.copy_from_slice(&result);
    }

    fn token_losses(&self, out: &mut [f32], logits: &mut [f32], targets: &[u16]) {
        let vocab = logits.len() / targets.len().max(1);
        let result = self.on_panels(logits, vocab, |run, logits, panels| {
            let mut targets: Vec<u32> = targets.iter().map(|target| u32::from(*target)).collect();
            targets.resize(panels * PANEL, 0);
            let at = weights::values(run.machine, run.queue, &targets)?;
            let to = run.machine.room("losses", size_of::<f32>() * panels * PANEL)?;
            let args = [
                Arg::Address(to.address()),
                Arg::Address(logits.address()),
                Arg::Address(at.address()),
                Arg::Int(int(vocab)),
            ];
            run.rows(Kernel::TokenLosses, panels, &args)?;
            run.machine.read(run.queue, &to, panels * PANEL)
        });
        out.copy_from_slice(&result[..out.len()]);
    }

    fn characteristic(&self, sums: &mut [i64], projections: &[f32], directions: usize) {
        let args = |sums, _, x, owners| vec![sums, x, owners, Arg::Int(int(directions))];
        self.sum(Kernel::Characteristic, sums, projections, directions, args);
    }

    fn sum_rows(&self, sums: &mut [i64], x: &[f32]) {
        let width = sums.len();
        let args = |sums, out_of_range, x, owners| vec![sums, out_of_range, x, owners, Arg::Int(int(width))];
        self.sum(Kernel::SumRows, sums, x, width, args);
    }
}

/// `[head][row][column]` of `rows` rows, each head's columns filled up to whole panels.
fn by_head(v: &[f32], rows: usize, heads: usize, head_dim: usize) -> Vec<f32> {
    let padded = head_dim.next_multiple_of(PANEL);
    let mut all = vec![0.0; heads * rows * padded];
    for (row, values) in v.chunks_exact(heads * head_dim).enumerate() {
        for (head, values) in values.chunks_exact(head_dim).enumerate() {
            all[(head * rows + row) * padded..][..head_dim].copy_from_slice(values);
        }
    }
    all
}
