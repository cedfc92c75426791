//! `soma generate`: the model at work. Text alone goes to standard output, byte by byte as it is written.

use std::ops::ControlFlow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use soma_model::{Choice, Model, Scorer, Sequence, Writer};

use super::{scoring::shown, whole::experts};
use crate::{
    args::GenerateArgs,
    error::{CliError, CliResult},
    printer::{Format, Printer},
};

/// Why a text goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// As many bytes as were asked for.
    Bytes,
    /// What `--stop` names was written.
    Stop,
    /// The model says that the text ends.
    Text,
}

#[derive(Serialize)]
struct GenerateOutput {
    /// What was written, with U+FFFD for what is no UTF-8.
    text: String,
    /// All bytes of it.
    base64: String,
    end: End,
    seed: u64,
    experts: Vec<ExpertOutput>,
}

/// A model, and what it counted for at the end.
#[derive(Serialize)]
struct ExpertOutput {
    file: String,
    weight: f64,
}

/// `soma generate`.
pub fn run(printer: Printer, args: &GenerateArgs) -> CliResult {
    let choice = Choice::new(args.temperature, args.top_p, args.seed)
        .map_err(|error| CliError::usage(error.to_string()))?;
    if args.prompt.is_empty() {
        return Err(CliError::usage(
            "the prompt is empty: no model knows how a text begins",
        ));
    }
    if args.stop.iter().any(String::is_empty) {
        return Err(CliError::usage(
            "--stop needs a text, or the first byte would be the last",
        ));
    }
    let loaded = experts(printer, &args.models, Sequence::memory_bytes_max, |_| 1)?;
    let experts: Vec<(&Model, u64)> = loaded
        .iter()
        .map(|expert| (&expert.model, expert.stake))
        .collect();
    let mut writer = Writer::new(&Scorer::new()?, &experts, args.prompt.as_bytes())?;
    let mut spoken = Spoken::new(printer, &args.stop);
    let mut end = End::Bytes;
    for _ in 0..args.bytes {
        match writer.write(&choice)? {
            None => {
                end = End::Text;
                break;
            }
            Some(byte) => {
                if let ControlFlow::Break(why) = spoken.push(byte)? {
                    end = why;
                    break;
                }
            }
        }
    }
    let text = spoken.finish()?;
    let experts = loaded.iter().zip(writer.weights());
    let output = GenerateOutput {
        text: String::from_utf8_lossy(&text).into_owned(),
        base64: BASE64_STANDARD.encode(&text),
        end,
        seed: args.seed,
        experts: experts
            .map(|(expert, weight)| ExpertOutput {
                file: shown(&expert.path),
                weight: *weight,
            })
            .collect(),
    };
    match printer.format() {
        Format::Json => printer.show(&output, |_| String::new()),
        Format::Text => Ok(()),
    }
}

/// What is written, said as soon as it cannot be the beginning of what stops it.
struct Spoken<'a> {
    printer: Printer,
    stops: &'a [String],
    text: Vec<u8>,
    /// Bytes of it that have been said.
    said: usize,
}

impl<'a> Spoken<'a> {
    const fn new(printer: Printer, stops: &'a [String]) -> Self {
        Self {
            printer,
            stops,
            text: Vec::new(),
            said: 0,
        }
    }

    /// Adds a byte. Breaks with what ends the text: a stop, which is taken off again, or nobody to hear more.
    fn push(&mut self, byte: u8) -> CliResult<ControlFlow<End>> {
        self.text.push(byte);
        if let Some(stop) = self
            .stops
            .iter()
            .find(|stop| self.text.ends_with(stop.as_bytes()))
        {
            self.text.truncate(self.text.len() - stop.len());
            return Ok(ControlFlow::Break(End::Stop));
        }
        let held = self.stops.iter().map(|stop| begun(&self.text, stop.as_bytes()));
        let end = self.text.len() - held.max().unwrap_or(0);
        let end = end - unfinished(&self.text[..end]);
        Ok(match self.say(end)? {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(()) => ControlFlow::Break(End::Bytes),
        })
    }

    /// Says the rest: all that was written.
    fn finish(mut self) -> CliResult<Vec<u8>> {
        if self.say(self.text.len())?.is_continue() && self.printer.format() == Format::Text {
            self.printer.end_piece()?;
        }
        Ok(self.text)
    }

    fn say(&mut self, end: usize) -> CliResult<ControlFlow<()>> {
        if self.printer.format() == Format::Json || end <= self.said {
            return Ok(ControlFlow::Continue(()));
        }
        let said = std::mem::replace(&mut self.said, end);
        self.printer.piece(&self.text[said..end])
    }
}

/// Bytes at the end of `text` that may be the beginning of a character.
fn unfinished(text: &[u8]) -> usize {
    let tail = &text[text.len() - text.len().min(3)..];
    let start = (0..tail.len()).rev().find(|at| tail[*at] & 0xc0 != 0x80);
    start.map_or(0, |at| match std::str::from_utf8(&tail[at..]) {
        Err(error) if error.error_len().is_none() => tail.len() - at,
        _ => 0,
    })
}

/// Bytes at the end of `text` that begin `stop`.
fn begun(text: &[u8], stop: &[u8]) -> usize {
    let longest = text.len().min(stop.len() - 1);
    (1..=longest)
        .rev()
        .find(|length| text.ends_with(&stop[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_said_whole() {
        for (text, expected) in [
            (&b"a"[..], 0),
            (b"\xc3", 1),
            ("ä".as_bytes(), 0),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"\x80\x80\x80", 0),
            (b"\xff", 0),
            (b"", 0),
        ] {
            assert_eq!(unfinished(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_may_become_a_stop_is_held_back() {
        assert_eq!(begun(b"ab\n", b"\n\n"), 1);
        assert_eq!(begun(b"ab", b"\n\n"), 0);
        assert_eq!(begun(b"xaba", b"abac"), 3);
        assert_eq!(begun(b"a", b"a"), 0);
        let stops = ["END".to_owned(), "\n\n".to_owned()];
        let mut spoken = Spoken::new(Printer::new(Format::Json), &stops);
        let ended = b"an END"
            .iter()
            .map(|byte| spoken.push(*byte).unwrap().break_value());
        assert_eq!(ended.flatten().collect::<Vec<_>>(), [End::Stop]);
        assert_eq!(spoken.finish().unwrap(), b"an ");
    }
}
