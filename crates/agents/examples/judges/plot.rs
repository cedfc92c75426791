//! The picture of docs/economy.md: what an owner gains, by how many models are near.

use soma_sim::chart::{Axis, Figure, Ink, Line, Panel, Stroke};

use crate::{
    cast::KINDS,
    rules::{Draw, Hit, Rule},
    study::Findings,
};

/// What requirement c of the rules asks for, in points: mean and worst.
const WANTED: [f64; 2] = [3.0, 6.0];

/// Of what was found of the rules by which the near decide a hit and each is drawn alike.
pub fn figure(found: &[(Rule, Findings)]) -> Figure {
    let even = |(rule, _): &&(Rule, Findings)| rule.hit == Hit::Near && rule.draw == Draw::Even;
    let line = |value: &dyn Fn(&Findings) -> f64| -> Vec<(f64, f64)> {
        let found = found.iter().filter(even);
        found
            .map(|(rule, findings)| (rule.near as f64, 100.0 * value(findings)))
            .collect()
    };
    let wanted = |at: usize| line(&|_| WANTED[at] / 100.0);
    let mut alone: Vec<Line> = KINDS
        .iter()
        .zip([Ink::Blue, Ink::Green, Ink::Purple])
        .enumerate()
        .map(|(kind, (name, ink))| Line::new(*name, ink, line(&|found| found.gains[kind].mean)))
        .collect();
    alone.push(Line::new(
        "codec",
        Ink::Orange,
        line(&|found| found.gains[KINDS.len()].mean),
    ));
    alone.push(Line::new("wanted", Ink::Grey, wanted(0)).stroke(Stroke::Dashed));
    let mut crowd: Vec<Line> = [Ink::Blue, Ink::Green, Ink::Orange]
        .into_iter()
        .enumerate()
        .filter_map(|(place, ink)| {
            let (size, _) = found.first()?.1.crowds.get(place)?;
            let mean = line(&|found| found.crowds[place].1.mean);
            Some(Line::new(format!("{size} models"), ink, mean))
        })
        .collect();
    crowd.push(Line::new("wanted", Ink::Grey, wanted(0)).stroke(Stroke::Dashed));
    Figure {
        name: "judges",
        title:
            "Three judges drawn of the models near a target: what it earns to own a fifth of the documents"
                .into(),
        x: Axis::linear("models near a target"),
        panels: vec![
            Panel {
                y: Axis::linear("gain in points, one model"),
                lines: alone,
            },
            Panel {
                y: Axis::linear("gain in points, several models of one stake"),
                lines: crowd,
            },
            Panel {
                y: Axis::linear("% of its victim's income that a copy earns"),
                lines: vec![Line::new("copy", Ink::Blue, line(&|found| found.copied.mean))],
            },
        ],
    }
}
