//! From the file as written to the [`Scenario`] that it means. Every semantic mistake is collected; a scenario comes out
//! only if there is none. Main type: [`Check`]. Each section of the file has its own function.

mod elements;
mod expect;
mod explore;
mod fault;
mod fresh;
mod http;
mod invariant;
mod load;
mod network;
mod numbers;
mod observe;
mod prior;
mod request;
mod service;
mod stages;
mod target;
mod threads;

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use toml::Spanned;

use super::diagnostic::Problem;
use super::environment::{self, Expansion};
use super::file::{self, File};
use super::memory::MemorySize;
use super::model::{Deliveries, Limits, Scenario, TargetSpec};
use super::source::Sources;
use super::suggest::nearest;
use super::values::{Count, DurationText, Share};
use super::workloads::WorkloadKind;

/// Names of the strategies of a workload.
pub type KnownStrategies<'a> = &'a dyn Fn(WorkloadKind) -> &'static [&'static str];

pub use request::names_a_secret;

/// Most clients, connections and the like.
const MOST_CLIENTS: u64 = 100_000;
/// The longest duration: far beyond any test, and far below where clocks overflow.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The scenario, or everything that is wrong with it.
pub(super) fn validate(
    file: File,
    path: &Path,
    sources: &Sources,
    expansions: &[Expansion],
    known: KnownStrategies<'_>,
) -> Result<Scenario, Vec<Problem>> {
    let mut check = Check { problems: Vec::new(), sources, expansions, captured: Vec::new() };
    let name = check.name(file.name);
    let workload = check.workload(file.workload);
    let own_service = file.service.is_some();
    let setup = check.setup(file.setup, file.target.as_ref());
    let target = check.target(file.target, workload, own_service, known);
    let services = check.services(file.service, target.as_ref());
    let network = check.network(file.network, target.as_ref());
    let observe = check.observe(file.observe, workload, target.as_ref(), own_service);
    let mongod = check.mongod(file.mongod);
    let deliveries = check.deliveries(file.deliveries, workload);
    let fresh = file.load.as_ref().and_then(|loads| loads.get_ref().fresh.clone());
    let load = check.load(file.load);
    let limits = check.limits(file.limits, target.as_ref());
    let around = fault::Surroundings {
        target: target.as_ref(),
        service: services.as_ref().and_then(|(service, _)| service.as_ref()),
        mongod: mongod.as_ref(),
        load: load.as_ref(),
    };
    let has_faults = !file.fault.is_empty();
    let faults = check.faults(file.fault, around);
    let operations = target.as_ref().map(operations).unwrap_or_default();
    let explore = check.explore(file.explore, workload, &operations);
    let expect =
        check.expect(file.expect, workload, &operations, target.as_ref().is_some_and(|target| target.http().is_some()));
    let invariants = check.invariants(file.invariant, workload, target.as_ref(), observe.as_ref());
    let rest = fresh::Rest {
        service: around.service,
        has_companions: services.as_ref().is_some_and(|(_, companions)| !companions.is_empty()),
        load: load.as_ref(),
        observe: observe.as_ref(),
        has_faults,
        names_database: invariants.as_ref().is_some_and(|(own, _)| own.iter().any(|spec| spec.database.is_some())),
        has_numbers: invariants.as_ref().is_some_and(|(_, numbers)| !numbers.is_empty()),
    };
    let fresh = check.fresh(fresh.as_ref(), rest);
    let problems = check.problems;
    let parts = (
        name.zip(workload),
        target.zip(services.zip(network.zip(setup))),
        observe.zip(mongod.zip(deliveries)),
        load.zip(fresh).zip(faults).zip(explore.zip(limits)),
        expect.zip(invariants),
    );
    match parts {
        (
            Some((name, workload)),
            Some((target, ((service, companions), (network, setup)))),
            Some((observe, (mongod, deliveries))),
            Some((((load, fresh), faults), (explore, limits))),
            Some((expect, (invariants, numbers))),
        ) if problems.is_empty() => {
            let file = path.to_owned();
            Ok(Scenario {
                name,
                file,
                workload,
                target,
                service,
                companions,
                network,
                setup,
                observe,
                mongod,
                deliveries,
                load,
                fresh,
                faults,
                explore,
                limits,
                expect,
                invariants,
                numbers,
                variables: environment::variables(expansions),
            })
        }
        _ => Err(problems),
    }
}

/// Names of the operations that a service is asked for.
fn operations(target: &TargetSpec) -> Vec<String> {
    target.http().map(|http| http.operations.keys().cloned().collect()).unwrap_or_default()
}

/// Collects mistakes. Its methods give `None` for a value that has one, after noting it.
struct Check<'a> {
    problems: Vec<Problem>,
    sources: &'a Sources,
    expansions: &'a [Expansion],
    /// Whole names of what earlier requests capture: `setup.token`.
    captured: Vec<String>,
}

impl Check<'_> {
    fn note<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    /// A key that must be there, in a table at this place (`None` is the top of the file).
    fn required<T>(&mut self, value: Option<T>, key: &str, table: &str, place: Option<&Range<usize>>) -> Option<T> {
        if value.is_none() {
            let problem = match place {
                Some(span) => Problem::at(span.clone(), format!("`{key}` is missing in `[{table}]`")),
                None => Problem::whole(format!("`{key}` is missing")),
            };
            self.problems.push(problem);
        }
        value
    }

    fn name(&mut self, name: Option<Spanned<String>>) -> Option<String> {
        let name = self.required(name, "name", "", None)?;
        match name.get_ref().trim().is_empty() {
            true => self.note(Problem::at(name.span(), "the name is empty")),
            false => Some(name.into_inner()),
        }
    }

    fn workload(&mut self, workload: Option<Spanned<String>>) -> Option<WorkloadKind> {
        let workload = self.required(workload, "workload", "", None)?;
        self.word(&workload, "workload", &WorkloadKind::ALL.map(|kind| (kind.as_str(), kind)))
    }

    /// One of these words.
    fn word<T: Copy>(&mut self, word: &Spanned<String>, kind: &str, known: &[(&str, T)]) -> Option<T> {
        match known.iter().find(|(name, _)| name == word.get_ref()) {
            Some((_, value)) => Some(*value),
            None => {
                let names = known.iter().map(|(name, _)| *name);
                self.note(Problem::unknown(word.span(), kind, word.get_ref(), names))
            }
        }
    }

    /// A whole number in a range.
    fn count(&mut self, count: &Spanned<Count>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        match u64::try_from(count.get_ref().0) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (least, most) = (range.start(), range.end());
                self.note(Problem::at(count.span(), format!("`{key}` must be from {least} to {most}")))
            }
        }
    }

    /// A whole number in a range, where the model has 32 bits.
    fn count32(&mut self, count: &Spanned<Count>, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        self.count(count, key, range).and_then(|number| u32::try_from(number).ok())
    }

    /// A number of clients.
    fn clients(&mut self, count: &Spanned<Count>, key: &str) -> Option<u32> {
        self.count(count, key, 1..=MOST_CLIENTS).and_then(|number| u32::try_from(number).ok())
    }

    /// A duration; zero only where it makes sense.
    fn duration(&mut self, text: &Spanned<DurationText>, key: &str, zero: bool) -> Option<Duration> {
        let written = text.get_ref().0.trim();
        match SpanParser::new().parse_unsigned_duration(written) {
            Ok(duration) if duration > LONGEST => {
                self.note(Problem::at(text.span(), format!("`{key}` must be at most 30 days")))
            }
            Ok(duration) if duration.is_zero() && !zero => {
                self.note(Problem::at(text.span(), format!("`{key}` must be longer than zero")))
            }
            Ok(duration) => Some(duration),
            Err(_) => self.note(
                Problem::at(text.span(), format!("`{written}` is no duration"))
                    .help("write a number and a unit: \"500us\", \"5ms\", \"10s\", \"1m 30s\", \"2h\""),
            ),
        }
    }

    /// At-least-once delivery, which only the merge workload has.
    fn deliveries(
        &mut self,
        deliveries: Option<Spanned<file::Deliveries>>,
        workload: Option<WorkloadKind>,
    ) -> Option<Deliveries> {
        let Some(deliveries) = deliveries else { return Some(Deliveries::default()) };
        if workload.is_some_and(|workload| workload != WorkloadKind::Merge) {
            return self.note(
                Problem::at(deliveries.span(), "`[deliveries]` belongs to the workload `merge`").help("leave it out"),
            );
        }
        match &deliveries.get_ref().max {
            Some(max) => self.count32(max, "max", 1..=100).map(|max| Deliveries { max }),
            None => Some(Deliveries::default()),
        }
    }

    /// The limits.
    fn limits(&mut self, limits: file::Limits, target: Option<&TargetSpec>) -> Option<Limits> {
        let deadline = match &limits.operation_deadline {
            Some(text) => self.duration(text, "operation_deadline", false),
            // A request has its own time-out: as long as that, once per attempt.
            None => Some(target.and_then(TargetSpec::http).map_or(Duration::from_secs(10), |http| {
                http.timeout.saturating_mul(http.retries.saturating_add(1)).min(LONGEST)
            })),
        };
        let drain = match &limits.drain {
            Some(text) => self.duration(text, "drain", true),
            None => Some(Duration::from_secs(5)),
        };
        let after_violation = match &limits.after_violation {
            Some(text) => self.duration(text, "after_violation", true),
            None => Some(Duration::from_secs(5)),
        };
        let serial_control = match &limits.serial_control {
            Some(count) => self.count32(count, "serial_control", 0..=1_000_000),
            None => Some(20),
        };
        let min_effective_trials = match &limits.min_effective_trials {
            Some(count) => self.count(count, "min_effective_trials", 1..=1_000_000_000_000),
            None => Some(1),
        };
        let max_unknown = match &limits.max_unknown {
            Some(share) => self.share(share, "max_unknown"),
            None => Some(0.05),
        };
        let memory = match &limits.memory {
            Some(text) => match text.get_ref().0.parse() {
                Ok(memory) => Some(memory),
                Err(wrong) => self.note(Problem::at(text.span(), wrong)),
            },
            None => Some(MemorySize::default()),
        };
        Some(Limits {
            operation_deadline: deadline?,
            drain: drain?,
            after_violation: after_violation?,
            serial_control: serial_control?,
            min_effective_trials: min_effective_trials?,
            max_unknown: max_unknown?,
            memory: memory?,
        })
    }

    /// A share from 0 to 1.
    fn share(&mut self, share: &Spanned<Share>, key: &str) -> Option<f64> {
        let value = match share.get_ref() {
            Share::Number(number) => Some(*number),
            Share::Text(text) => {
                let percent = text.trim().strip_suffix('%').map(|number| number.trim().parse::<f64>());
                percent.and_then(Result::ok).map(|number| number / 100.0)
            }
        };
        match value {
            Some(value) if (0.0..=1.0).contains(&value) => Some(value),
            Some(_) => self.note(Problem::at(share.span(), format!("`{key}` must be from 0% to 100%"))),
            None => self.note(
                Problem::at(share.span(), format!("`{key}` is no share")).help("write \"5%\" or the number 0.05"),
            ),
        }
    }

    /// A problem about a word, with the nearest known one at the caret.
    fn note_word<T>(&mut self, problem: Problem, word: &str, known: &[String]) -> Option<T> {
        let listed: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
        let problem = problem.help(format!("known: {}", listed.join(", ")));
        let problem = match nearest(word, known.iter().map(String::as_str)) {
            Some(meant) => problem.label(format!("did you mean `{meant}`?")),
            None => problem,
        };
        self.note(problem)
    }
}
