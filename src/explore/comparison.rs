//! Executions held against the serial runs of the same requests: `Comparison` keeps what each of them came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mongodb::bson::Bson;
use tokio_util::sync::CancellationToken;

use super::capture::{Capture, CaptureError, Window, value};
use super::conflict::may_meet;
use super::execution::Execution;
use super::subject::Operations;
use super::wire::{Kind, Reply};
use crate::history::{CauseKind, Outcome as History, Phase};
use crate::scope::Scope;
use crate::serial::{Answer, Change, Judge, Judgement, Outcome, Sample, Settings, Value};
use crate::target::Completion;

/// Silence after an execution, until it is known whether the service writes after its answers.
const FIRST_QUIET: Duration = Duration::from_millis(5);
/// Silence once something came after an answer.
const LATE_QUIET: Duration = Duration::from_millis(25);

/// How long the server may take to tell what was written.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(60);

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
    /// Commands came after answers.
    pub(super) late: bool,
    /// Work of the service's own, by name and namespace.
    pub(super) background: BTreeSet<String>,
    /// Why nothing can be concluded.
    pub(super) failure: Option<String>,
    /// Some of the requests were sent without the others, too.
    pub(super) knows_some: bool,
    /// Requests touched what others wrote.
    met: bool,
    /// The last judgement.
    pub(super) judgement: Option<Judgement>,
}

/// An execution, besides what the explorer keeps of it.
struct Recorded {
    window: usize,
    probes: Vec<Answer>,
    order: Vec<usize>,
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
            late: false,
            background: BTreeSet::new(),
            failure: None,
            knows_some: false,
            met: false,
            judgement: None,
        }
    }

    /// An execution begins.
    pub(super) async fn open(&mut self) {
        if let Some(capture) = &mut self.capture {
            let opened = in_time(capture.open()).await;
            self.check(opened);
        }
    }

    /// An execution has ended, and its commands have, too; its window.
    pub(super) async fn close(&mut self, execution: &Execution) -> Option<usize> {
        let capture = self.capture.as_mut()?;
        let closed = in_time(capture.close(&written_to(execution))).await;
        self.check(closed)
    }

    /// Keeps what came of an execution.
    pub(super) fn keep(
        &mut self,
        position: usize,
        order: Vec<usize>,
        window: usize,
        probes: Vec<Answer>,
        serial: bool,
    ) {
        if serial {
            self.untold.push((position, order.clone()));
        }
        self.recorded.insert(position, Recorded { window, probes, order });
    }

    fn check<T>(&mut self, result: Result<T, CaptureError>) -> Option<T> {
        result.map_err(|error| self.fail(&error)).ok()
    }

    fn fail(&mut self, error: &CaptureError) {
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(error) {
            text.push_str(&format!(": {source}"));
        }
        self.failure.get_or_insert(text);
    }

    /// Takes note of commands that came after the answers.
    pub(super) fn came_late(&mut self, commands: &[String]) {
        if commands.iter().any(|command| !self.background.contains(command)) {
            self.late = true;
            self.quiet = LATE_QUIET;
        }
    }

    /// After the first rounds: where nothing ever came late, nothing is waited for.
    pub(super) fn trust(&mut self) {
        if !self.late {
            self.quiet = Duration::ZERO;
        }
    }

    /// Reads what was written so far, and tells the judge of the serial runs.
    pub(super) async fn catch_up(&mut self, subject: &Operations, executions: &[(Execution, Vec<usize>, Phase)]) {
        if let Some(capture) = &mut self.capture {
            let collected = in_time(capture.collect()).await;
            self.check(collected);
        }
        for (position, order) in std::mem::take(&mut self.untold) {
            if let Some(sample) = self.sample(subject, position, &executions[position].0) {
                self.judge.learn(Sample { order, ..sample });
            }
        }
    }

    /// An execution as the judge sees it.
    pub(super) fn sample(&mut self, subject: &Operations, position: usize, execution: &Execution) -> Option<Sample> {
        let recorded = self.recorded.get(&position)?;
        let window = self.capture.as_ref()?.window(recorded.window)?.clone();
        let (order, probes) = (recorded.order.clone(), recorded.probes.clone());
        self.look_for_others(execution, &window);
        self.met |= order.len() > 1 && meet(execution, &window);
        let answers = order
            .iter()
            .filter_map(|request| Some((*request, answer(execution.requests.get(*request)?.completion.as_ref()?))));
        let changes = window.written().filter(|written| !self.is_background(&written.namespace)).map(|written| {
            let document = |document: &mongodb::bson::Document| value(&Bson::Document(document.clone()));
            Change {
                collection: written.namespace.split_once('.').map_or("", |(_, name)| name).to_owned(),
                id: value(&written.id),
                before: written.before.as_ref().map(document),
                after: written.after.as_ref().map(document),
            }
        });
        let outcome = Outcome { answers: answers.collect(), probes, changes: changes.collect() };
        Some(Sample { order, marks: marks(&subject.invocation(execution.number, 0).key), outcome })
    }

    /// Whether only the service's own background work writes there.
    fn is_background(&self, namespace: &str) -> bool {
        self.background.iter().any(|signature| signature.split_once(' ').is_some_and(|(_, name)| name == namespace))
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

/// Reads what was written. An interruption does not end it: what was found before one is judged by what is read here.
async fn in_time<T>(reading: impl Future<Output = Result<T, CaptureError>>) -> Result<T, CaptureError> {
    let read = Scope::new(READ_WITHIN, &CancellationToken::new()).wait(reading).await;
    read.unwrap_or_else(|ended| Err(ended.into()))
}

/// Collections that an execution wrote to.
fn written_to(execution: &Execution) -> BTreeSet<String> {
    let writes = execution.steps.iter().filter(|step| step.command.kind == Kind::Write);
    let named =
        writes.filter_map(|step| Some(format!("{}.{}", step.command.database, step.command.collection.as_ref()?)));
    let late = execution.strays.iter().filter_map(|stray| stray.split_once(' ').map(|(_, name)| name.to_owned()));
    named.chain(late).collect()
}

/// How many documents the commands of an execution changed, by namespace; nothing where that cannot be told.
fn changes_sent(execution: &Execution) -> Option<BTreeMap<String, u64>> {
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    for step in execution.steps.iter().filter(|step| step.command.kind == Kind::Write) {
        if step.command.name == "commitTransaction" {
            continue;
        }
        if step.command.spans {
            return None;
        }
        let namespace = format!("{}.{}", step.command.database, step.command.collection.as_deref().unwrap_or_default());
        let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        let changed = step
            .reply
            .as_ref()
            .map(|Reply { matched, modified, upserted, .. }| count(*matched).max(count(*modified)) + *upserted as u64);
        // A command whose answer was lost may have changed all that it names.
        *sent.entry(namespace).or_default() += changed?;
    }
    Some(sent)
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

/// What a caller is told of an outcome: not how a strategy came to it.
fn told(mut outcome: serde_json::Value) -> serde_json::Value {
    match &mut outcome {
        serde_json::Value::Object(fields) => {
            fields.remove("duplicate_key");
            fields.values_mut().for_each(|value| *value = told(value.take()));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| *item = told(item.take())),
        _ => {}
    }
    outcome
}

/// An answer: as it came over HTTP, or in the words of the history.
pub(super) fn answer(completion: &Completion) -> Answer {
    if let Some(raw) = &completion.answer {
        return Answer { status: raw.status, body: Value::of_body(&raw.body) };
    }
    let status = match &completion.outcome {
        History::Ok(_) => 200,
        History::Failed(cause) => match &cause.kind {
            CauseKind::Http { status, .. } | CauseKind::Refused { status } | CauseKind::Unnamed { status, .. } => {
                *status
            }
            CauseKind::Database(_) | CauseKind::Transport(_) => 500,
            // What a strategy refuses by itself, as who may not do it.
            CauseKind::Other => 403,
        },
        History::Unknown(_) => 500,
    };
    let body = serde_json::to_value(&completion.outcome).map_or(Value::Null, |json| Value::of_json(&told(json)));
    Answer { status, body }
}
