//! A command line that makes no sense, told without what may be a secret in it.

use std::io::{self, Write as _};

use clap::{
    Error,
    error::{ContextKind, ContextValue},
};
use soma_types::{
    secrecy::{self, without_keys},
    text::printable_lines,
};

/// The parser's words for `error`, fit to be shown. They repeat what was typed, which can be a key or hold a
/// password.
pub fn text(error: Error) -> String {
    let error = repeatable(error);
    printable_lines(&without_keys(&error.to_string())).into_owned()
}

/// Prints what [`text`] says: in the parser's colours where that hides nothing.
pub fn print(error: Error) {
    let error = repeatable(error);
    let rendered = error.render().to_string();
    let shown = printable_lines(&without_keys(&rendered)).into_owned();
    if shown == rendered {
        // Where nobody listens, the exit code has to do.
        let _ = error.print();
    } else {
        let _ = io::stderr().lock().write_all(shown.as_bytes());
    }
}

/// `error` with what was typed as it may be repeated.
fn repeatable(mut error: Error) -> Error {
    let typed = |kind| {
        matches!(
            kind,
            ContextKind::InvalidArg
                | ContextKind::InvalidSubcommand
                | ContextKind::InvalidValue
                | ContextKind::TrailingArg
        )
    };
    let shown: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter(|(kind, _)| typed(*kind))
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(secrecy::repeatable(text)))),
            _ => None,
        })
        .collect();
    for (kind, value) in shown {
        error.insert(kind, value);
    }
    error
}
