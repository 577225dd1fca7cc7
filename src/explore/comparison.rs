//! Executions held against the serial runs of the same requests: `Comparison` keeps what each of them came to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answers::answer;
use super::capture::{Capture, CaptureError, Window, Written};
use super::cause::chain;
use super::conflict::may_meet;
use super::execution::Execution;
use super::fault::{Expiring, Fault};
use super::sent::{changes_sent, last_told, sent_to, written_at, written_to};
use super::subject::Operations;
use super::wire::{Kind, Reply};
use crate::history::Phase;
use crate::scope::{Ended, Scope};
use crate::serial::{Answer, Judge, Judgement, Outcome, Sample, Settings};

/// Silence after an execution, until it is known whether the service writes after its answers.
const FIRST_QUIET: Duration = Duration::from_millis(5);
/// Silence once something came after an answer.
const LATE_QUIET: Duration = Duration::from_millis(25);
/// Silence before something is accused where something came after an answer: the machine may have been slow.
pub(super) const PATIENT_QUIET: Duration = Duration::from_millis(250);
/// Executions before and after one in which what it wrote late may be found.
const NEIGHBOURS: usize = 4;

/// How long the server may take to tell what was written.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to tell the time.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to tell what was written when the exploration was told to end.
pub(super) const READ_IN_HASTE: Duration = Duration::from_secs(5);

/// How an exploration is judged by the serial runs of its requests.
pub struct AsIfSerial {
    /// How outcomes are compared.
    pub settings: Settings,
    /// Each request is sent once more when all is over.
    pub probes: bool,
}

/// What is known of executions so far.
pub(super) struct Comparison {
    pub(super) probes: bool,
    pub(super) judge: Judge,
    /// Reads what was written, from when the databases are known.
    pub(super) capture: Option<Capture>,
    /// Executions by position.
    recorded: BTreeMap<usize, Recorded>,
    /// Serial runs that the judge has not heard of yet: their positions and orders.
    untold: Vec<(usize, Vec<usize>)>,
    /// How long silence is waited for after an execution.
    pub(super) quiet: Duration,
    /// How long the server may take to tell the time.
    told_within: Duration,
    /// Commands came after answers.
    pub(super) late: bool,
    /// Something else was sent since the last execution ended.
    pub(super) disturbed: bool,
    /// Work of the service's own, by name and namespace.
    pub(super) background: BTreeSet<String>,
    /// Where requests write.
    requested: BTreeSet<String>,
    /// Why nothing can be concluded.
    pub(super) failure: Option<String>,
    /// How often every order of these requests was carried out.
    pub(super) rounds: BTreeMap<Vec<usize>, usize>,
    /// Requests of which every order was carried out once more after something was unlike all of them.
    pub(super) confirmed: BTreeSet<Vec<usize>>,
    /// Requests touched what others wrote.
    met: bool,
    /// The last judgement.
    pub(super) judgement: Option<Judgement>,
    /// What the server removes by itself.
    pub(super) expiring: Expiring,
}

/// An execution, besides what the explorer keeps of it.
struct Recorded {
    window: usize,
    probes: Vec<Answer>,
    order: Vec<usize>,
    key: Arc<str>,
    /// As the judge sees it, once that was asked for.
    sample: Option<Arc<Sample>>,
}

impl Comparison {
    pub(super) fn new(how: AsIfSerial) -> Self {
        Comparison {
            probes: how.probes,
            judge: Judge::new(how.settings),
            capture: None,
            recorded: BTreeMap::new(),
            untold: Vec::new(),
            quiet: FIRST_QUIET,
            told_within: TOLD_WITHIN,
            late: false,
            disturbed: true,
            background: BTreeSet::new(),
            requested: BTreeSet::new(),
            failure: None,
            rounds: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            met: false,
            judgement: None,
            expiring: Expiring::new(),
        }
    }

    /// An execution begins.
    pub(super) async fn open(&mut self, stop: &CancellationToken) {
        if let Some(capture) = &mut self.capture {
            // What comes late comes whenever it likes.
            let directly = !std::mem::take(&mut self.disturbed) && !self.late;
            let opened = Scope::new(self.told_within, stop).wait(capture.open(directly)).await;
            // Of what is interrupted here, nothing is judged.
            self.check(opened.unwrap_or_else(|ended| Err(ended.into())));
        }
    }

    /// The databases were dropped and made anew.
    pub(super) async fn begun_anew(&mut self, stop: &CancellationToken) {
        if let Some(capture) = &mut self.capture {
            let read = Scope::new(READ_WITHIN, stop).wait(capture.begun_anew()).await;
            self.check(read.unwrap_or_else(|ended| Err(ended.into())));
        }
    }

    /// An execution has ended, and its commands have, too; its window.
    pub(super) async fn close(&mut self, execution: &Execution, stop: &CancellationToken) -> Option<usize> {
        let capture = self.capture.as_mut()?;
        self.requested.extend(sent_to(execution));
        let told = last_told(execution).filter(|_| !self.late);
        let closed = Scope::new(self.told_within, stop).wait(capture.close(&written_to(execution), told)).await;
        self.check(closed.unwrap_or_else(|ended| Err(ended.into())))
    }

    /// Keeps what came of an execution: of these requests, in this window, with this key.
    pub(super) fn keep(
        &mut self,
        position: usize,
        order: Vec<usize>,
        (window, key): (usize, Arc<str>),
        probes: Vec<Answer>,
    ) {
        self.recorded.insert(position, Recorded { window, probes, order, key, sample: None });
    }

    /// This one was serial: the judge is to hear of it.
    pub(super) fn was_serial(&mut self, position: usize, order: Vec<usize>) {
        if self.recorded.contains_key(&position) {
            self.untold.push((position, order));
        }
    }

    /// This one is carried out again: the judge is not to hear of it. What it writes late stays its own.
    pub(super) fn forget(&mut self, position: usize) {
        self.untold.retain(|(other, _)| *other != position);
    }

    fn check<T>(&mut self, result: Result<T, CaptureError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            // What was found before an interruption is judged all the same.
            Err(CaptureError::Late(Ended::Stopped)) => None,
            Err(error) => {
                self.failure.get_or_insert(chain(&error));
                // Nothing more can be concluded, and nobody waits for such a server again.
                self.capture = None;
                None
            }
        }
    }

    /// Takes note of commands that came after the answers.
    pub(super) fn came_late(&mut self, commands: &[String]) {
        if commands.iter().any(|command| !self.background.contains(command)) {
            self.late = true;
            self.quiet = self.quiet.max(LATE_QUIET);
        }
    }

    /// After the first rounds: where nothing ever came late, nothing is waited for.
    pub(super) fn trust(&mut self) {
        if !self.late {
            self.quiet = Duration::ZERO;
        }
    }

    /// What the service writes whenever it starts is its own work, too.
    pub(super) fn started_again(&mut self, execution: &Execution) {
        let is_own = |written: &&String| {
            written.split_once(' ').is_some_and(|(_, namespace)| !self.requested.contains(namespace))
        };
        let own: BTreeSet<String> = execution.at_start.iter().filter(is_own).cloned().collect();
        if !own.is_subset(&self.background) {
            self.background.extend(own);
            // What was taken for the requests' may be its own.
            self.recorded.values_mut().for_each(|recorded| recorded.sample = None);
        }
    }

    /// Reads what was written so far, and tells the judge of the serial runs.
    pub(super) async fn catch_up(
        &mut self,
        subject: &Operations,
        executions: &[(Execution, Vec<usize>, Phase)],
        stop: &CancellationToken,
    ) {
        if let Some(capture) = &mut self.capture {
            // An interruption does not end it: what was found before one is judged by what is read here.
            let within = if stop.is_cancelled() { READ_IN_HASTE } else { READ_WITHIN };
            let collected = Scope::new(within, &CancellationToken::new()).wait(capture.collect()).await;
            self.check(collected.unwrap_or_else(|ended| Err(ended.into())));
        }
        for (position, order) in std::mem::take(&mut self.untold) {
            if let Some(sample) = self.sample(subject, position, &executions[position].0) {
                self.judge.learn(Sample { order, ..(*sample).clone() });
            }
        }
    }

    /// An execution as the judge sees it. What it wrote has been collected.
    pub(super) fn sample(
        &mut self,
        subject: &Operations,
        position: usize,
        execution: &Execution,
    ) -> Option<Arc<Sample>> {
        let recorded = self.recorded.get(&position)?;
        if let Some(sample) = &recorded.sample {
            return Some(Arc::clone(sample));
        }
        let sample = Arc::new(self.new_sample(subject, position, execution)?);
        // Where something comes late, what others wrote since may be its own.
        self.recorded.get_mut(&position)?.sample = (!self.late).then(|| Arc::clone(&sample));
        Some(sample)
    }

    fn new_sample(&mut self, subject: &Operations, position: usize, execution: &Execution) -> Option<Sample> {
        let recorded = self.recorded.get(&position)?;
        let (order, probes) = (recorded.order.clone(), recorded.probes.clone());
        let window = self.window(position, recorded)?;
        self.look_for_others(execution, &window);
        self.met |= order.len() > 1 && meet(execution, &window);
        let answers = order
            .iter()
            .filter_map(|request| Some((*request, answer(execution.requests.get(*request)?.completion.as_ref()?))));
        let changes = window.written().filter(|written| !self.is_background(&written.namespace)).map(Written::change);
        let outcome = Outcome { answers: answers.collect(), probes, changes: changes.collect() };
        // That a fault strikes is what there is to survive, whether or not the requests meet.
        self.met |= execution.fault().is_some();
        let is_doubtful = |fault: &Fault| fault.is_doubtful() || !execution.touched.is_empty();
        let touched = execution.fault().filter(is_doubtful).map(|_| execution.touched.clone());
        Some(Sample { order, marks: marks(&subject.key(execution.number)), outcome, touched })
    }

    /// When each of the documents that an execution changed was last written, in milliseconds since 1970, in their order.
    pub(super) fn moments(&self, position: usize, execution: &Execution, sample: &Sample) -> Vec<i64> {
        let window = self.recorded.get(&position).and_then(|recorded| self.window(position, recorded));
        let written = window.iter().flat_map(Window::written);
        let written: Vec<_> = written.map(|one| (one.change(), written_at(execution, one))).collect();
        let moment = |change| written.iter().find(|(one, _)| one == change).map_or(i64::MAX, |(_, moment)| *moment);
        sample.outcome.changes.iter().map(moment).collect()
    }

    /// What an execution wrote. Where something comes after answers, it may have come so late that it fell among what another
    /// wrote: whose it is, is told by the key that it holds.
    fn window(&self, position: usize, recorded: &Recorded) -> Option<Window> {
        let capture = self.capture.as_ref()?;
        let mut window = capture.window(recorded.window)?.clone();
        if !self.late {
            return Some(window);
        }
        let near = position.saturating_sub(NEIGHBOURS)..=position + NEIGHBOURS;
        let others: Vec<(&usize, &Recorded)> =
            self.recorded.range(near).filter(|(other, _)| **other != position).collect();
        let own = &*recorded.key;
        window
            .leave_out(|document| !holds(document, own) && others.iter().any(|(_, other)| holds(document, &other.key)));
        // What it writes late comes later: what an earlier one has of it was there before it began.
        for (_, other) in others.iter().filter(|(other, _)| **other > position) {
            let (other, key) = (capture.window(other.window)?, &*other.key);
            window.take_from(other, |document| holds(document, own) && !holds(document, key));
        }
        Some(window)
    }

    /// Whether only the service's own background work writes there.
    fn is_background(&self, namespace: &str) -> bool {
        // A service that makes its collections when it starts works there, too, and what requests write there counts.
        !self.requested.contains(namespace)
            && self
                .background
                .iter()
                .any(|signature| signature.split_once(' ').is_some_and(|(_, name)| name == namespace))
    }

    /// Somebody else who writes the documents makes correct requests look wrong, and wrong ones correct.
    fn look_for_others(&mut self, execution: &Execution, window: &Window) {
        let Some(sent) = changes_sent(execution) else { return };
        for (namespace, changes) in &window.changes {
            let late = execution.strays.iter().any(|stray| stray.ends_with(namespace.as_str()));
            let known = sent.get(namespace).copied().unwrap_or(0);
            if *changes > known && !late && !self.is_background(namespace) {
                self.failure.get_or_insert(format!(
                    "somebody else writes to {namespace}: it changed {changes} times in an execution that changed it {known} \
                     times through the proxy"
                ));
            }
        }
    }

    /// Whether nothing that one request wrote was touched by another; not known where something else went wrong.
    pub(super) fn are_apart(&self) -> bool {
        self.failure.is_none() && !self.met
    }

    /// Why nothing can be concluded, other than by what the judge says.
    pub(super) fn doubt(&self) -> Option<String> {
        let vacuous = || {
            let text = "the requests do not meet: no document that one of them wrote was read or written by another";
            self.are_apart().then(|| text.to_owned())
        };
        self.failure.clone().or_else(vacuous)
    }
}

/// Whether a document holds a text that names an execution; one that goes on with a digit names another.
fn holds(document: &mongodb::bson::Document, key: &str) -> bool {
    let text = document.to_string();
    text.match_indices(key).any(|(at, _)| !text.as_bytes().get(at + key.len()).is_some_and(u8::is_ascii_digit))
}

/// Whether a document that one request wrote was read or written by another, or the server set one against the other.
fn meet(execution: &Execution, window: &Window) -> bool {
    const CONFLICTS: [i32; 2] = [11000, 112];
    let conflict = |reply: &Reply| reply.code.is_some_and(|code| CONFLICTS.contains(&code));
    if execution.steps.iter().any(|step| step.reply.as_ref().is_some_and(conflict)) {
        return true;
    }
    window.written().any(|written| {
        let touching = |step: &&super::execution::Step| {
            let sides = [written.before.as_ref(), written.after.as_ref()];
            sides.into_iter().flatten().any(|document| may_meet(&step.command, &written.namespace, document))
        };
        let touched: Vec<(usize, Kind)> =
            execution.steps.iter().filter(touching).map(|step| (step.request, step.command.kind)).collect();
        let wrote = touched.iter().filter(|(_, kind)| *kind == Kind::Write);
        wrote.into_iter().any(|(writer, _)| touched.iter().any(|(other, _)| other != writer))
    })
}

/// Texts that are an execution's own: its key, and the names that it is made of.
fn marks(key: &str) -> Vec<(String, String)> {
    let mut marks = vec![(key.to_owned(), "<key>".to_owned())];
    if let Some((one, other)) = key.split_once('_') {
        marks.extend([(one.to_owned(), "<user 1>".to_owned()), (other.to_owned(), "<user 2>".to_owned())]);
    }
    marks
}

#[cfg(test)]
impl Comparison {
    /// Keeps an execution as the judge sees it.
    pub(super) fn put(&mut self, position: usize, sample: Sample) {
        let order = sample.order.clone();
        self.keep(position, order, (0, "".into()), Vec::new());
        self.recorded.entry(position).and_modify(|recorded| recorded.sample = Some(Arc::new(sample)));
    }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
