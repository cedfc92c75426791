//! The forward pass of several chunks on a machine, and the sums that scoring needs of it.
//!
//! Rows lie in panels of 32, and a chunk begins at a panel of its own, so rows after its end are computed and
//! never looked at: attention is causal, and sums know how many rows are theirs.

use soma_model::{
    Directions,
    device::{DeviceError, Findings},
    kernels::POINTS,
    matrix::PANEL,
    tokenizer::Chunk,
};
use soma_types::{Architecture, architecture::VOCAB};

use crate::{
    machine::{Arg, Kernel, Launch, Machine, Memory, Plain},
    source::Tiles,
    weights::{self, ELEMENT_THREADS, LinearAt, ModelAt, NormAt, RopeAt, int},
};

/// Threads of a block that works on a panel of rows.
const ROW_THREADS: u32 = (PANEL * PANEL) as u32;
/// Shared memory of such a block where lanes fold.
const FOLD_BYTES: u32 = ROW_THREADS * size_of::<f32>() as u32;
/// Scores that are kept at once: heads follow one another where all of them would take more. In tests they
/// do so from a few panels on.
const SCORES_BYTES_MAX: usize = if cfg!(test) { 1 << 14 } else { 1 << 30 };

/// What a linear map does with its result.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Then {
    Write = 0,
    Gelu = 1,
    Add = 2,
    /// `[head][row][column]`, for attention.
    ByHead = 3,
}

/// Rows that attend to one another, as the kernels read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First panel of the queries.
    pub query_panel: usize,
    /// First panel of the keys and values.
    pub key_panel: usize,
    /// Queries: the last of the positions.
    pub queries: usize,
    /// Keys, from position 0 on.
    pub keys: usize,
}

impl Span {
    /// Values of its scores in one head.
    fn scores(&self) -> usize {
        self.queries.div_ceil(PANEL) * self.keys.div_ceil(PANEL) * PANEL * PANEL
    }
}

/// Memory that grows when more is asked of it.
pub struct Room<M: Machine> {
    memory: Option<M::Memory>,
}

impl<M: Machine> Room<M> {
    pub const fn new() -> Self {
        Self { memory: None }
    }

    /// At least `bytes`.
    pub fn of(&mut self, machine: &M, bytes: usize) -> Result<&M::Memory, DeviceError> {
        if self
            .memory
            .as_ref()
            .is_none_or(|memory| memory.size_bytes() < bytes)
        {
            // What was there goes first.
            self.memory = None;
            self.memory = Some(machine.room("what a pass computes", bytes)?);
        }
        Ok(self.memory.as_ref().expect("made above"))
    }
}

/// A queue, and the memory of what runs on it.
pub struct Lane<M: Machine> {
    pub queue: M::Queue,
    rooms: Rooms<M>,
}

struct Rooms<M: Machine> {
    tokens: Room<M>,
    positions: Room<M>,
    targets: Room<M>,
    spans: Room<M>,
    owners: Room<M>,
    x: Room<M>,
    normed: Room<M>,
    q: Room<M>,
    k: Room<M>,
    v: Room<M>,
    inner: Room<M>,
    scores: Room<M>,
    totals: Room<M>,
    losses: Room<M>,
    representations: Room<M>,
    projections: Room<M>,
    characteristic: Room<M>,
    out_of_range: Room<M>,
}

impl<M: Machine> Lane<M> {
    pub fn new(machine: &M) -> Result<Self, DeviceError> {
        let room = Room::new;
        Ok(Self {
            queue: machine.queue()?,
            rooms: Rooms {
                tokens: room(),
                positions: room(),
                targets: room(),
                spans: room(),
                owners: room(),
                x: room(),
                normed: room(),
                q: room(),
                k: room(),
                v: room(),
                inner: room(),
                scores: room(),
                totals: room(),
                losses: room(),
                representations: room(),
                projections: room(),
                characteristic: room(),
                out_of_range: room(),
            },
        })
    }
}

/// Bytes that a row of a pass takes, but for scores.
pub fn row_bytes(architecture: &Architecture) -> usize {
    let (width, ffn) = (architecture.embedding_dim as usize, architecture.ffn_dim as usize);
    let by_head = width.div_ceil(PANEL) * PANEL + architecture.heads as usize * PANEL;
    size_of::<f32>() * (5 * width + by_head + ffn.max(VOCAB))
}

/// How spans attend: a few heads at a time, in room for their scores.
pub struct Attention<'a, M: Machine> {
    spans: &'a [Span],
    heads: usize,
    width: usize,
    /// Heads at once.
    group: usize,
    /// Rows of queries, and of values, whole panels.
    total_rows: usize,
    value_rows: usize,
    spans_at: &'a M::Memory,
    scores: &'a M::Memory,
    totals: &'a M::Memory,
}

impl<'a, M: Machine> Attention<'a, M> {
    /// Of `heads` that make `width`, over panels of queries and of values.
    pub fn plan(
        run: &Run<'_, M>,
        spans: &'a [Span],
        (heads, width): (usize, usize),
        (query_panels, value_panels): (usize, usize),
        (spans_room, scores_room, totals_room): (&'a mut Room<M>, &'a mut Room<M>, &'a mut Room<M>),
    ) -> Result<Self, DeviceError> {
        let machine = run.machine;
        let one_head: usize = spans.iter().map(Span::scores).sum();
        let group = (SCORES_BYTES_MAX / (size_of::<f32>() * one_head.max(1))).clamp(1, heads);
        let total_rows = query_panels * PANEL;
        Ok(Self {
            spans,
            heads,
            width,
            group,
            total_rows,
            value_rows: value_panels * PANEL,
            spans_at: written(machine, run.queue, spans_room, &span_words(spans, group))?,
            scores: scores_room.of(machine, size_of::<f32>() * one_head * group)?,
            totals: totals_room.of(machine, size_of::<f32>() * total_rows * group)?,
        })
    }
}

/// Launches on one queue of one machine.
pub struct Run<'a, M: Machine> {
    pub machine: &'a M,
    pub queue: &'a M::Queue,
    pub tiles: Tiles,
}

impl<M: Machine> Run<'_, M> {
    /// Rows of panels to rows of panels by up to three maps of one shape; `last` is what the last does.
    pub fn linear(
        &self,
        maps: &[(&LinearAt<M>, &M::Memory)],
        x: &M::Memory,
        panels: usize,
        (then, last): (Then, Then),
        head_dim: usize,
    ) -> Result<(), DeviceError> {
        let (first, _) = maps[0];
        let (inputs, outputs) = (first.inputs, first.outputs);
        let at = |index: usize| maps.get(index).copied();
        let weight = |index| Arg::Address(at(index).map_or(0, |(map, _)| map.weight.address()));
        let bias = |index| {
            Arg::Address(at(index).map_or(0, |(map, _)| map.bias.as_ref().map_or(0, Memory::address)))
        };
        let out = |index| Arg::Address(at(index).map_or(0, |(_, out)| out.address()));
        let rows = (panels * PANEL).div_ceil(self.tiles.rows as usize);
        let columns = (outputs as u32).div_ceil(self.tiles.columns);
        self.tile(
            Kernel::Linear,
            [rows as u32, columns, maps.len() as u32],
            &[
                Arg::Address(x.address()),
                weight(0),
                weight(1),
                weight(2),
                bias(0),
                bias(1),
                bias(2),
                out(0),
                out(1),
                out(2),
                Arg::Int(int(panels)),
                Arg::Int(inputs),
                Arg::Int(outputs),
                Arg::Int(then as i32),
                Arg::Int(last as i32),
                Arg::Int(int(head_dim)),
                Arg::Int(int(head_dim.next_multiple_of(PANEL))),
            ],
        )
    }

    pub fn layer_norm(
        &self,
        out: &M::Memory,
        x: &M::Memory,
        norm: &NormAt<M>,
        panels: usize,
        width: usize,
    ) -> Result<(), DeviceError> {
        let args = [
            Arg::Address(out.address()),
            Arg::Address(x.address()),
            Arg::Address(norm.gamma.address()),
            Arg::Address(norm.beta.address()),
            Arg::Int(int(width)),
        ];
        self.rows(Kernel::LayerNorm, panels, &args)
    }

    pub fn rope(
        &self,
        x: &M::Memory,
        rope: &RopeAt<M>,
        positions: &M::Memory,
        panels: usize,
        width: usize,
    ) -> Result<(), DeviceError> {
        let args = [
            Arg::Address(x.address()),
            Arg::Address(rope.cosines.address()),
            Arg::Address(rope.sines.address()),
            Arg::Address(positions.address()),
            Arg::Int(int(width)),
            Arg::Int(rope.half),
            Arg::Int(rope.positions),
        ];
        self.rows(Kernel::Rope, panels, &args)
    }

    /// Attention of all spans of `plan`, a few heads at a time. `v` is by head over all its panels of rows.
    pub fn attention(
        &self,
        plan: &Attention<'_, M>,
        out: &M::Memory,
        [q, k, v]: [&M::Memory; 3],
    ) -> Result<(), DeviceError> {
        let Attention {
            spans,
            heads,
            width,
            group,
            total_rows,
            value_rows,
            spans_at,
            scores,
            totals,
        } = *plan;
        let head_dim = width / heads;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let (rows, columns) = (self.tiles.rows as usize, self.tiles.columns as usize);
        let tiles_m = most(spans, |span| span.queries.div_ceil(rows));
        let tiles = most(spans, |span| {
            span.queries.div_ceil(rows) * span.keys.div_ceil(columns)
        });
        let panels = most(spans, |span| span.queries.div_ceil(PANEL));
        let tiles_n = head_dim.div_ceil(columns);
        let address = |memory: &M::Memory| Arg::Address(memory.address());
        for first_head in (0..heads).step_by(group) {
            let at_once = group.min(heads - first_head);
            let depth = spans.len() as u32;
            let args = [
                address(scores),
                address(q),
                address(k),
                address(spans_at),
                Arg::Int(int(width)),
                Arg::Int(int(head_dim)),
                Arg::Int(int(first_head)),
                Arg::Float(scale),
            ];
            self.tile(Kernel::Scores, [tiles as u32, at_once as u32, depth], &args)?;
            let launch = Launch {
                kernel: Kernel::Softmax,
                grid: [panels as u32, at_once as u32, depth],
                threads: ROW_THREADS,
                shared_bytes: FOLD_BYTES,
            };
            let args = [
                address(scores),
                address(totals),
                address(spans_at),
                Arg::Int(int(total_rows)),
            ];
            self.machine.launch(self.queue, launch, &args)?;
            let args = [
                address(out),
                address(scores),
                address(totals),
                address(v),
                address(spans_at),
                Arg::Int(int(width)),
                Arg::Int(int(head_dim)),
                Arg::Int(int(head_dim.next_multiple_of(PANEL))),
                Arg::Int(int(value_rows)),
                Arg::Int(int(total_rows)),
                Arg::Int(int(first_head)),
                Arg::Int(int(tiles_n)),
            ];
            self.tile(
                Kernel::Values,
                [tiles_m as u32, (tiles_n * at_once) as u32, depth],
                &args,
            )?;
        }
        Ok(())
    }

    /// A kernel of which each block has a panel of rows.
    pub fn rows(&self, kernel: Kernel, panels: usize, args: &[Arg]) -> Result<(), DeviceError> {
        let launch = Launch {
            kernel,
            grid: [panels as u32, 1, 1],
            threads: ROW_THREADS,
            shared_bytes: FOLD_BYTES,
        };
        self.machine.launch(self.queue, launch, args)
    }

    /// A kernel of which each thread has a column of a panel of rows.
    pub fn columns(
        &self,
        kernel: Kernel,
        panels: usize,
        columns: usize,
        args: &[Arg],
    ) -> Result<(), DeviceError> {
        let launch = Launch {
            kernel,
            grid: [panels as u32, (columns as u32).div_ceil(ELEMENT_THREADS), 1],
            threads: ELEMENT_THREADS,
            shared_bytes: 0,
        };
        self.machine.launch(self.queue, launch, args)
    }

    fn tile(&self, kernel: Kernel, grid: [u32; 3], args: &[Arg]) -> Result<(), DeviceError> {
        let launch = Launch {
            kernel,
            grid,
            threads: self.tiles.threads,
            shared_bytes: self.tiles.shared_bytes(),
        };
        self.machine.launch(self.queue, launch, args)
    }
}

/// Spans as the kernels read them: six words each, the first two where its scores of so many heads begin.
fn span_words(spans: &[Span], heads: usize) -> Vec<i32> {
    let mut scores = 0_u64;
    let mut words = Vec::new();
    for span in spans {
        words.extend([scores as i32, (scores >> 32) as i32]);
        words.extend([span.query_panel, span.key_panel, span.queries, span.keys].map(int));
        scores += (span.scores() * heads) as u64;
    }
    words
}

fn most(spans: &[Span], of: impl Fn(&Span) -> usize) -> usize {
    spans.iter().map(of).max().unwrap_or_default()
}

impl<M: Machine> Lane<M> {
    /// Everything that scoring needs of `chunks`.
    pub fn pass(
        &mut self,
        machine: &M,
        tiles: Tiles,
        model: &ModelAt<M>,
        architecture: &Architecture,
        chunks: &[Chunk<'_>],
        directions: Option<&Directions>,
    ) -> Result<Vec<Findings>, DeviceError> {
        let Self { queue, rooms } = self;
        let queue = &*queue;
        let run = Run {
            machine,
            queue,
            tiles,
        };
        let (width, heads) = (architecture.embedding_dim as usize, architecture.heads as usize);
        let (ffn, head_dim) = (architecture.ffn_dim as usize, width / heads);
        let rows = Rows::of(chunks);
        let panels = rows.tokens.len() / PANEL;
        let count = panels * PANEL;
        let floats = |columns: usize| size_of::<f32>() * count * columns;

        let tokens = written(machine, queue, &mut rooms.tokens, &rows.tokens)?;
        let positions = written(machine, queue, &mut rooms.positions, &rows.positions)?;
        let targets = written(machine, queue, &mut rooms.targets, &rows.targets)?;
        let owners = written(machine, queue, &mut rooms.owners, &rows.owners)?;
        let x = rooms.x.of(machine, floats(width))?;
        let normed = rooms.normed.of(machine, floats(width))?;
        let q = rooms.q.of(machine, floats(width))?;
        let k = rooms.k.of(machine, floats(width))?;
        let v = rooms
            .v
            .of(machine, floats(heads * head_dim.next_multiple_of(PANEL)))?;
        let inner = rooms.inner.of(machine, floats(ffn.max(VOCAB)))?;

        let attention = Attention::plan(
            &run,
            &rows.spans,
            (heads, width),
            (panels, panels),
            (&mut rooms.spans, &mut rooms.scores, &mut rooms.totals),
        )?;

        let address = |memory: &M::Memory| Arg::Address(memory.address());
        let embedding = [
            address(x),
            address(&model.embedding),
            address(tokens),
            Arg::Int(int(width)),
        ];
        run.rows(Kernel::Embed, panels, &embedding)?;
        for layer in &model.layers {
            run.layer_norm(normed, x, &layer.norm_1, panels, width)?;
            let maps = [(&layer.query, q), (&layer.key, k), (&layer.value, v)];
            run.linear(&maps, normed, panels, (Then::Write, Then::ByHead), head_dim)?;
            run.rope(q, &model.rope, positions, panels, width)?;
            run.rope(k, &model.rope, positions, panels, width)?;
            run.attention(&attention, normed, [q, k, v])?;
            run.linear(
                &[(&layer.output, x)],
                normed,
                panels,
                (Then::Add, Then::Add),
                head_dim,
            )?;
            run.layer_norm(normed, x, &layer.norm_2, panels, width)?;
            let gelu = (Then::Gelu, Then::Gelu);
            run.linear(&[(&layer.linear_inner, inner)], normed, panels, gelu, head_dim)?;
            let add = (Then::Add, Then::Add);
            run.linear(&[(&layer.linear_outer, x)], inner, panels, add, head_dim)?;
        }
        run.layer_norm(normed, x, &model.final_norm, panels, width)?;

        let write = (Then::Write, Then::Write);
        run.linear(&[(&model.predictor, inner)], normed, panels, write, head_dim)?;
        let losses = rooms.losses.of(machine, floats(1))?;
        let args = [
            address(losses),
            address(inner),
            address(targets),
            Arg::Int(model.predictor.outputs),
        ];
        run.rows(Kernel::TokenLosses, panels, &args)?;

        let representations = zeros(machine, queue, &mut rooms.representations, chunks.len() * width)?;
        let out_of_range = zeros(machine, queue, &mut rooms.out_of_range, chunks.len())?;
        let args = [
            address(representations),
            address(out_of_range),
            address(normed),
            address(owners),
            Arg::Int(int(width)),
        ];
        run.columns(Kernel::SumRows, panels, width, &args)?;
        let points = directions.map_or(0, |directions| 2 * POINTS * directions.len());
        let characteristic = zeros(machine, queue, &mut rooms.characteristic, chunks.len() * points)?;
        // It is kept until all that reads it is done.
        let map = directions
            .map(|directions| {
                Ok(LinearAt {
                    weight: weights::matrix(machine, queue, directions.matrix())?,
                    bias: None,
                    inputs: int(width),
                    outputs: int(directions.len()),
                })
            })
            .transpose()?;
        if let (Some(directions), Some(map)) = (directions, &map) {
            let projections = rooms.projections.of(machine, floats(directions.len()))?;
            run.linear(&[(map, projections)], normed, panels, write, head_dim)?;
            let args = [
                address(characteristic),
                address(projections),
                address(owners),
                Arg::Int(map.outputs),
            ];
            run.columns(Kernel::Characteristic, panels, directions.len(), &args)?;
        }

        let losses: Vec<f32> = machine.read(queue, losses, count)?;
        let out_of_range: Vec<u32> = machine.read(queue, out_of_range, chunks.len())?;
        let representations: Vec<i64> = machine.read(queue, representations, chunks.len() * width)?;
        let characteristic: Vec<i64> = machine.read(queue, characteristic, chunks.len() * points)?;
        let found = |(index, span): (usize, &Span)| {
            let in_range = out_of_range[index] == 0;
            // Sums over what is out of range mean nothing.
            let own = |sums: &[i64], each: usize| match in_range {
                true => sums[index * each..][..each].to_vec(),
                false => vec![0; each],
            };
            Findings {
                losses: losses[span.query_panel * PANEL..][..span.queries - 1].to_vec(),
                in_range,
                representations: own(&representations, width),
                characteristic: own(&characteristic, points),
            }
        };
        Ok(rows.spans.iter().enumerate().map(found).collect())
    }
}

/// What stands in each row of a pass.
struct Rows {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    targets: Vec<u32>,
    /// By panel: the chunk, and how many of the panel's rows are the chunk's.
    owners: Vec<i32>,
    spans: Vec<Span>,
}

impl Rows {
    fn of(chunks: &[Chunk<'_>]) -> Self {
        let mut rows = Self {
            tokens: Vec::new(),
            positions: Vec::new(),
            targets: Vec::new(),
            owners: Vec::new(),
            spans: Vec::new(),
        };
        for (index, chunk) in chunks.iter().enumerate() {
            let tokens = chunk.tokens();
            let (first, length) = (rows.tokens.len() / PANEL, tokens.len());
            rows.spans.push(Span {
                query_panel: first,
                key_panel: first,
                queries: length,
                keys: length,
            });
            for panel in 0..length.div_ceil(PANEL) {
                let left = length - panel * PANEL;
                rows.owners.extend([index, left.min(PANEL)].map(int));
            }
            let end = first * PANEL + length.next_multiple_of(PANEL);
            rows.tokens.extend(tokens.iter().map(|token| u32::from(*token)));
            rows.positions.extend(0..length as u32);
            // The last token predicts nothing: it is given any target, and its loss is dropped.
            rows.targets
                .extend(tokens[1..].iter().map(|token| u32::from(*token)));
            for row in [&mut rows.tokens, &mut rows.positions, &mut rows.targets] {
                row.resize(end, 0);
            }
        }
        rows
    }
}

fn written<'a, M: Machine, T: Plain>(
    machine: &M,
    queue: &M::Queue,
    room: &'a mut Room<M>,
    values: &[T],
) -> Result<&'a M::Memory, DeviceError> {
    let memory = room.of(machine, size_of_val(values))?;
    machine.write(queue, memory, values)?;
    Ok(memory)
}

/// Room for `count` 64-bit zeros.
fn zeros<'a, M: Machine>(
    machine: &M,
    queue: &M::Queue,
    room: &'a mut Room<M>,
    count: usize,
) -> Result<&'a M::Memory, DeviceError> {
    let bytes = size_of::<i64>() * count;
    let memory = room.of(machine, bytes)?;
    machine.zero(queue, memory, bytes)?;
    Ok(memory)
}
