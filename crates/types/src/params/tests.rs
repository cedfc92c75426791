use super::*;

#[test]
fn presets_are_valid_and_survive_json() {
    for preset in [Params::std(), Params::local()] {
        assert_eq!(preset.clone().validate(), Ok(preset.clone()));
        let json = serde_json::to_string(&preset).unwrap();
        assert_eq!(serde_json::from_str::<Params>(&json).unwrap(), preset);
    }
}

#[test]
fn bounds_are_named() {
    let params = Params {
        epoch_blocks: 0,
        ..Params::local()
    };
    assert!(matches!(
        params.validate(),
        Err(ParamsError::Range {
            name: "epoch_blocks",
            ..
        })
    ));
    let params = Params {
        difficulty_start_q16: -5 * ONE_Q16,
        ..Params::local()
    };
    assert!(params.validate().is_err());
}

/// Section 13 of `docs/protocol.md`, made from the presets.
fn section() -> String {
    let values = |params: &Params| -> Vec<(String, String)> {
        let json = serde_json::to_string_pretty(params).unwrap();
        let lines = json
            .lines()
            .filter_map(|line| line.trim_end_matches(',').strip_prefix("  \""));
        lines
            .filter_map(|line| line.split_once("\": "))
            .filter(|(name, _)| !["preset", "architecture"].contains(name))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect()
    };
    let (std, local) = (values(&Params::std()), values(&Params::local()));
    let mut text = String::from(
        "## 13. Parameters\n\nMade from the presets (`SOMA_UPDATE_DOCS=1 cargo nextest run -p soma-types documented` writes \
         it anew). Amounts are in shannons, shares in basis points, names with `q16` in 2^-16; `auditors` 0 is the whole \
         committee.\n\n| parameter | std | local |\n|---|---|---|\n",
    );
    for ((name, std), (_, local)) in std.iter().zip(&local) {
        text += &format!("| `{name}` | {std} | {local} |\n");
    }
    text
}

#[test]
fn every_parameter_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (rules, written) = document.split_at(document.find("## 13. ").expect("a section 13"));
    if std::env::var_os("SOMA_UPDATE_DOCS").is_some() {
        std::fs::write(path, rules.to_owned() + &section()).unwrap();
        return;
    }
    assert!(
        written == section(),
        "docs/protocol.md, section 13 is out of date: see its first sentence"
    );
}
