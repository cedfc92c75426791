//! Where output goes: data to standard output, everything else to standard error; JSON on request.
//! Meaningful without colour and without a terminal.
//!
//! Much of what is shown was written by strangers. A value enters a line by [`facts`] or [`table`], a note is
//! one line, and what strangers wrote stays on the line it is put on: nothing that is printed moves the
//! cursor or forges a line.

use std::{
    io::{self, IsTerminal as _, Write as _},
    ops::ControlFlow,
};

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use soma_types::text::{excerpt, printable, printable_json, printable_lines};

use crate::error::{CliError, CliResult};

/// Most characters of one value in a table or beside a name.
const VALUE_CHARACTERS_MAX: usize = 2_000;

/// How results are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one stable JSON document.
    Json,
}

/// Prints results.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
}

impl Printer {
    /// A printer of this format.
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format asked for.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Prints `value` as JSON, or what `text` makes of it.
    pub fn show<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> CliResult {
        let output = match self.format {
            Format::Json => printable_json(&serde_json::to_string_pretty(value)?).into_owned(),
            Format::Text => text(value),
        };
        // No text at all says nothing, not even an empty line.
        if output.is_empty() {
            Ok(())
        } else {
            self.line(output.trim_end())
        }
    }

    /// Prints one line of data, or several.
    pub fn line(&self, text: &str) -> CliResult {
        match self.put(&printable_lines(text)) {
            // Whoever read our output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| CliError::unprinted(&error)),
        }
    }

    /// Prints a piece of text as a model writes it: to a terminal what acts as its escape, elsewhere every
    /// byte as it is. Breaks when whoever read our output has seen enough.
    pub fn piece(&self, bytes: &[u8]) -> CliResult<ControlFlow<()>> {
        let mut output = io::stdout().lock();
        let written = if output.is_terminal() {
            output.write_all(printable_lines(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            output.write_all(bytes)
        };
        match written.and_then(|()| output.flush()) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(error) => Err(CliError::unprinted(&error)),
        }
    }

    /// Ends the line of the last [`Self::piece`] where a terminal's prompt would follow.
    pub fn end_piece(&self) -> CliResult {
        if io::stdout().is_terminal() {
            let _ = self.piece(b"\n")?;
        }
        Ok(())
    }

    /// Prints what must be seen, as JSON or as what `text` makes of it: nobody to read it is an error too.
    pub fn show_surely<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> CliResult {
        let output = match self.format {
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Text => text(value),
        };
        let printed = if may_be_closed() {
            let closed = "standard output is closed, or the null device";
            Err(io::Error::new(io::ErrorKind::NotConnected, closed))
        } else {
            self.put(&printable_lines(output.trim_end()))
        };
        printed.map_err(|error| CliError::unprinted(&error))
    }

    fn put(&self, text: &str) -> io::Result<()> {
        let mut output = io::stdout().lock();
        writeln!(output, "{text}")?;
        output.flush()
    }

    /// Tells the person in one line what is going on; never part of the data. Under `--json` a line of JSON,
    /// as errors are.
    pub fn note(&self, text: impl AsRef<str>) {
        let line = match self.format {
            Format::Json => serde_json::json!({ "note": text.as_ref() }).to_string(),
            Format::Text => text.as_ref().to_owned(),
        };
        // Nobody has to listen.
        let _ = writeln!(io::stderr().lock(), "{}", printable(&line));
    }

    /// A note for each line of `text`, whose parts are printable already.
    pub fn notes(&self, text: &str) {
        for line in text.lines() {
            self.note(line);
        }
    }

    /// A progress bar of `length` steps on standard error, invisible where that is no terminal.
    pub fn progress(&self, length: u64, template: &str) -> ProgressBar {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), target).with_style(style.progress_chars("━╸ "))
    }
}

/// Whether the process was started without standard output, it may be. Then the language's runtime has opened
/// the null device for it, to read and to write. A shell that wants no output opens it to write; other
/// programs (Python's `DEVNULL`) as the runtime does.
fn may_be_closed() -> bool {
    use std::os::fd::AsFd as _;

    let output = io::stdout();
    let is_null = || {
        let (found, null) = (
            rustix::fs::fstat(output.as_fd()).ok()?,
            rustix::fs::stat("/dev/null").ok()?,
        );
        Some(found.st_rdev == null.st_rdev)
    };
    rustix::fs::fcntl_getfl(output.as_fd()).is_ok_and(|flags| flags.contains(rustix::fs::OFlags::RDWR))
        && is_null().unwrap_or(false)
}

/// A plain table: a header, then rows; columns named in `right` are right-aligned.
pub fn table(header: &[&str], right: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(header.iter().map(|name| Cell::new(name.to_uppercase())));
    for row in rows {
        table.add_row(row.iter().map(|value| excerpt(value, VALUE_CHARACTERS_MAX)));
    }
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if right.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// How many there are of what is called `one`: `1 model`, `2 models`.
pub fn count(number: impl Into<u64>, one: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}

/// An id short enough for a table, and still enough to recognise it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "ids are small, and references to them will do"
)]
pub fn short(id: impl ToString) -> String {
    let text = id.to_string();
    if text.len() > 14 {
        format!("{}..{}", &text[..8], &text[text.len() - 4..])
    } else {
        text
    }
}

/// Names and values, one pair per line, aligned. A name that repeats the line above is left out.
pub fn facts(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    let mut above = "";
    for (name, value) in lines {
        let shown = if *name == above { "" } else { name };
        let value = excerpt(value, VALUE_CHARACTERS_MAX);
        text += format!("{shown:<width$}  {value}").trim_end();
        text += "\n";
        above = name;
    }
    text
}
