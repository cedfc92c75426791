//! `soma eval`: how well each model and the whole predict a text, and which model speaks where.

use serde::Serialize;
use soma_data::Rules;
use soma_model::{MixtureScore, Model, Scorer, score::DATA_BYTES_MAX};
use soma_types::text::printable;

use super::{
    scoring::shown,
    whole::{Chosen, Expert, experts},
};
use crate::{
    args::EvalArgs,
    error::{CliError, CliResult},
    printer::{Printer, table},
};

/// Letters in a line of the picture.
const LINE: usize = 64;
/// Lines of the picture.
const LINES: usize = 12;
/// The share of all weight with which a model speaks alone.
const ALONE: f64 = 2.0 / 3.0;
/// Names of models in the picture; those after the last share it.
const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";

#[derive(Serialize)]
struct EvalOutput {
    documents: usize,
    /// Bytes that are predicted: all but the first of each chunk.
    predicted_bytes: u64,
    /// What the whole needs; null where nothing is predicted.
    bits_per_byte: f64,
    experts: Vec<ExpertOutput>,
    /// Stretches of equal length, each with the mean weight of every model.
    bytes_per_cell: usize,
    cells: Vec<Vec<f64>>,
}

#[derive(Serialize)]
struct ExpertOutput {
    file: String,
    /// What it needs alone.
    bits_per_byte: f64,
    /// Its mean weight in the whole.
    share: f64,
}

/// `soma eval`.
pub fn run(printer: Printer, args: &EvalArgs) -> CliResult {
    let rules = Rules {
        document_bytes_max: DATA_BYTES_MAX as u64,
        ..Rules::default()
    };
    let reading = soma_sources::read(&args.data, &rules)?;
    printer.notes(&reading.report.to_string());
    let documents = reading.dataset.documents();
    let bytes: usize = documents.iter().map(|document| document.data.len()).sum();
    let texts: Vec<&[u8]> = documents.iter().map(|document| &document.data[..]).collect();
    let chosen = Chosen {
        nearest: args.routed.nearest,
        texts: &texts,
    };
    let experts = experts(
        printer,
        &args.models,
        &chosen,
        |_| 0,
        |architecture| bytes.div_ceil(architecture.max_seq_len as usize) as u64,
    )?;
    let scorer = Scorer::new()?;
    let models: Vec<(&Model, u64)> = experts
        .iter()
        .map(|expert| (&expert.model, expert.stake))
        .collect();
    let mut total: Option<MixtureScore> = None;
    let mut picture = Picture::new(bytes, experts.len());
    for document in documents {
        let score = scorer
            .mixture_by_byte(&models, &document.data, |weights| picture.add(weights))
            .map_err(|error| {
                let document = document.origin.to_string();
                CliError::new(format!("{}: {error}", printable(&document)))
            })?;
        match &mut total {
            Some(total) => total.add(&score),
            None => total = Some(score),
        }
    }
    let total = total.ok_or_else(|| CliError::new("there is no text"))?;
    let output = output(&experts, documents.len(), &total, &picture);
    printer.show(&output, text)?;
    if output.predicted_bytes == 0 {
        printer
            .note("no byte is predicted: the first of a text no model knows, so give one of 2 bytes or more");
    }
    Ok(())
}

fn output(experts: &[Expert], documents: usize, total: &MixtureScore, picture: &Picture) -> EvalOutput {
    let shares = picture.shares();
    let each = experts.iter().zip(total.experts_bits_per_byte()).zip(shares);
    EvalOutput {
        documents,
        predicted_bytes: total.predicted_bytes,
        bits_per_byte: total.mixture_bits_per_byte(),
        experts: each
            .map(|((expert, bits_per_byte), share)| ExpertOutput {
                file: shown(&expert.path),
                bits_per_byte,
                share,
            })
            .collect(),
        bytes_per_cell: picture.bytes_per_cell,
        cells: picture.means(),
    }
}

/// Weights of models along a text, summed by stretches.
struct Picture {
    bytes_per_cell: usize,
    experts: usize,
    /// Bytes seen.
    bytes: usize,
    /// By stretch, then by model.
    sums: Vec<Vec<f64>>,
}

impl Picture {
    fn new(bytes: usize, experts: usize) -> Self {
        Self {
            bytes_per_cell: bytes.div_ceil(LINE * LINES).max(1),
            experts,
            bytes: 0,
            sums: Vec::new(),
        }
    }

    /// The weights after a byte.
    fn add(&mut self, weights: &[f64]) {
        if self.bytes.is_multiple_of(self.bytes_per_cell) {
            self.sums.push(vec![0.0; self.experts]);
        }
        self.bytes += 1;
        if let Some(cell) = self.sums.last_mut() {
            cell.iter_mut()
                .zip(weights)
                .for_each(|(sum, weight)| *sum += weight);
        }
    }

    fn means(&self) -> Vec<Vec<f64>> {
        let cells = self.sums.iter().enumerate();
        cells
            .map(|(index, sums)| {
                let bytes = self.bytes_per_cell.min(self.bytes - index * self.bytes_per_cell);
                sums.iter().map(|sum| sum / bytes as f64).collect()
            })
            .collect()
    }

    /// Mean weights over all of the text; not numbers where nothing is seen.
    fn shares(&self) -> Vec<f64> {
        let of = |expert: usize| self.sums.iter().map(|cell| cell[expert]).sum::<f64>();
        (0..self.experts)
            .map(|expert| of(expert) / self.bytes as f64)
            .collect()
    }
}

/// The letter of the model with the most weight, large where it speaks alone.
fn letter(weights: &[f64]) -> char {
    let first = (0, f64::NEG_INFINITY);
    let (expert, weight) =
        weights.iter().enumerate().fold(
            first,
            |most, (expert, weight)| {
                if *weight > most.1 { (expert, *weight) } else { most }
            },
        );
    let letter = char::from(LETTERS[expert.min(LETTERS.len() - 1)]);
    if weight >= ALONE {
        letter.to_ascii_uppercase()
    } else {
        letter
    }
}

/// A number as `shown`; a dash where there is none.
fn number(value: f64, shown: impl FnOnce(f64) -> String) -> String {
    if value.is_nan() {
        return "-".to_owned();
    }
    shown(value)
}

fn text(output: &EvalOutput) -> String {
    let rows = output.experts.iter().enumerate().map(|(index, expert)| {
        let letter = LETTERS[index.min(LETTERS.len() - 1)].to_ascii_uppercase();
        vec![
            char::from(letter).to_string(),
            expert.file.clone(),
            number(expert.bits_per_byte, |bits| format!("{bits:.3}")),
            number(expert.share, |share| format!("{:.0}%", 100.0 * share)),
        ]
    });
    let whole = vec![
        String::new(),
        "the whole".to_owned(),
        number(output.bits_per_byte, |bits| format!("{bits:.3}")),
        "100%".to_owned(),
    ];
    let header = ["", "model", "bits/byte", "share"];
    let rows: Vec<Vec<String>> = rows.chain([whole]).collect();
    let mut text = table(&header, &header[2..], rows);
    if output.cells.is_empty() {
        return text;
    }
    let letters: Vec<char> = output.cells.iter().map(|weights| letter(weights)).collect();
    text.push('\n');
    for line in letters.chunks(LINE) {
        text.extend(line);
        text.push('\n');
    }
    text += &format!(
        "a letter is {} bytes: the model with the most weight there, small where it has less than two thirds\n",
        output.bytes_per_cell
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_letter_for_each_stretch() {
        let mut picture = Picture::new(LINE * LINES * 2 - 1, 2);
        assert_eq!(picture.bytes_per_cell, 2);
        for weights in [[0.75, 0.25], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.0, 1.0]] {
            picture.add(&weights);
        }
        let means = picture.means();
        assert_eq!(means, [[0.75, 0.25], [0.375, 0.625], [0.0, 1.0]]);
        assert_eq!(means.iter().map(|cell| letter(cell)).collect::<String>(), "AbB");
        assert_eq!(picture.shares(), [0.45, 0.55]);
    }

    #[test]
    fn there_are_letters_for_any_number_of_models() {
        let mut weights = vec![0.0; 40];
        weights[39] = 1.0;
        assert_eq!(letter(&weights), 'Z');
    }
}
