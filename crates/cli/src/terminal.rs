//! The terminal itself: where a person is asked, whatever is redirected, and what they type stays unseen.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    sync::{Mutex, PoisonError},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::getpgrp,
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};
use zeroize::Zeroizing;

use crate::error::{CliError, CliResult};

/// The terminal of this process, by the name that every process knows it by.
const PATH: &str = "/dev/tty";
/// Most that is read as one answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Until what was pasted has arrived as a whole.
const PASTE_PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// The control code that stops nothing.
const NO_CODE: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// A terminal that shows nothing of what is typed, and how it was before.
static UNSEEN: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// The terminal that this process runs at, in its foreground.
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// The terminal, if there is one and a person at it: who runs a command in its background is not asked.
    pub fn open() -> Option<Self> {
        let file = OpenOptions::new().read(true).write(true).open(PATH).ok()?;
        let foreground = tcgetpgrp(&file).ok()?;
        (foreground == getpgrp()).then_some(Self(file))
    }

    /// Asks for one line, which is not shown. `None` where the input ends instead.
    pub async fn ask(&self, prompt: &str) -> CliResult<Option<Zeroizing<String>>> {
        self.ask_until(prompt, |_| true).await
    }

    /// Asks for lines, none of which is shown, until they are whole or an empty one ends them.
    pub async fn ask_until(
        &self,
        prompt: &str,
        is_whole: impl Fn(&str) -> bool + Send + 'static,
    ) -> CliResult<Option<Zeroizing<String>>> {
        let mut file = self.0.try_clone()?;
        file.write_all(prompt.as_bytes())?;
        let unseen = Unseen::begin(&file)?;
        let answer = tokio::task::spawn_blocking(move || read(&mut file, &is_whole)).await?;
        drop(unseen);
        answer
    }

    /// Tells the person something.
    pub fn tell(&self, text: &str) -> CliResult {
        Ok(writeln!(&self.0, "{text}")?)
    }
}

/// Shows again what is typed, if that was off: before the process ends at once.
pub fn restore() {
    let mut unseen = UNSEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((mut file, before)) = unseen.take() {
        // Nobody is left to tell. What was typed ahead is for us, not for the shell.
        let _ = tcsetattr(&file, OptionalActions::Flush, &before);
        let _ = file.write_all(b"\n");
    }
}

/// As long as it lives, the terminal shows nothing of what is typed.
struct Unseen;

impl Unseen {
    fn begin(file: &File) -> CliResult<Self> {
        let before = tcgetattr(file).map_err(io::Error::from)?;
        let mut quiet = before.clone();
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ECHONL);
        quiet.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        // A stopped process would leave the terminal as it is.
        quiet.special_codes[SpecialCodeIndex::VSUSP] = NO_CODE;
        let copy = file.try_clone()?;
        let mut unseen = UNSEEN.lock().unwrap_or_else(PoisonError::into_inner);
        tcsetattr(file, OptionalActions::Flush, &quiet).map_err(io::Error::from)?;
        *unseen = Some((copy, before));
        Ok(Self)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        restore();
    }
}

/// Reads lines until they are whole and nothing more is on its way.
fn read(file: &mut File, is_whole: &dyn Fn(&str) -> bool) -> CliResult<Option<Zeroizing<String>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    let mut line = Zeroizing::new([0; 4096]);
    loop {
        // One line at a time, as the terminal gives them.
        let length = file.read(line.as_mut())?;
        if length == 0 && bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() + length > ANSWER_BYTES_MAX {
            return Err(CliError::new(format!(
                "what was typed is longer than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        bytes.extend_from_slice(&line[..length]);
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            CliError::new("what was typed is not UTF-8").hint("check the terminal's encoding")
        })?;
        let ended = length == 0 || line[..length] == *b"\n";
        if (ended || is_whole(text)) && !more_to_come(file) {
            return Ok(Some(Zeroizing::new(
                text.trim_end_matches(['\r', '\n']).to_owned(),
            )));
        }
    }
}

/// Whether more was pasted than has been read.
fn more_to_come(file: &File) -> bool {
    let mut wait = [PollFd::new(file, PollFlags::IN)];
    poll(&mut wait, Some(&PASTE_PAUSE)).is_ok_and(|ready| ready > 0)
}
