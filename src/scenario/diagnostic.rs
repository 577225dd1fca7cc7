//! Mistakes in a scenario and how they are shown: file, line, column, the line itself and a caret. Main types:
//! [`Problem`] and [`Diagnostics`]. The only file that knows annotate-snippets.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};

use super::source::{Source, Sources};
use super::suggest::nearest;

/// One mistake.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// What is wrong.
    pub(super) message: String,
    /// Where, in the offsets of [`Sources`]; `None` if it is about the scenario as a whole.
    pub(super) span: Option<Range<usize>>,
    /// Said at the caret.
    pub(super) label: Option<String>,
    /// Another place that has to do with it.
    pub(super) related: Option<(Range<usize>, String)>,
    /// What to do.
    pub(super) help: Option<String>,
}

impl Problem {
    /// A mistake at a place.
    pub(super) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Problem { message: message.into(), span: Some(span), label: None, related: None, help: None }
    }

    /// A mistake of the scenario as a whole.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Problem { message: message.into(), span: None, label: None, related: None, help: None }
    }

    /// A word that is not among the known ones.
    pub(super) fn unknown<'a>(
        span: Range<usize>,
        kind: &str,
        word: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let listed: Vec<String> = known.clone().into_iter().map(|word| format!("`{word}`")).collect();
        let help = match listed.is_empty() {
            true => "none exists here".to_owned(),
            false => format!("known: {}", listed.join(", ")),
        };
        let problem = Problem::at(span, format!("unknown {kind} `{word}`")).help(help);
        match nearest(word, known) {
            Some(meant) => problem.label(format!("did you mean `{meant}`?")),
            None => problem,
        }
    }

    /// Adds what is said at the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place.
    pub(super) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }

    /// Changes every text of it.
    pub(super) fn map_texts(&mut self, change: impl Fn(&str) -> String) {
        self.message = change(&self.message);
        let more = [&mut self.label, &mut self.help];
        for text in more.into_iter().flatten().chain(self.related.as_mut().map(|(_, label)| label)) {
            *text = change(text);
        }
    }
}

/// Every mistake found, and the texts that they lie in.
#[derive(Debug)]
pub struct Diagnostics {
    sources: Sources,
    problems: Vec<Problem>,
}

impl Diagnostics {
    /// In the order of the texts; what is about the whole comes last.
    pub(super) fn new(sources: Sources, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
        Diagnostics { sources, problems }
    }

    /// How many mistakes there are.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// All mistakes as text for people.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let shown: Vec<String> = self.problems.iter().map(|problem| renderer.render(&[self.group(problem)])).collect();
        let mut text = shown.join("\n\n");
        if self.problems.len() > 1 {
            text.push_str(&format!("\n\n{} errors in {}", self.problems.len(), self.sources.file().name));
        }
        text.push('\n');
        text
    }

    fn group<'a>(&'a self, problem: &Problem) -> Group<'a> {
        let title = Level::ERROR.primary_title(normalize_untrusted_str(&problem.message));
        let mut group = Group::with_title(title);
        let primary = problem.span.as_ref().map(|span| (span, problem.label.as_deref(), AnnotationKind::Primary));
        let related =
            problem.related.as_ref().map(|(span, label)| (span, Some(label.as_str()), AnnotationKind::Context));
        match (primary, related) {
            (Some(first), Some(second))
                if self.sources.at(first.0.start).base == self.sources.at(second.0.start).base =>
            {
                let source = self.sources.at(first.0.start);
                group = group.element(snippet(source).annotations([mark(source, first), mark(source, second)]));
            }
            (first, second) => {
                for place in [first, second].into_iter().flatten() {
                    let source = self.sources.at(place.0.start);
                    group = group.element(snippet(source).annotation(mark(source, place)));
                }
            }
        }
        if problem.span.is_none() {
            group = group.element(annotate_snippets::Origin::path(self.sources.file().name.as_str()));
        }
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(normalize_untrusted_str(help))),
            None => group,
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.problems.first().map_or("", |problem| problem.message.as_str());
        match self.problems.len() {
            0 | 1 => write!(f, "{}: {first}", self.sources.file().name),
            more => write!(f, "{}: {first} (and {} more)", self.sources.file().name, more - 1),
        }
    }
}

fn snippet(source: &Source) -> Snippet<'_, Annotation<'_>> {
    Snippet::source(source.text.as_str()).path(source.name.as_str())
}

/// A caret, kept on one line and inside the text: a table's span may cover many lines.
fn mark<'a>(source: &Source, (span, label, kind): (&Range<usize>, Option<&str>, AnnotationKind)) -> Annotation<'a> {
    let text = &source.text;
    let start = text.floor_char_boundary(span.start.saturating_sub(source.base).min(text.len()));
    let line_end = text[start..].find(['\r', '\n']).map_or(text.len(), |length| start + length);
    let end = text.ceil_char_boundary(span.end.saturating_sub(source.base)).clamp(start, line_end);
    kind.span(start..end).label(label.map(normalize_untrusted_str))
}
