//! `[[fault]]`.

use std::ops::Range;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::friendly::SpanParser;
use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::http::ServiceSpec;
use super::super::load::Load;
use super::super::load_fault::{Fault, FaultNeeds, FaultSpec, FaultTarget, LoadFault};
use super::super::model::{MongodSpec, TargetSpec, WriteConcern};
use super::super::values::{DurationText, Share, SignedDurationText};
use super::Check;

/// What the rest of the scenario says.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) target: Option<&'a TargetSpec>,
    pub(super) service: Option<&'a ServiceSpec>,
    pub(super) mongod: Option<&'a MongodSpec>,
    pub(super) load: Option<&'a Load>,
}

/// Most faults of a scenario.
const MOST_FAULTS: usize = 32;
/// A fault comes again after this at the earliest.
const SHORTEST_EVERY: Duration = Duration::from_millis(10);
/// As many connections as the proxy serves, with room for those that watch the server.
const MOST_THROUGH_THE_PROXY: u32 = 900;
/// A clock is moved by this at most.
const FURTHEST_CLOCK: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// The answer of a unique index: it says something about data, and is no fault.
const DUPLICATE_KEY: u64 = 11000;

/// Which of several a fault may meet, by whom it needs.
const MEMBERS: [(&str, FaultTarget); 2] = [("primary", FaultTarget::Primary), ("secondary", FaultTarget::Secondary)];
const INSTANCES: [(&str, FaultTarget); 2] = [("one", FaultTarget::One), ("all", FaultTarget::All)];

/// Commands that read or write data.
const COMMANDS: [&str; 14] = [
    "insert",
    "update",
    "delete",
    "findAndModify",
    "find",
    "aggregate",
    "getMore",
    "count",
    "distinct",
    "bulkWrite",
    "commitTransaction",
    "abortTransaction",
    "createIndexes",
    "listIndexes",
];
/// Labels that drivers act upon.
const LABELS: [&str; 5] = [
    "RetryableWriteError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "NoWritesPerformed",
    "ResumableChangeStreamError",
];

impl Check<'_> {
    /// What breaks while the load goes on.
    pub(super) fn faults(&mut self, faults: Vec<Spanned<Fault>>, around: Surroundings<'_>) -> Option<Vec<FaultSpec>> {
        if let Some(beyond) = faults.get(MOST_FAULTS) {
            return self.note(Problem::at(beyond.span(), format!("a scenario has at most {MOST_FAULTS} faults")));
        }
        let specs: Vec<Option<FaultSpec>> = faults.into_iter().map(|fault| self.fault(fault, around)).collect();
        specs.into_iter().collect()
    }

    fn fault(&mut self, fault: Spanned<Fault>, around: Surroundings<'_>) -> Option<FaultSpec> {
        let span = fault.span();
        let fault = fault.into_inner();
        let kind = self.required(fault.kind.as_ref(), "kind", "[fault]", Some(&span));
        let at = self.required(fault.at.as_ref(), "at", "[fault]", Some(&span));
        let at = at.and_then(|at| Some((self.duration(at, "at", true)?, at.span())));
        let kind = kind.and_then(|kind| Some((self.word(kind, "fault", &LoadFault::ALL)?, kind.span())));
        let every = self.maybe_duration(fault.every.as_ref(), "every", false);
        if let (Some(Some(short)), Some(place)) = (every, &fault.every)
            && short < SHORTEST_EVERY
        {
            self.problems.push(Problem::at(place.span(), format!("`every` must be at least {SHORTEST_EVERY:?}")));
        }
        let (kind, place) = kind?;
        self.only_its_keys(kind, &fault);
        self.surroundings(kind, &place, around);
        if let Some((at, place)) = &at {
            self.in_time(*at, place, around.load);
        }
        let usual = kind.usual_duration();
        let may_be_none = usual == Some(Duration::ZERO);
        let lasts = self.maybe_duration(fault.lasts.as_ref(), "for", may_be_none).map(|lasts| lasts.or(usual));
        let target = self.fault_target(kind, fault.target.as_ref(), around);
        let probability = fault.probability.as_ref().map_or(Some(None), |share| self.probability(share).map(Some));
        let delay = match (&fault.delay, kind) {
            (None, LoadFault::Delay | LoadFault::SlowDisk) => self.required(None, "delay", "[fault]", Some(&span)),
            (delay, _) => self.maybe_duration(delay.as_ref(), "delay", false),
        };
        let by = self.clock_shift(kind, fault.by.as_ref(), &span);
        let failing = self.failing(kind, &fault, &span);
        let (code, times) = failing?;
        Some(FaultSpec {
            kind,
            at: at?.0,
            every: every?,
            lasts: lasts?,
            target: target?,
            probability: probability?,
            delay: delay?,
            by: by?,
            code,
            labels: fault.labels.into_iter().map(Spanned::into_inner).collect(),
            commands: fault.commands.into_iter().map(Spanned::into_inner).collect(),
            times,
        })
    }

    fn maybe_duration(
        &mut self,
        text: Option<&Spanned<DurationText>>,
        key: &str,
        zero: bool,
    ) -> Option<Option<Duration>> {
        text.map_or(Some(None), |text| self.duration(text, key, zero).map(Some))
    }

    /// A key that means nothing for a kind is a mistake, not something to pass over.
    fn only_its_keys(&mut self, kind: LoadFault, fault: &Fault) {
        for (key, span) in fault.written().into_iter().filter(|(key, _)| !kind.keys().contains(key)) {
            let takes = kind.keys().iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            let problem = Problem::at(span, format!("`{}` does not take `{key}`", kind.as_str()));
            self.problems.push(problem.help(format!("beside `at` and `every` it takes {takes}")));
        }
    }

    /// A load that is over by then is met by nothing.
    fn in_time(&mut self, at: Duration, place: &Range<usize>, load: Option<&Load>) {
        let Some(duration) = load.and_then(Load::duration) else { return };
        if at >= duration {
            let problem = Problem::at(place.clone(), format!("the load is over by then: it goes on for {duration:?}"));
            self.problems.push(problem.help("`at` counts from the load's start"));
        }
    }

    /// What the fault needs must be there.
    fn surroundings(&mut self, kind: LoadFault, place: &Range<usize>, around: Surroundings<'_>) {
        let Some(target) = around.target else { return };
        let word = kind.as_str();
        let is_told = |variable: &str| {
            let told = |service: &ServiceSpec| {
                service.command.iter().chain(service.env.values()).any(|template| template.names(variable))
            };
            around.service.is_some_and(told)
        };
        let over_http = matches!(target, TargetSpec::Http(_));
        let missing = match kind.needs() {
            FaultNeeds::OwnServer if over_http && !is_told("mongo") => Some((
                format!("`{word}` strikes the server that the harness starts, and no service uses that"),
                "start the service with `[service]` and hand it `{{ mongo.uri }}`",
            )),
            FaultNeeds::Proxy if over_http && !is_told("mongo.uri") => Some((
                format!(
                    "`{word}` strikes between a service and its database, and no service is told where the proxy is"
                ),
                "start the service with `[service]` and hand it `{{ mongo.uri }}`",
            )),
            FaultNeeds::OwnService if around.service.is_none() => Some((
                format!("`{word}` needs a service that the harness starts"),
                "add `[service]` with its `command`",
            )),
            _ => None,
        };
        if let Some((what, help)) = missing {
            self.problems.push(Problem::at(place.clone(), what).help(help));
        }
        self.server_for(kind, place, around);
        let clients = around.load.map_or(0, Load::clients);
        if kind.needs() == FaultNeeds::Proxy && !over_http && clients > MOST_THROUGH_THE_PROXY {
            let what = format!("`{word}` takes a proxy, which serves {MOST_THROUGH_THE_PROXY} clients at most");
            self.problems.push(Problem::at(place.clone(), what).help("let the load have fewer clients"));
        }
    }

    /// The embedded server must be one that the fault can strike.
    fn server_for(&mut self, kind: LoadFault, place: &Range<usize>, around: Surroundings<'_>) {
        let Some(members) = around.mongod.map(|mongod| mongod.replica_set) else { return };
        let unjournaled = |target: &TargetSpec| match target {
            TargetSpec::Mongo(spec) => match spec.write_concern {
                Some(concern) => concern == WriteConcern::Memory,
                None => members == 0,
            },
            // How a service has its writes acknowledged is not known.
            TargetSpec::Http(_) => false,
        };
        let problem = match kind {
            LoadFault::StepDown if members == 0 => {
                ("a standalone server cannot step down", "write `replica_set = 3` into `[mongod]`, or 1")
            }
            LoadFault::Partition if members < 3 => (
                "there are no members that could be cut off from each other",
                "write `replica_set = 3` into `[mongod]`",
            ),
            LoadFault::SlowDisk if around.target.is_some_and(unjournaled) => (
                "no write waits for the disk: all are acknowledged from memory",
                "write `write_concern = \"journal\"` into `[target.mongo]`",
            ),
            _ => return,
        };
        self.problems.push(Problem::at(place.clone(), problem.0).help(problem.1));
    }

    /// How far a clock is moved.
    fn clock_shift(
        &mut self,
        kind: LoadFault,
        text: Option<&Spanned<SignedDurationText>>,
        span: &Range<usize>,
    ) -> Option<Option<SignedDuration>> {
        if kind != LoadFault::Clock {
            return Some(None);
        }
        let text = self.required(text, "by", "[fault]", Some(span))?;
        let written = text.get_ref().0.trim();
        match SpanParser::new().parse_duration(written) {
            Ok(by) if by.is_zero() => self.note(Problem::at(text.span(), "`by` must not be zero")),
            Ok(by) if by.unsigned_abs() > FURTHEST_CLOCK => {
                self.note(Problem::at(text.span(), "`by` must be at most 10 years"))
            }
            Ok(by) => Some(Some(by)),
            Err(_) => self.note(
                Problem::at(text.span(), format!("`{written}` is no duration with a sign"))
                    .help("write how far the clock is moved: \"-5m\" backwards, \"+300ms\" forwards"),
            ),
        }
    }

    /// Which of several; nothing where there is only one.
    fn fault_target(
        &mut self,
        kind: LoadFault,
        target: Option<&Spanned<String>>,
        around: Surroundings<'_>,
    ) -> Option<Option<FaultTarget>> {
        let Some(word) = target else { return Some(None) };
        if !kind.keys().contains(&"target") {
            // Told already.
            return None;
        }
        if kind.needs() == FaultNeeds::OwnService {
            return self.word(word, "target", &INSTANCES).map(Some);
        }
        if around.mongod.is_some_and(|mongod| mongod.replica_set < 3) {
            return self.note(
                Problem::at(word.span(), "there is one server, and nothing to choose from")
                    .help("leave `target` out, or write `replica_set = 3` into `[mongod]`"),
            );
        }
        self.word(word, "target", &MEMBERS).map(Some)
    }

    fn probability(&mut self, share: &Spanned<Share>) -> Option<f64> {
        let probability = self.share(share, "probability")?;
        match probability > 0.0 {
            true => Some(probability),
            false => self.note(Problem::at(share.span(), "`probability` must be more than zero")),
        }
    }

    /// What belongs to the server's fail point.
    fn failing(&mut self, kind: LoadFault, fault: &Fault, span: &Range<usize>) -> Option<(Option<i32>, Option<u32>)> {
        if kind != LoadFault::FailCommand {
            return Some((None, None));
        }
        let code = self.required(fault.code.as_ref(), "code", "[fault]", Some(span));
        let code = code.and_then(|code| match self.count(code, "code", 1..=u64::from(i32::MAX.unsigned_abs()))? {
            DUPLICATE_KEY => self.note(
                Problem::at(code.span(), "11000 is what a unique index says of data, and no fault").help(
                    "take an error of the surroundings: 91 (shutting down), 189 or 10107 (no primary), 262 (out of time), 112 (write conflict)",
                ),
            ),
            code => i32::try_from(code).ok(),
        });
        if fault.commands.is_empty() {
            self.problems.push(
                Problem::at(span.clone(), "`commands` is missing in `[[fault]]`")
                    .help("name the commands that fail: `commands = [\"insert\", \"update\", \"findAndModify\"]`"),
            );
        }
        let known = COMMANDS.map(|name| (name, ()));
        let commands: Vec<_> = fault.commands.iter().map(|name| self.word(name, "command", &known)).collect();
        let known = LABELS.map(|name| (name, ()));
        let labels: Vec<_> = fault.labels.iter().map(|name| self.word(name, "label", &known)).collect();
        let times = match (&fault.times, &fault.probability) {
            (Some(times), Some(probability)) => self.note(
                Problem::at(times.span(), "the server's fail point counts or draws, not both")
                    .related(probability.span(), "the probability"),
            ),
            (Some(times), None) => self.count32(times, "times", 1..=1_000_000).map(Some),
            (None, _) => Some(None),
        };
        let all = commands.into_iter().chain(labels).collect::<Option<Vec<()>>>();
        all.zip(code.zip(times)).map(|(_, (code, times))| (Some(code), times))
    }
}
