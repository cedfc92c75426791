//! What a simulation leaves behind: checks, tables and figures, and the files they are written to.
//!
//! Numbers are written with six significant digits, so that the same seed gives the same bytes.

use std::{fs, path::Path};

use serde::Serialize;
use soma_files::{At as _, replace};

use crate::{chart::Figure, error::SimError};

/// The file that names the others.
const REPORT: &str = "report.json";

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// The figures it was judged by.
    pub detail: String,
}

impl Check {
    /// A check with what it was judged by.
    pub fn new(name: impl Into<String>, passed: bool, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            passed,
            detail: detail.into(),
        }
    }
}

/// Numbers in columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// The file's name, without its ending.
    pub name: &'static str,
    /// The columns' names.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<f64>>,
}

impl Table {
    fn to_csv(&self) -> String {
        let mut text = self.columns.join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|value| number(*value)).collect();
            text += &cells.join(",");
            text += "\n";
        }
        text
    }

    /// A column by its name, for figures.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn column(&self, name: &str) -> impl Iterator<Item = f64> {
        let place = self.columns.iter().position(|column| *column == name);
        let place = place.unwrap_or_else(|| panic!("table {} has no column {name}", self.name));
        self.rows.iter().map(move |row| row[place])
    }
}

/// Six significant digits, no more zeros than needed.
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { "nan".into() };
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// What one part of a simulation found.
#[derive(Clone, Debug, Default)]
pub struct Study {
    /// What must hold.
    pub checks: Vec<Check>,
    /// Its numbers.
    pub tables: Vec<Table>,
    /// Its pictures.
    pub figures: Vec<Figure>,
}

/// What a simulation found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Epochs of the long run.
    pub epochs: u64,
    /// What every draw came from.
    pub seed: u64,
    /// Whether every check passed.
    pub passed: bool,
    /// What must hold.
    pub checks: Vec<Check>,
    /// The files beside the report.
    pub files: Vec<String>,
}

/// A report with the files beside it.
#[derive(Clone, Debug)]
pub struct Output {
    /// The report.
    pub report: Report,
    /// Names and contents.
    files: Vec<(String, String)>,
}

impl Output {
    /// Joins studies.
    #[must_use]
    pub fn new(epochs: u64, seed: u64, studies: Vec<Study>) -> Self {
        let mut files = Vec::new();
        let mut checks = Vec::new();
        for study in studies {
            checks.extend(study.checks);
            files.extend(
                study
                    .tables
                    .iter()
                    .map(|table| (format!("{}.csv", table.name), table.to_csv())),
            );
            files.extend(
                study
                    .figures
                    .iter()
                    .map(|figure| (format!("{}.svg", figure.name), figure.to_svg())),
            );
        }
        let report = Report {
            epochs,
            seed,
            passed: checks.iter().all(|check: &Check| check.passed),
            checks,
            files: files.iter().map(|(name, _)| name.clone()).collect(),
        };
        Self { report, files }
    }

    /// Makes the folder that [`Output::write`] writes into, and checks that it takes files: before the years
    /// of work whose result they are.
    ///
    /// # Errors
    /// When it does not.
    pub fn prepare(dir: &Path) -> Result<(), SimError> {
        fs::create_dir_all(dir).at("create", dir)?;
        soma_files::Output::check(&dir.join(REPORT))?;
        Ok(())
    }

    /// Writes `report.json` and the files beside it into a folder.
    ///
    /// # Errors
    /// When one cannot be written.
    ///
    /// # Panics
    /// Never: a report is always representable.
    pub fn write(&self, dir: &Path) -> Result<(), SimError> {
        Self::prepare(dir)?;
        let json =
            serde_json::to_string_pretty(&self.report).expect("a report is always representable") + "\n";
        for (name, content) in self.files.iter().chain([&(REPORT.to_owned(), json)]) {
            replace(&dir.join(name), content.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.8, "1234568"),
            (0.123_456_78, "0.123457"),
            (-2.5, "-2.5"),
            (100.0, "100"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
