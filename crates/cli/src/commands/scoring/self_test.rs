//! `soma score self-test`: whether this machine scores exactly.

use serde::Serialize;
use soma_model::{
    Simd,
    conformance::{self, Suite, Tally},
    device,
};

use crate::{
    error::{CliError, CliResult},
    printer::{Printer, table},
};

/// What one backend made of the suite; no tallies where the processor cannot run it.
#[derive(Serialize)]
struct BackendOutput {
    backend: String,
    supported: bool,
    chosen: bool,
    exact: bool,
    operations: Vec<Tally>,
}

#[derive(Serialize)]
struct SelfTestOutput {
    suite: u32,
    blake3: &'static str,
    exact: bool,
    backends: Vec<BackendOutput>,
}

/// `soma score self-test`.
pub fn self_test(printer: Printer) -> CliResult {
    let suite = Suite::load()?;
    let (chosen, device) = (Simd::chosen()?, device::named()?);
    let mut backends = Simd::ALL
        .into_iter()
        .map(|simd| {
            let supported = Simd::supported().any(|other| other == simd);
            let operations = if supported { suite.run(simd)? } else { Vec::new() };
            Ok(BackendOutput {
                backend: simd.to_string(),
                supported,
                chosen: simd == chosen && device.is_none(),
                exact: supported && operations.iter().all(|tally| tally.matched == tally.cases),
                operations,
            })
        })
        .collect::<CliResult<Vec<_>>>()?;
    backends.extend(device.map(|device| {
        let operations = suite.run_on(device);
        BackendOutput {
            backend: device.name().to_owned(),
            supported: true,
            chosen: true,
            exact: operations.iter().all(|tally| tally.matched == tally.cases),
            operations,
        }
    }));
    let output = SelfTestOutput {
        suite: conformance::VERSION,
        blake3: conformance::DIGEST,
        exact: backends.iter().all(|backend| backend.exact || !backend.supported),
        backends,
    };
    printer.show(&output, self_test_text)?;
    if output.exact {
        Ok(())
    } else {
        Err(
            CliError::new("a backend differs from the reference: it must not score on this machine")
                .hint("force one that matches with SOMA_SIMD or SOMA_DEVICE, and report the processor's or GPU's model"),
        )
    }
}

/// One row for each operation, one column for each backend.
fn self_test_text(output: &SelfTestOutput) -> String {
    let runs: Vec<&BackendOutput> = output
        .backends
        .iter()
        .filter(|backend| backend.supported)
        .collect();
    let names: Vec<String> = runs
        .iter()
        .map(|run| format!("{}{}", run.backend, if run.chosen { "*" } else { "" }))
        .collect();
    let mut header = vec!["operation"];
    header.extend(names.iter().map(String::as_str));
    let operations = runs.first().map_or(0, |run| run.operations.len());
    let rows = (0..operations).map(|row| {
        let name = runs[0].operations[row].operation.to_owned();
        let cells = runs.iter().map(|run| {
            let Tally { matched, cases, .. } = run.operations[row];
            format!("{matched}/{cases}")
        });
        std::iter::once(name).chain(cells).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let absent: Vec<&str> = output
        .backends
        .iter()
        .filter(|backend| !backend.supported)
        .map(|backend| backend.backend.as_str())
        .collect();
    let mut text = table(&header, &header[1..], rows);
    text += &format!("\nsuite {}, BLAKE3 {}\n", output.suite, output.blake3);
    text += "* scores on this machine\n";
    if !absent.is_empty() {
        text += &format!("not for this processor: {}\n", absent.join(", "));
    }
    text
}
