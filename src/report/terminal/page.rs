//! Styled lines and aligned columns for the terminal.

use anstyle::{AnsiColor, Style};

use crate::report::format::{middle, visible};

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(super) const MAGENTA: Style = AnsiColor::Magenta.on_default();
pub(super) const BLUE: Style = AnsiColor::Blue.on_default();

/// Width of the labels on the left.
pub(super) const LABEL: usize = 14;

/// A piece of text in one style.
pub(super) type Span = (Style, String);

/// A column: which side its text stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Text under construction. Everything that enters it is made visible first.
pub(super) struct Page {
    text: String,
    colour: bool,
    width: usize,
}

impl Page {
    pub(super) fn new(width: usize, colour: bool) -> Self {
        // Narrower than this, words could not be kept apart; wider, the eye loses the line.
        Page { text: String::new(), colour, width: width.clamp(40, 160) }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line of pieces, cut at the width.
    pub(super) fn line(&mut self, spans: &[Span]) {
        let mut left = self.width;
        let start = self.text.len();
        for (style, text) in spans {
            let text = visible(text);
            let length = text.chars().count();
            let shown = if length > left { middle(&text, left) } else { text };
            left -= length.min(left);
            if self.colour && *style != PLAIN && !shown.is_empty() {
                self.text.push_str(&format!("{style}{shown}{style:#}"));
            } else {
                self.text.push_str(&shown);
            }
        }
        let end = start + self.text[start..].trim_end_matches(' ').len();
        self.text.truncate(end);
        self.text.push('\n');
    }

    /// A label and its text, wrapped beside it.
    pub(super) fn labelled(&mut self, label: &str, style: Style, text: &str) {
        let lines = crate::report::format::wrap(&visible(text), self.width - LABEL);
        for (index, line) in lines.into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.line(&[(BOLD, format!("{label:<LABEL$}")), (style, line)]);
        }
    }

    /// Text with every line indented.
    pub(super) fn wrapped(&mut self, indent: &str, style: Style, text: &str) {
        for line in crate::report::format::wrap(&visible(text), self.width.saturating_sub(indent.len())) {
            self.line(&[(style, format!("{indent}{line}"))]);
        }
    }

    /// A label and a text that is neither wrapped nor cut: a command is to be copied.
    pub(super) fn line_uncut(&mut self, label: &str, text: &str) {
        let width = std::mem::replace(&mut self.width, usize::MAX);
        self.line(&[(BOLD, format!("{label:<LABEL$}")), (PLAIN, text.to_owned())]);
        self.width = width;
    }

    /// Aligned columns; the first line is the heading.
    pub(super) fn table(&mut self, sides: &[Side], rows: &[Vec<Span>]) {
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|(_, text)| visible(text).chars().count())
                .max()
                .unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..sides.len()).map(width).collect();
        let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
        if let Some(first) = widths.first_mut() {
            *first = (*first).min(self.width.saturating_sub(others).max(12));
        }
        for row in rows {
            let mut spans = Vec::new();
            for (((style, text), &width), side) in row.iter().zip(&widths).zip(sides) {
                let text = middle(&visible(text), width).into_owned();
                let padding = " ".repeat(width - text.chars().count());
                let gap = if spans.is_empty() { "" } else { "  " };
                match side {
                    Side::Left => spans.extend([(PLAIN, gap.to_owned()), (*style, text), (PLAIN, padding)]),
                    Side::Right => spans.extend([(PLAIN, format!("{gap}{padding}")), (*style, text)]),
                }
            }
            self.line(&spans);
        }
    }
}
