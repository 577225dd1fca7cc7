//! [`Judge`]: serial runs go in, then executions are held against them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::classes::{COARSE, Class, EXACT, Former, Specification, in_words};
use super::faulted;
use super::learn::{learn, varying_counts};
use super::masks::Masks;
use super::nearest::{self, Difference, nearest};
use super::normal::{Filter, Normal, Piece, Term, identity};
use super::outcome::{Answer, Sample};
use super::place::{Pattern, Place};
use super::sequences::Sequences;
use super::words;

/// How outcomes are compared.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Places that are not compared.
    pub ignore: Vec<Pattern>,
    /// Lists whose order does not count.
    pub unordered: Vec<Pattern>,
    /// Statuses that refuse; by default every 4xx but 401, 403, 404 and 410, and 503, and 202 where no serial run has it.
    pub refusals: Vec<u16>,
    /// Refused and mixed executions violate as well.
    pub strict: bool,
    /// What counts as now, in milliseconds since 1970.
    pub now: i64,
    /// Requests are equal and everything comes in any order: colours alone decide.
    pub coarse: bool,
}

/// The status of what may be done later, or by somebody else (RFC 9110, 15.3.3: "noncommittal").
const ACCEPTED: u16 = 202;
/// Statuses that say something about the request itself, whatever else goes on.
const NOT_REFUSALS: [u16; 4] = [401, 403, 404, 410];

impl Settings {
    /// Whether an answer with this status refuses.
    pub fn refuses(&self, status: u16) -> bool {
        if self.refusals.is_empty() {
            (400..500).contains(&status) && !NOT_REFUSALS.contains(&status) || status == 503
        } else {
            self.refusals.contains(&status)
        }
    }

    fn former(&self) -> Former {
        if self.coarse { COARSE } else { EXACT }
    }
}

/// Holds executions against serial runs.
#[derive(Debug, Default)]
pub struct Judge {
    settings: Settings,
    serial: Vec<Sample>,
    /// How the places were compared after each round, and how many outcomes were known.
    rounds: Vec<(Masks, usize)>,
}

/// An execution that was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What it is.
    pub class: Class,
    /// Requests that were refused, or failed, and without which it is serial.
    pub without: Vec<usize>,
    /// The status of the first of them.
    pub status: u16,
    /// Of an execution that is not serial: the nearest serial order.
    pub nearest: String,
    /// In which places it differs from that.
    pub differences: Vec<Difference>,
}

impl Judged {
    /// The first difference in words.
    pub fn in_words(&self) -> Option<String> {
        self.differences.first().map(words::of_difference)
    }
}

/// The judgement of all executions.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// One per execution.
    pub executions: Vec<Judged>,
    /// Different outcomes of the serial runs of all requests.
    pub serial_outcomes: usize,
    /// Serial runs, of all requests and of some.
    pub serial_runs: usize,
    /// Places that are not compared.
    pub not_compared: Vec<String>,
    /// Why nothing can be concluded.
    pub inconclusive: Option<String>,
    /// What the rule cannot see here, or should be read with care.
    pub notes: Vec<String>,
}

/// What each class means that occurs among these, the most harmful first; what is serial needs no words.
pub fn sentences<J: Borrow<Judged>>(executions: &[J]) -> Vec<String> {
    let of = |class: Class| {
        let of_it: Vec<&Judged> =
            executions.iter().map(Borrow::borrow).filter(|one: &&Judged| one.class == class).collect();
        let first = of_it.first()?;
        Some(words::of_class(class, of_it.len() as u64, executions.len() as u64, &first.without, first.status))
    };
    Class::ALL.into_iter().rev().filter(|class| *class != Class::Serial).filter_map(of).collect()
}

impl Judge {
    /// A judge who has seen nothing yet.
    pub fn new(settings: Settings) -> Self {
        Judge { settings, serial: Vec::new(), rounds: Vec::new() }
    }

    /// How outcomes are compared.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a serial run in.
    pub fn learn(&mut self, run: Sample) {
        self.serial.push(run);
    }

    /// Serial runs so far.
    pub fn serial_runs(&self) -> usize {
        self.serial.len()
    }

    /// Ends a round in which every order was carried out once more.
    pub fn end_round(&mut self) {
        let prepared = Prepared::new(&self.serial, &[], &self.settings);
        let outcomes: usize = prepared.specification.outcomes(&prepared.all);
        self.rounds.push((prepared.masks, outcomes));
    }

    /// Whether the last two rounds taught nothing new.
    pub fn stands_still(&self) -> bool {
        match self.rounds.as_slice() {
            [.., third, second, last] => {
                let same = |one: &(Masks, usize), other: &(Masks, usize)| one.0.is_like(&other.0) && one.1 == other.1;
                same(third, second) && same(second, last)
            }
            _ => false,
        }
    }

    /// Rounds so far.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// The serial runs.
    pub fn runs(&self) -> &[Sample] {
        &self.serial
    }

    /// One who has seen the serial runs like this.
    pub fn seeing(&self, run: impl Fn(&Sample) -> Sample) -> Judge {
        Judge { settings: self.settings.clone(), serial: self.serial.iter().map(run).collect(), rounds: Vec::new() }
    }

    /// Collections in which serial runs leave documents that they made.
    pub fn made_in(&self) -> BTreeSet<&str> {
        let changes = self.serial.iter().flat_map(|run| &run.outcome.changes);
        let made = changes.filter(|change| change.before.is_none() && change.after.is_some());
        made.map(|change| change.collection.as_str()).collect()
    }

    /// How often the same requests were sent in the same order, at most.
    pub fn repetitions(&self) -> usize {
        let mut orders: BTreeMap<&[usize], usize> = BTreeMap::new();
        self.serial.iter().for_each(|run| *orders.entry(&run.order).or_default() += 1);
        orders.into_values().max().unwrap_or_default()
    }

    /// Whether an answer with this status refuses. One that promises nothing (202) does where nobody is answered so serially: what is
    /// to be done is under way, by another request.
    fn refuses(&self, status: u16) -> bool {
        let is_underway = status == ACCEPTED && self.settings.refusals.is_empty();
        let serially = || self.serial.iter().flat_map(|run| run.outcome.answers.values());
        self.settings.refuses(status) || (is_underway && !serially().any(|answer| answer.status == ACCEPTED))
    }

    /// Of an execution in which some requests, not all, were refused, or failed: the others. What they do without them is
    /// asked for.
    pub fn others(&self, Sample { order, outcome, touched, .. }: &Sample) -> BTreeSet<Vec<usize>> {
        if let Some(touched) = touched {
            return faulted::others(order, &outcome.answers, touched, |status| self.refuses(status));
        }
        let without = |leaves: &dyn Fn(&Answer) -> bool| {
            let is_left = |request: &usize| outcome.answers.get(request).is_some_and(leaves);
            let mut others: Vec<usize> = order.iter().copied().filter(|request| !is_left(request)).collect();
            others.sort_unstable();
            others
        };
        let refuses = |answer: &Answer| self.refuses(answer.status) || answer.says_no();
        let mut sets = BTreeSet::from([without(&refuses), without(&|answer| answer.status >= 500)]);
        sets.retain(|set| !set.is_empty() && set.len() < order.len());
        sets
    }

    /// Judges executions.
    pub fn judge<S: Borrow<Sample>>(&self, executions: &[S]) -> Judgement {
        let executions: Vec<&Sample> = executions.iter().map(Borrow::borrow).collect();
        let executions = executions.as_slice();
        let prepared = Prepared::new(&self.serial, executions, &self.settings);
        let filter = prepared.filter(&self.settings);
        let serial: Vec<Normal> = prepared.serial.iter().map(|run| run.masked(&filter)).collect();
        let mut known = HashMap::new();
        let executions: Vec<Judged> = (prepared.executions.iter().zip(executions))
            .map(|(execution, sample)| {
                let masked = execution.masked(&filter);
                let touched = sample.touched.as_ref();
                let judged = known.entry((in_words(&masked), touched));
                judged.or_insert_with(|| self.one(&masked, touched, &serial, &prepared)).clone()
            })
            .collect();
        let mut not_compared: Vec<String> = prepared.masks.not_compared().into_iter().collect();
        not_compared.extend(self.settings.ignore.iter().map(ToString::to_string));
        not_compared.sort();
        not_compared.dedup();
        let inconclusive = self.inconclusive(&prepared.serial).or_else(|| drawn_by_lot(&prepared, &executions));
        Judgement {
            executions,
            serial_outcomes: prepared.specification.outcomes(&prepared.all),
            serial_runs: serial.len(),
            not_compared,
            inconclusive,
            notes: notes(&serial, &prepared.all),
        }
    }

    fn one(
        &self,
        execution: &Normal,
        touched: Option<&BTreeSet<usize>>,
        serial: &[Normal],
        Prepared { specification, sequences, .. }: &Prepared,
    ) -> Judged {
        let refuses = |status| self.refuses(status);
        let former = self.settings.former();
        let (class, without) = match touched {
            Some(touched) => faulted::class(execution, touched, serial, refuses, former),
            None => specification.class(execution, refuses, former),
        };
        let status =
            without.first().and_then(|request| execution.answers.get(request)).map_or(0, |(status, _)| *status);
        let requests: BTreeSet<&usize> = execution.order.iter().collect();
        let alike = serial.iter().filter(|run| run.order.iter().collect::<BTreeSet<_>>() == requests);
        let found = if class == Class::Serial { None } else { nearest(execution, alike) };
        let (order, mut differences) = found.unwrap_or_default();
        // A number that nobody got is left out of a sequence, and the rest is as in that order.
        let class = if class == Class::Lasting && sequences.explain(&differences) { Class::Refused } else { class };
        differences.truncate(nearest::MOST);
        Judged { class, without, status, nearest: words::order(&order), differences }
    }

    fn inconclusive(&self, serial: &[Normal]) -> Option<String> {
        let (collection, counts) = varying_counts(serial).into_iter().next()?;
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        Some(format!(
            "the same requests in the same order did not give the same documents ({collection}: {}); {} repetitions",
            counts.join(" or "),
            self.repetitions()
        ))
    }
}

/// Why it is not known what is an anomaly: the `_id` of documents is drawn anew from a few, so that two requests have one document
/// or two as chance has it, and an execution has another number of them than the serial runs happened to have.
fn drawn_by_lot(prepared: &Prepared, judged: &[Judged]) -> Option<String> {
    let of = |name: &str, run: &Normal| run.documents.iter().filter(|(collection, _)| collection == name).count();
    prepared.masks.identities_not_compared().into_iter().find_map(|name| {
        // As many requests leave as many documents.
        let serially: BTreeSet<(usize, usize)> =
            prepared.serial.iter().map(|run| (run.order.len(), of(name, run))).collect();
        let mut anomalies = judged.iter().zip(&prepared.executions).filter(|(one, _)| one.class.is_anomaly());
        let is_new = |execution: &Normal| !serially.contains(&(execution.order.len(), of(name, execution)));
        anomalies.any(|(_, execution)| is_new(execution)).then(|| {
            format!(
                "the same requests in the same order did not give the same `_id` ({name}): it is drawn by lot, and so is how many \
                 documents there are"
            )
        })
    })
}

/// Serial runs and executions, made ready to be compared.
struct Prepared {
    serial: Vec<Normal>,
    executions: Vec<Normal>,
    masks: Masks,
    known: BTreeSet<String>,
    specification: Specification,
    /// Numbers that are handed out.
    sequences: Sequences,
    /// All requests.
    all: Vec<usize>,
}

impl Prepared {
    fn new(serial: &[Sample], executions: &[&Sample], settings: &Settings) -> Self {
        let all_of_them = || serial.iter().chain(executions.iter().copied());
        let shared = shared(all_of_them());
        let normal = |sample: &Sample| {
            let normal = Normal::new(sample, &shared, settings.now);
            if settings.coarse { normal.in_any_order() } else { normal }
        };
        let all = serial.iter().map(|run| &run.order).max_by_key(|order| order.len()).cloned().unwrap_or_default();
        let (runs, others): (Vec<Normal>, Vec<Normal>) =
            (serial.iter().map(normal).collect(), executions.iter().copied().map(normal).collect());
        let known = known(all_of_them(), runs.iter().chain(&others));
        let mut prepared = Prepared {
            masks: learn(&runs),
            serial: runs,
            executions: others,
            known,
            specification: Specification::default(),
            sequences: Sequences::of(serial),
            all,
        };
        let filter = prepared.filter(settings);
        let masked: Vec<Normal> = prepared.serial.iter().map(|run| run.masked(&filter)).collect();
        prepared.specification = Specification::of(&masked, settings.former());
        prepared
    }

    fn filter<'a>(&'a self, settings: &'a Settings) -> Filter<'a> {
        Filter { masks: &self.masks, known: &self.known, ignore: &settings.ignore, unordered: &settings.unordered }
    }
}

/// Documents that several executions wrote.
fn shared<'a>(samples: impl Iterator<Item = &'a Sample>) -> BTreeSet<(String, String)> {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for sample in samples {
        sample.outcome.changes.iter().for_each(|change| *seen.entry(identity(change)).or_default() += 1);
    }
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(identity, _)| identity).collect()
}

/// Values that look as if they were made anew, and stand in several executions: unless one of them made it.
fn known<'a>(samples: impl Iterator<Item = &'a Sample>, normals: impl Iterator<Item = &'a Normal>) -> BTreeSet<String> {
    let mut executions: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let names = BTreeMap::new();
    for (position, normal) in normals.enumerate() {
        for (source, term) in normal.sources() {
            super::normal::walk(term, &Place::root(source), &names, &mut |_, term| {
                let Term::Text(pieces) = term else { return };
                for piece in pieces {
                    if let Piece::Made(value) = piece {
                        executions.entry(value.clone()).or_default().insert(position);
                    }
                }
            });
        }
    }
    executions.retain(|_, executions| executions.len() > 1);
    for change in samples.flat_map(|sample| &sample.outcome.changes).filter(|change| change.before.is_none()) {
        if let super::Value::Id(id) | super::Value::Text(id) = &change.id {
            executions.remove(id);
        }
    }
    executions.into_keys().collect()
}

/// What the rule cannot see: a service that fails in every order does so serially, too.
fn notes(serial: &[Normal], all: &[usize]) -> Vec<String> {
    let mut notes = BTreeSet::new();
    for run in serial.iter().filter(|run| run.order.len() == all.len()) {
        let order = words::order(&run.order);
        let status = |request: &usize| run.answers.get(request).map_or(0, |(status, _)| *status);
        if let Some(request) = run.order.iter().find(|request| status(request) >= 500) {
            notes.insert(format!(
                "request {} answers {} serially, too ({order}): that is no race, and hides one",
                request + 1,
                status(request)
            ));
        } else if run.order.iter().all(|request| status(request) >= 400) {
            notes.insert(format!("every request fails serially ({order}): what they would do is not judged"));
        }
    }
    notes.into_iter().collect()
}
