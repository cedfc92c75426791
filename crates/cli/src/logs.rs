//! What libraries tell while they run: lines on standard error, for people or for programs.

use std::{fmt, io};

use soma_operator::{Config, LogFormat};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{EnvFilter, Layer, filter::Targets, layer::Context, prelude::*, registry};

use crate::{
    error::{CliError, CliResult},
    printer::Printer,
};

/// From here on what sources warn of is a note: that one hangs and is tried again, say.
pub fn note(printer: Printer) {
    let of_sources = Targets::new().with_target("soma_sources", Level::WARN);
    // One that listens already has its own way to tell.
    let _ = registry().with(Notes(printer).with_filter(of_sources)).try_init();
}

/// What prints warnings as notes.
struct Notes(Printer);

impl<S: Subscriber> Layer<S> for Notes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0.note(message.0);
    }
}

/// An event's text.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// From here on what the node tells is written as `config` says.
pub fn start(config: &Config) -> CliResult {
    let filter = EnvFilter::try_new(&config.log.filter).map_err(|error| {
        CliError::usage(format!("[log] filter = '{}': {error}", config.log.filter))
            .hint("a level (error, warn, info, debug, trace), or levels of modules: 'info,soma_node=debug'")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false);
    let started = match config.log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(CliError::new)
}
