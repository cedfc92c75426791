//! Writes many texts at once: what is asked for joins those in hand between two bytes, and leaves when it is
//! done or nobody listens any more.
//!
//! One thread takes a byte of every text in hand, those of the same models by one pass of each, on all cores.
//! Which others are in hand does not show in a text. Bounds: [`AT_ONCE`] texts in hand, and as many as wait.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
};

use soma_model::{
    Choice, Scorer, Spoken, Writer,
    reading::{Before, OUTCOMES},
};
use tokio::sync::mpsc::UnboundedSender;

use crate::models::{Chosen, Models};

/// Texts in hand at once.
pub const AT_ONCE: usize = 32;

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
    /// It.
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
pub struct Engine(SyncSender<Task>);

impl Engine {
    /// Begins to write for whoever asks. It ends with the last who may ask.
    #[must_use]
    pub fn start(models: Arc<Models>) -> Self {
        let (sender, tasks) = sync_channel(AT_ONCE);
        thread::spawn(move || write(&models, &tasks));
        Self(sender)
    }

    /// Has a text written.
    ///
    /// # Errors
    /// When too many wait.
    pub fn begin(&self, task: Task) -> Result<(), Full> {
        match self.0.try_send(task) {
            Ok(()) => Ok(()),
            // The thread lives as long as there are senders.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Full),
        }
    }
}

/// A text in hand.
struct Text<'m> {
    task: Task,
    writer: Writer<'m>,
    spoken: Spoken,
    /// Written, and not told yet.
    held: Vec<Byte>,
    left: u64,
}

fn write(models: &Models, tasks: &Receiver<Task>) {
    let mut texts: Vec<Text<'_>> = Vec::new();
    loop {
        // With nothing in hand there is time to wait.
        if texts.is_empty() {
            match tasks.recv() {
                Ok(task) => texts.extend(begin(models, task)),
                Err(_) => return,
            }
        }
        while texts.len() < AT_ONCE {
            match tasks.try_recv() {
                Ok(task) => texts.extend(begin(models, task)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        texts.sort_by(|a, b| a.task.chosen.places.cmp(&b.task.chosen.places));
        let mut kept = Vec::with_capacity(texts.len());
        let mut rest = texts.into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut group = vec![first];
            while let Some(next) = rest.next_if(|next| next.task.chosen == group[0].task.chosen) {
                group.push(next);
            }
            kept.extend(step(group));
        }
        texts = kept;
    }
}

/// A text whose prompt is read; none where it is done already, or cannot be.
fn begin(models: &Models, task: Task) -> Option<Text<'_>> {
    let scorer: &Scorer = models.scorer();
    let mut prompt = Vec::new();
    let tell = |byte: u8, before: Before<'_>| {
        if task.echoes {
            prompt.push(judged(byte, task.top, &before));
        }
    };
    let writer = match Writer::telling(scorer, &models.mixed(&task.chosen), task.prompt.as_bytes(), tell) {
        Ok(writer) => writer,
        Err(error) => {
            // Whoever asked may be gone.
            let _ = task.told.send(Told::Failed(error.to_string()));
            return None;
        }
    };
    if task.echoes && task.told.send(Told::Bytes(prompt)).is_err() {
        return None;
    }
    let text = Text {
        spoken: Spoken::new(task.stops.iter().map(|stop| stop.as_bytes().to_vec())),
        held: Vec::new(),
        left: task.bytes,
        writer,
        task,
    };
    if text.left == 0 {
        text.end(true);
        return None;
    }
    Some(text)
}

/// One byte more of each text, all by the same models; those that go on.
fn step(mut group: Vec<Text<'_>>) -> Vec<Text<'_>> {
    let befores: Vec<Option<[f64; OUTCOMES]>> = group
        .iter()
        .map(|text| text.task.top.and_then(|_| text.writer.before().probabilities()))
        .collect();
    let choices: Vec<Choice> = group.iter().map(|text| text.task.choice).collect();
    let mut writers: Vec<&mut Writer<'_>> = group.iter_mut().map(|text| &mut text.writer).collect();
    let outcomes = match Writer::write_each(&mut writers, &choices) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            for text in group {
                // Whoever asked may be gone.
                let _ = text.task.told.send(Told::Failed(error.to_string()));
            }
            return Vec::new();
        }
    };
    let each = group.into_iter().zip(outcomes).zip(befores);
    each.filter_map(|((text, outcome), before)| text.takes(outcome, before.as_ref()))
        .collect()
}

impl Text<'_> {
    /// Takes what was written, and tells what cannot change any more; none where the text ends.
    fn takes(mut self, outcome: Option<u8>, before: Option<&[f64; OUTCOMES]>) -> Option<Self> {
        let Some(byte) = outcome else {
            self.end(false);
            return None;
        };
        self.held.push(of_probabilities(byte, self.task.top, before));
        if self.spoken.push(byte).is_break() {
            self.end(false);
            return None;
        }
        let ready = self.spoken.take_ready().len();
        self.left -= 1;
        if self.left == 0 {
            self.end(true);
            return None;
        }
        let ready: Vec<Byte> = self.held.drain(..ready).collect();
        let heard = ready.is_empty() || self.task.told.send(Told::Bytes(ready)).is_ok();
        (heard && !self.task.told.is_closed()).then_some(self)
    }

    /// Tells the rest.
    fn end(mut self, by_length: bool) {
        let rest = self.spoken.take_rest().len();
        self.held.truncate(rest);
        let weights = self.writer.weights().to_vec();
        // Whoever asked may be gone.
        let _ = self.task.told.send(Told::Bytes(self.held));
        let _ = self.task.told.send(Told::End(Ended { by_length, weights }));
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
