//! Writes many texts at once: what is asked for joins those in hand between two bytes, and leaves when it is
//! done or nobody listens any more.
//!
//! One thread takes a byte of every text in hand, those of the same models by one pass of each, on all
//! cores; of the prompts that are not read yet it reads a small part of one between two bytes, each in its
//! turn, so that a long prompt holds nobody up. Which others are in hand does not show in a text. Bounds:
//! [`AT_ONCE`] texts in hand, and as many as wait; a text has its [`Place`] until it was heard to its end, or
//! nobody hears.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use soma_model::{
    Choice, ScoreError, Spoken, Writer,
    reading::{Before, OUTCOMES},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::UnboundedSender};

use crate::{
    counts::Counts,
    models::{Chosen, Models},
};

/// Texts in hand at once.
pub const AT_ONCE: usize = 32;
/// Bytes of a prompt that are read at once where nobody waits for it.
const PART_BYTES: usize = 256;
/// Bytes of a prompt that are read before those that are written go on.
const PART_BESIDE_BYTES: usize = 16;

/// Room for a request's texts. Whoever writes one holds it, and whoever hears it.
pub type Place = Arc<OwnedSemaphorePermit>;

/// A text to write.
#[derive(Debug)]
pub struct Task {
    /// By whom.
    pub chosen: Chosen,
    /// What it goes on from.
    pub prompt: String,
    /// How it is drawn.
    pub choice: Choice,
    /// Most bytes.
    pub bytes: u64,
    /// What stops it.
    pub stops: Vec<String>,
    /// How many of the likeliest are told beside each byte, if any of it.
    pub top: Option<usize>,
    /// Whether the prompt is told too.
    pub echoes: bool,
    /// Where it is told. Bounded by the bytes of prompt and text.
    pub told: UnboundedSender<Told>,
    /// Its request's room.
    pub place: Place,
}

/// What is told of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Its next bytes.
    Bytes(Vec<Byte>),
    /// It ends.
    End(Ended),
    /// It cannot go on.
    Failed(String),
}

/// A byte, and what was thought of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Byte {
    /// What was written.
    pub byte: u8,
    /// The natural logarithm of its probability; none for the first of a text, or where nobody asked.
    pub logprob: Option<f64>,
    /// The likeliest bytes with theirs.
    pub top: Vec<(u8, f64)>,
}

/// How a text ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Whether by its length, and not by a stop or since the models say so.
    pub by_length: bool,
    /// What each model counted for at the end.
    pub weights: Vec<f64>,
}

/// No more can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{AT_ONCE} texts are written and as many wait: try again in a few seconds")]
pub struct Full;

/// Takes tasks to the thread that writes.
#[derive(Clone, Debug)]
pub struct Engine {
    tasks: Sender<Task>,
    places: Arc<Semaphore>,
    counts: Counts,
}

impl Engine {
    /// Begins to write for whoever asks, and counts it. It ends with the last who may ask, once all is
    /// written.
    #[must_use]
    pub fn start(models: Arc<Models>, counts: Counts) -> Self {
        let (sender, tasks) = channel();
        let counted = counts.clone();
        thread::spawn(move || write(&models, &tasks, &counted));
        Self {
            tasks: sender,
            places: Arc::new(Semaphore::new(2 * AT_ONCE)),
            counts,
        }
    }

    /// Room for all of a request's texts, or none of them.
    ///
    /// # Errors
    /// When too many wait.
    pub fn place(&self, texts: u32) -> Result<Place, Full> {
        let permit = Arc::clone(&self.places).try_acquire_many_owned(texts);
        permit.map(Arc::new).map_err(|_| {
            self.counts.add(|counted| counted.refused += u64::from(texts));
            Full
        })
    }

    /// Has a text written.
    ///
    /// # Errors
    /// When nobody writes any more.
    pub fn begin(&self, task: Task) -> Result<(), Full> {
        self.counts.add(|counted| counted.taken += 1);
        self.tasks.send(task).map_err(|_| {
            self.counts.add(|counted| counted.left += 1);
            Full
        })
    }
}

/// A text in hand.
struct Text<'m> {
    task: Task,
    writer: Writer<'m>,
    spoken: Spoken,
    /// Bytes of the prompt that are read, or passed over.
    read: usize,
    /// Written, and not told yet.
    held: Vec<Byte>,
    left: u64,
}

/// Where a text stands after its turn.
#[allow(clippy::large_enum_variant, reason = "nearly all go on")]
enum Turn<'m> {
    /// It goes on.
    On(Text<'m>),
    /// It was written to its end.
    Ended,
    /// Nobody listens any more.
    Dropped,
    /// It cannot go on.
    Failed,
}

fn write(models: &Models, tasks: &Receiver<Task>, counts: &Counts) {
    let (mut waiting, mut unread, mut texts) = (VecDeque::new(), VecDeque::new(), Vec::new());
    loop {
        // With nothing in hand there is time to wait.
        if waiting.is_empty() && unread.is_empty() && texts.is_empty() {
            match tasks.recv() {
                Ok(task) => waiting.push_back(task),
                Err(_) => return,
            }
        }
        waiting.extend(tasks.try_iter());
        // Whoever hung up before their turn makes room for others.
        let waited = waiting.len();
        waiting.retain(|task: &Task| !task.told.is_closed());
        let left = (waited - waiting.len()) as u64;
        counts.add(|counted| counted.left += left);
        while unread.len() + texts.len() < AT_ONCE
            && let Some(task) = waiting.pop_front()
        {
            unread.extend(begin(models, task, counts));
        }
        if let Some(text) = unread.pop_front() {
            let at_once = if texts.is_empty() {
                PART_BYTES
            } else {
                PART_BESIDE_BYTES
            };
            let (part, turn) = Text::reads_on(text, at_once);
            counts.add(|counted| counted.read_bytes += part as u64);
            if let Some(text) = goes_on(turn, counts) {
                if text.is_read() {
                    texts.push(text);
                } else {
                    unread.push_back(text);
                }
            }
        }
        texts.sort_by(|a: &Text<'_>, b| a.task.chosen.places.cmp(&b.task.chosen.places));
        let mut kept = Vec::with_capacity(texts.len());
        let mut rest = texts.into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut group = vec![first];
            while let Some(next) = rest.next_if(|next| next.task.chosen == group[0].task.chosen) {
                group.push(next);
            }
            counts.add(|counted| counted.written_bytes += group.len() as u64);
            kept.extend(step(group).into_iter().filter_map(|turn| goes_on(turn, counts)));
        }
        texts = kept;
    }
}

/// The text where it goes on; counted where it does not.
fn goes_on<'m>(turn: Turn<'m>, counts: &Counts) -> Option<Text<'m>> {
    match turn {
        Turn::On(text) => return Some(text),
        Turn::Ended => counts.add(|counted| counted.ended += 1),
        Turn::Dropped => counts.add(|counted| counted.dropped += 1),
        Turn::Failed => counts.add(|counted| counted.failed += 1),
    }
    None
}

/// A text whose prompt is to be read; none where it cannot be.
fn begin<'m>(models: &'m Models, task: Task, counts: &Counts) -> Option<Text<'m>> {
    counts.add(|counted| counted.begun += 1);
    match Writer::unread(models.scorer(), &models.mixed(&task.chosen)) {
        Ok(mut writer) => Some(Text {
            spoken: Spoken::new(task.stops.iter().map(|stop| stop.as_bytes().to_vec())),
            read: if task.echoes {
                0
            } else {
                writer.pass_over(task.prompt.len())
            },
            held: Vec::new(),
            left: task.bytes,
            writer,
            task,
        }),
        Err(error) => goes_on(failed(&task, &error), counts),
    }
}

/// Says why a text cannot go on.
fn failed<'m>(task: &Task, error: &ScoreError) -> Turn<'m> {
    // Whoever asked may be gone.
    let _ = task.told.send(Told::Failed(error.to_string()));
    Turn::Failed
}

/// One byte more of each text, all by the same models.
fn step(mut group: Vec<Text<'_>>) -> Vec<Turn<'_>> {
    let befores: Vec<Option<[f64; OUTCOMES]>> = group
        .iter()
        .map(|text| text.task.top.and_then(|_| text.writer.before().probabilities()))
        .collect();
    let choices: Vec<Choice> = group.iter().map(|text| text.task.choice).collect();
    let mut writers: Vec<&mut Writer<'_>> = group.iter_mut().map(|text| &mut text.writer).collect();
    let outcomes = Writer::write_each(&mut writers, &choices);
    let each = group.into_iter().zip(outcomes).zip(befores);
    each.map(|((text, outcome), before)| match outcome {
        Ok(outcome) => text.takes(outcome, before.as_ref()),
        Err(error) => failed(&text.task, &error),
    })
    .collect()
}

impl<'m> Text<'m> {
    /// Whether its prompt is read.
    fn is_read(&self) -> bool {
        self.read == self.task.prompt.len()
    }

    /// Reads a part of the prompt, `most` bytes; how many, and where the text stands then.
    fn reads_on(mut self, most: usize) -> (usize, Turn<'m>) {
        if self.task.told.is_closed() {
            return (0, Turn::Dropped);
        }
        let prompt = &self.task.prompt;
        let mut end = prompt.len().min(self.read + most);
        // Characters are told whole.
        while !prompt.is_char_boundary(end) {
            end -= 1;
        }
        let part = &prompt.as_bytes()[self.read..end];
        let mut told = Vec::new();
        let tell = |byte: u8, before: Before<'_>| {
            if self.task.echoes {
                told.push(judged(byte, self.task.top, &before));
            }
        };
        if let Err(error) = self.writer.read(part, tell) {
            return (0, failed(&self.task, &error));
        }
        let length = part.len();
        self.read = end;
        if !told.is_empty() && self.task.told.send(Told::Bytes(told)).is_err() {
            return (length, Turn::Dropped);
        }
        let is_whole = self.is_read() && self.left == 0;
        (length, if is_whole { self.end(true) } else { Turn::On(self) })
    }

    /// Takes what was written, and tells what cannot change any more.
    fn takes(mut self, outcome: Option<u8>, before: Option<&[f64; OUTCOMES]>) -> Turn<'m> {
        let Some(byte) = outcome else {
            return self.end(false);
        };
        self.held.push(of_probabilities(byte, self.task.top, before));
        if self.spoken.push(byte).is_break() {
            return self.end(false);
        }
        self.left -= 1;
        if self.left == 0 {
            return self.end(true);
        }
        let ready = self.spoken.take_ready().len();
        let ready: Vec<Byte> = self.held.drain(..ready).collect();
        let heard = ready.is_empty() || self.task.told.send(Told::Bytes(ready)).is_ok();
        if heard && !self.task.told.is_closed() {
            Turn::On(self)
        } else {
            Turn::Dropped
        }
    }

    /// Tells the rest.
    fn end(mut self, by_length: bool) -> Turn<'m> {
        let rest = self.spoken.take_rest().len();
        self.held.truncate(rest);
        let weights = self.writer.weights().to_vec();
        // Whoever asked may be gone.
        let _ = self.task.told.send(Told::Bytes(self.held));
        let _ = self.task.told.send(Told::End(Ended { by_length, weights }));
        Turn::Ended
    }
}

fn judged(byte: u8, top: Option<usize>, before: &Before<'_>) -> Byte {
    let probabilities = top.and_then(|_| before.probabilities());
    of_probabilities(byte, top, probabilities.as_ref())
}

fn of_probabilities(byte: u8, top: Option<usize>, probabilities: Option<&[f64; OUTCOMES]>) -> Byte {
    let (Some(top), Some(probabilities)) = (top, probabilities) else {
        return Byte {
            byte,
            logprob: None,
            top: Vec::new(),
        };
    };
    let mut order: Vec<u8> = (0..=u8::MAX).collect();
    // Stable: of equals the lower comes first.
    order.sort_by(|a, b| probabilities[usize::from(*b)].total_cmp(&probabilities[usize::from(*a)]));
    let of = |byte: u8| (byte, logarithm(probabilities[usize::from(byte)]));
    Byte {
        byte,
        logprob: Some(of(byte).1),
        top: order[..top].iter().map(|byte| of(*byte)).collect(),
    }
}

/// What is impossible in binary64 is the least that JSON has a number for.
fn logarithm(probability: f64) -> f64 {
    soma_model::elementary64::ln(probability.max(f64::MIN_POSITIVE))
}
