//! The summary as people see it, and that nothing breaks it.

use super::*;
use crate::report::sample;

const WIDE: Terminal<'static> = Terminal { colour: false, width: 100, directory: Some("reports/20261121-091500-a1b2") };

#[test]
fn snapshots() {
    for (name, report) in sample::all() {
        insta::assert_snapshot!(name, terminal(&report, WIDE));
    }
}

#[test]
fn a_passing_run_fits_one_screen() {
    for (report, lines) in [(sample::passing(), 30), (sample::breached(), 40), (sample::inconclusive(), 40)] {
        let text = terminal(&report, WIDE);
        assert!(text.lines().count() <= lines, "{text}");
    }
}

#[test]
fn any_width_and_any_text_is_rendered_within_the_width() {
    for (name, report) in sample::all() {
        for width in (0..130).chain([1_000, usize::MAX]) {
            for colour in [false, true] {
                let text = terminal(&report, Terminal { colour, width, directory: None });
                if !colour {
                    // Commands are to be copied, and never cut.
                    let is_command = |line: &str| {
                        ["Repr", "Run again"].iter().any(|label| line.starts_with(label)) || line.starts_with("replay")
                    };
                    let long = text.lines().find(|line| line.chars().count() > width.max(40) && !is_command(line));
                    assert_eq!(long, None, "{name} {width}");
                    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{name}");
                }
            }
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    for (name, report) in sample::all() {
        let coloured = terminal(&report, Terminal { colour: true, ..WIDE });
        assert!(coloured.contains('\u{1b}'));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        let trimmed = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trimmed(&plain), trimmed(&terminal(&report, WIDE)), "{name}");
    }
}
