//! `soma completions`: what makes a shell complete commands.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{args::Cli, error::CliResult, printer::Printer};

/// `soma completions`. The script is the same with `--json`: it is read by a shell.
pub fn run(printer: Printer, shell: Shell) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "soma", &mut script);
    printer.line(String::from_utf8_lossy(&script).trim_end())
}
