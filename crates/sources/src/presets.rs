//! Data sets that people train on, by name.
//!
//! What a row says here was written down from the data sets' own pages; what is read is whatever the hub
//! serves. A licence here is that of the collection: the texts in it have authors, whose rights it does not
//! settle. docs/data.md says what else one should know of each.

/// A data set that is known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// What it is called: `NAME`, or `NAME/PART`.
    pub name: &'static str,
    /// Its owner and name on the hub.
    pub dataset: &'static str,
    /// The folder that is read if no part is named; empty for all of it.
    pub folder: &'static str,
    /// Where parts are, before their name.
    pub parts: &'static str,
    /// The column of its text.
    pub column: &'static str,
    /// Whether that holds ids of contents that lie in Software Heritage's bucket.
    pub by_id: bool,
    /// The licence of the collection.
    pub licence: &'static str,
}

/// All of them.
pub const PRESETS: [Preset; 5] = [
    Preset {
        name: "fineweb",
        dataset: "HuggingFaceFW/fineweb",
        folder: "sample/10BT",
        parts: "",
        column: "text",
        by_id: false,
        licence: "odc-by",
    },
    Preset {
        name: "fineweb-edu",
        dataset: "HuggingFaceFW/fineweb-edu",
        folder: "sample/10BT",
        parts: "",
        column: "text",
        by_id: false,
        licence: "odc-by",
    },
    Preset {
        name: "the-stack-v2",
        dataset: "bigcode/the-stack-v2",
        folder: "data/Python",
        parts: "data/",
        column: "blob_id",
        by_id: true,
        licence: "other",
    },
    Preset {
        name: "starcoderdata",
        dataset: "bigcode/starcoderdata",
        folder: "python",
        parts: "",
        column: "content",
        by_id: false,
        licence: "other",
    },
    Preset {
        name: "swe-bench",
        dataset: "princeton-nlp/SWE-bench",
        folder: "data",
        parts: "data/",
        column: "problem_statement",
        by_id: false,
        licence: "unknown",
    },
];

/// The preset that `source` names, and the path within its data set.
pub fn preset(source: &str) -> Option<(&'static Preset, String)> {
    let (name, part) = source.split_once('/').unwrap_or((source, ""));
    let preset = PRESETS.iter().find(|preset| preset.name == name)?;
    let part = part.trim_matches('/');
    let path = if part.is_empty() {
        preset.folder.to_owned()
    } else if preset.name == "swe-bench" {
        // One file for each part.
        format!("{}{part}-*", preset.parts)
    } else {
        format!("{}{part}", preset.parts)
    };
    Some((preset, path))
}

/// What is known of a data set, whatever name it was asked for by.
pub fn known(dataset: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.dataset == dataset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_folders() {
        let of = |source| preset(source).map(|(preset, path)| (preset.dataset, path));
        for (source, dataset, path) in [
            ("fineweb", "HuggingFaceFW/fineweb", "sample/10BT"),
            (
                "fineweb/data/CC-MAIN-2024-10",
                "HuggingFaceFW/fineweb",
                "data/CC-MAIN-2024-10",
            ),
            (
                "fineweb-edu/sample/100BT/",
                "HuggingFaceFW/fineweb-edu",
                "sample/100BT",
            ),
            ("the-stack-v2", "bigcode/the-stack-v2", "data/Python"),
            ("the-stack-v2/Rust", "bigcode/the-stack-v2", "data/Rust"),
            ("starcoderdata/rust", "bigcode/starcoderdata", "rust"),
            ("swe-bench/train", "princeton-nlp/SWE-bench", "data/train-*"),
        ] {
            assert_eq!(of(source), Some((dataset, path.to_owned())), "{source}");
        }
        assert_eq!(of("fineweb2"), None);
        assert_eq!(of(""), None);
    }
}
