//! The classes of executions: [`Class`], and what decides them.

use std::collections::{BTreeMap, BTreeSet};

use super::canon::{self, Items};
use super::normal::{Normal, Term};

/// What an execution is, held against the serial runs. The first that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Its outcome is that of a serial order.
    Serial,
    /// Some requests were refused; the rest is as if they had not been sent.
    Refused,
    /// Each answer is one that some order gives, but no one order gives them all.
    Mixed,
    /// The documents are those of no order.
    Lasting,
    /// The documents are those of an order, the statuses are not.
    Status,
    /// Documents and statuses are those of an order, an answer is that of none.
    Answer,
}

impl Class {
    /// All, from harmless to harmful.
    pub const ALL: [Class; 6] =
        [Class::Serial, Class::Refused, Class::Mixed, Class::Answer, Class::Status, Class::Lasting];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Class::Serial => "serial",
            Class::Refused => "refused",
            Class::Mixed => "mixed",
            Class::Lasting => "anomaly-lasting",
            Class::Status => "anomaly-status",
            Class::Answer => "anomaly-answer",
        }
    }

    /// Whether an effect was seen that no order has.
    pub fn is_anomaly(self) -> bool {
        matches!(self, Class::Lasting | Class::Status | Class::Answer)
    }

    /// Whether it violates the invariant; strictly, everything does that is not serial.
    pub fn violates(self, strict: bool) -> bool {
        self.is_anomaly() || (strict && self != Class::Serial)
    }
}

/// How many executions are of each class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes(BTreeMap<Class, u64>);

impl Classes {
    /// Counts one.
    pub fn add(&mut self, class: Class) {
        *self.0.entry(class).or_default() += 1;
    }

    /// How many are of a class.
    pub fn of(&self, class: Class) -> u64 {
        self.0.get(&class).copied().unwrap_or_default()
    }
}

/// The forms that an outcome is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forms {
    /// All of it.
    pub(super) all: String,
    documents: String,
    /// With the documents.
    statuses: String,
    /// Each answer and probe, with the documents.
    answers: Vec<String>,
}

/// How values that are made anew are told apart.
pub(super) type Former = fn(&Items<'_>) -> String;

/// The documents of an outcome.
fn documents(normal: &Normal) -> Items<'_> {
    normal.documents.iter().map(|(collection, term)| (format!("document of {collection}"), term)).collect()
}

/// Its answers to these requests.
fn answers<'a>(normal: &'a Normal, requests: &[usize]) -> Items<'a> {
    let kept = normal.answers.iter().filter(|(request, _)| requests.contains(request));
    kept.map(|(request, (status, body))| (format!("answer {}: {status}", whose(normal, *request)), body)).collect()
}

/// Whose answer it is, where that counts.
fn whose(normal: &Normal, request: usize) -> String {
    if normal.is_coarse { "of one".to_owned() } else { request.to_string() }
}

/// Its answers to what was sent once more.
fn probes(normal: &Normal) -> Items<'_> {
    let probes = normal.probes.iter().enumerate();
    probes.map(|(probe, (status, body))| (format!("probe {probe}: {status}"), body)).collect()
}

/// An outcome in words that are cheap to come by: two of the same words have the same forms, and the same class.
pub(super) fn in_words(normal: &Normal) -> String {
    let mut items = answers(normal, &normal.order);
    items.extend(probes(normal));
    items.extend(documents(normal));
    format!("{:?} {}", sorted(&normal.order), canon::as_they_come(&items))
}

impl Forms {
    /// Whether the documents are the same.
    pub(super) fn has_documents_of(&self, other: &Forms) -> bool {
        self.documents == other.documents
    }

    /// The forms of an outcome, as far as these requests are concerned.
    pub(super) fn of(normal: &Normal, requests: &[usize], former: Former) -> Self {
        const NOTHING: &Term = &Term::Masked;
        let (documents, answers, probes) = (documents(normal), answers(normal, requests), probes(normal));
        let kept = normal.answers.iter().filter(|(request, _)| requests.contains(request));
        let statuses: Items<'_> = kept
            .map(|(request, (status, _))| (format!("status {}: {status}", whose(normal, *request)), NOTHING))
            .collect();
        let with = |items: &[(String, &Term)]| {
            let mut all = documents.clone();
            all.extend(items.iter().map(|(label, term)| (label.clone(), *term)));
            former(&all)
        };
        let every: Vec<(String, &Term)> =
            answers.iter().chain(&probes).map(|(label, term)| (label.clone(), *term)).collect();
        Forms {
            all: with(&every),
            documents: former(&documents),
            statuses: with(&statuses),
            answers: every.iter().map(|one| with(std::slice::from_ref(one))).collect(),
        }
    }
}

/// The forms of the serial runs, by the requests that took part.
#[derive(Debug, Default)]
pub(super) struct Specification {
    by_requests: BTreeMap<Vec<usize>, Vec<Forms>>,
}

impl Specification {
    /// Of these runs.
    pub(super) fn of<'a>(runs: impl IntoIterator<Item = &'a Normal>, former: Former) -> Self {
        let mut specification = Specification::default();
        let mut seen = BTreeSet::new();
        for run in runs {
            // Most runs are alike, and their forms are dear.
            if !seen.insert(in_words(run)) {
                continue;
            }
            let forms = Forms::of(run, &run.order, former);
            let known = specification.by_requests.entry(taking_part(run, &run.order)).or_default();
            if !known.contains(&forms) {
                known.push(forms);
            }
        }
        specification
    }

    /// Different outcomes of all these requests.
    pub(super) fn outcomes(&self, requests: &[usize]) -> usize {
        let forms = self.by_requests.get(&sorted(requests)).into_iter().flatten();
        forms.map(|forms| &forms.all).collect::<BTreeSet<_>>().len()
    }

    /// The class of an outcome, and the requests without which it is serial.
    pub(super) fn class(&self, normal: &Normal, refuses: impl Fn(u16) -> bool, former: Former) -> (Class, Vec<usize>) {
        let forms = Forms::of(normal, &normal.order, former);
        let serial = self.by_requests.get(&taking_part(normal, &normal.order)).map_or(&[][..], Vec::as_slice);
        if serial.iter().any(|one| one.all == forms.all) {
            return (Class::Serial, Vec::new());
        }
        let leaves = |request: usize, status: u16| refuses(status) || normal.says_no.contains(&request);
        if let Some(refused) = self.without(normal, leaves, former) {
            return (Class::Refused, refused);
        }
        if let Some(failed) = self.without(normal, |_, status| status >= 500, former) {
            return (Class::Status, failed);
        }
        if let Some(refused) = refused_in_other_words(normal, &forms, serial, &refuses) {
            return (Class::Refused, refused);
        }
        let class = if is_mixed(normal, &forms, serial) {
            Class::Mixed
        } else if !serial.iter().any(|one| one.documents == forms.documents) {
            Class::Lasting
        } else if !serial.iter().any(|one| one.statuses == forms.statuses) {
            Class::Status
        } else {
            Class::Answer
        };
        (class, Vec::new())
    }

    /// The requests with such a status, if without them the outcome is that of a serial run of the others alone.
    fn without(&self, normal: &Normal, leaves: impl Fn(usize, u16) -> bool, former: Former) -> Option<Vec<usize>> {
        let status = |request: &usize| normal.answers.get(request).map_or(0, |(status, _)| *status);
        let (gone, others): (Vec<usize>, Vec<usize>) =
            sorted(&normal.order).into_iter().partition(|request| leaves(*request, status(request)));
        if gone.is_empty() || others.is_empty() {
            return None;
        }
        let forms = Forms::of(normal, &others, former);
        let serial = self.by_requests.get(&taking_part(normal, &others))?;
        (serial.iter().any(|one| one.all == forms.all) || is_mixed(normal, &forms, serial)).then_some(gone)
    }
}

/// The requests that are refused in words that no order has, where all else is as in an order: the documents, every status, and what
/// was served. Which of several reasons a refusal names is no effect.
fn refused_in_other_words(
    normal: &Normal,
    forms: &Forms,
    serial: &[Forms],
    refuses: impl Fn(u16) -> bool,
) -> Option<Vec<usize>> {
    if normal.is_coarse {
        return None;
    }
    let answered: Vec<(usize, u16)> = (normal.answers.iter())
        .filter(|(request, _)| normal.order.contains(request))
        .map(|(request, (status, _))| (*request, *status))
        .collect();
    let is_refused = |position: &usize| answered.get(*position).is_some_and(|(_, status)| refuses(*status));
    let is_like = |one: &&Forms| {
        let alike = |position: &usize| one.answers.get(*position) == forms.answers.get(*position);
        one.statuses == forms.statuses
            && (0..forms.answers.len()).all(|position| is_refused(&position) || alike(&position))
    };
    let like = serial.iter().find(is_like)?;
    let differs = |position: &usize| like.answers.get(*position) != forms.answers.get(*position);
    Some((0..answered.len()).filter(differs).map(|position| answered[position].0).collect())
}

/// Whether each answer is one that some order gives, and documents and statuses are those of one.
pub(super) fn is_mixed(normal: &Normal, forms: &Forms, serial: &[Forms]) -> bool {
    let given = |(position, answer): (usize, &String)| {
        serial.iter().any(|one| match normal.is_coarse {
            true => one.answers.contains(answer),
            false => one.answers.get(position) == Some(answer),
        })
    };
    serial.iter().any(|one| one.statuses == forms.statuses) && forms.answers.iter().enumerate().all(given)
}

/// The requests by which an outcome is known; where who they are does not count, how many there are.
fn taking_part(normal: &Normal, requests: &[usize]) -> Vec<usize> {
    if normal.is_coarse { (0..requests.len()).collect() } else { sorted(requests) }
}

/// The requests, whatever their order.
pub(crate) fn sorted(requests: &[usize]) -> Vec<usize> {
    let mut sorted = requests.to_vec();
    sorted.sort_unstable();
    sorted
}

/// The exact former.
pub(super) const EXACT: Former = canon::form;
/// The cheap one.
pub(super) const COARSE: Former = canon::coarse_form;
