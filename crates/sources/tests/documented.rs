//! docs/data.md says of the data sets by name what the program does.

use soma_sources::PRESETS;

#[test]
fn the_presets_stand_in_the_docs() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/data.md")).unwrap();
    for preset in PRESETS {
        let start = format!(
            "| `{}` | `{}` | `{}` |",
            preset.name, preset.dataset, preset.folder
        );
        let row = docs.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("no row of docs/data.md begins {start}"));
        assert!(
            row.contains(preset.column) && row.contains(preset.licence),
            "{row}"
        );
    }
}
