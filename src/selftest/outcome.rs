//! [`Outcome`]: what came of the table, and the report that it makes.

use std::collections::BTreeMap;

use super::catalogue::CATALOGUE;
use super::not_planted::{NOT_PLANTED, is_known_kind, known_kinds};
use crate::report::{
    FORMAT_VERSION, Report, SelftestBug, SelftestKinds, SelftestNotPlanted, SelftestReport, SelftestTwin,
};
use crate::service::planted_routes;
use crate::stats::{Concurrency, Generator, Machine};
use crate::target::Preflight;
use crate::verdict::{ExitStatus, Invariant, InvariantResult, Verdict, Witness};

/// Name of the invariant that every planted bug is caught.
pub const BUGS_CAUGHT: &str = "planted-bugs-caught";
/// Name of the invariant that no correct twin is accused.
pub const TWINS_PASS: &str = "correct-twins-pass";

/// What came of the table.
#[derive(Debug)]
pub struct Outcome {
    /// When the first trial began.
    pub begin: std::time::Instant,
    /// One for each bug, in the order of the table.
    pub bugs: Vec<SelftestBug>,
    /// One for each twin.
    pub twins: Vec<SelftestTwin>,
    /// What twins were accused with.
    pub accusing: Vec<Witness>,
    /// Operations in all.
    pub operations: u64,
    /// It was told to stop.
    pub interrupted: bool,
    /// The planted routes were tried as well.
    pub faults: bool,
}

impl Default for Outcome {
    fn default() -> Self {
        Outcome {
            begin: std::time::Instant::now(),
            bugs: Vec::new(),
            twins: Vec::new(),
            accusing: Vec::new(),
            operations: 0,
            interrupted: false,
            faults: false,
        }
    }
}

impl Outcome {
    /// Puts what came of the planted routes beside what came of the load.
    pub fn with_routes(mut self, routes: Outcome) -> Self {
        self.bugs.extend(routes.bugs);
        self.twins.extend(routes.twins);
        self.accusing.extend(routes.accusing);
        self.operations += routes.operations;
        self.interrupted |= routes.interrupted;
        self.faults = true;
        self
    }

    /// How many of the known kinds there were.
    fn kinds(&self) -> SelftestKinds {
        let mut kinds: BTreeMap<&str, bool> = BTreeMap::new();
        for bug in self.bugs.iter().filter(|bug| is_known_kind(&bug.id)) {
            *kinds.entry(&bug.id).or_insert(true) &= bug.caught;
        }
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let caught = kinds.values().filter(|caught| **caught).count();
        SelftestKinds { known: known_kinds(), planted: count(kinds.len()), caught: count(caught) }
    }

    /// Bugs that escaped so far, and twins that were accused.
    pub(super) fn wrong(&self) -> usize {
        let escaped = self.bugs.iter().filter(|bug| !bug.caught).count();
        escaped + self.twins.iter().filter(|twin| twin.accused).count()
    }

    /// Whether each bug was caught. One that escaped although operations overlapped, or that needs no overlap, is proof
    /// that a check does not bite; without overlap nothing can be told.
    fn bugs_caught(&self) -> InvariantResult {
        let escaped: Vec<&SelftestBug> =
            self.bugs.iter().filter(|bug| !bug.caught && bug.effective_trials > 0).collect();
        let unclear = self.bugs.iter().find(|bug| !bug.caught && bug.effective_trials == 0);
        let name = Invariant::Custom(BUGS_CAUGHT.into());
        let result = InvariantResult::new(name, self.bugs.len() as u64, escaped.len() as u64, Vec::new());
        let names = |bug: &&SelftestBug| format!("{} ({} {})", bug.id, bug.workload, bug.strategy);
        match (escaped.is_empty(), unclear) {
            (true, None) => result,
            // A route that was not explored says why in the place of a witness; under a load there is this one reason.
            (true, Some(bug)) => {
                let reason = bug.witness.as_deref().unwrap_or("no two operations on one key ever overlapped");
                result.weaken(format!("{}: {reason}", names(&bug)))
            }
            (false, _) => {
                let names: Vec<String> = escaped.iter().map(names).collect();
                result.doubt(format!("not caught: {}", names.join(", ")))
            }
        }
    }

    fn twins_pass(&self) -> InvariantResult {
        let name = Invariant::Custom(TWINS_PASS.into());
        let accused: Vec<&SelftestTwin> = self.twins.iter().filter(|twin| twin.accused).collect();
        let result = InvariantResult::new(name, self.twins.len() as u64, accused.len() as u64, self.accusing.clone());
        if !accused.is_empty() {
            let names: Vec<String> =
                accused.iter().map(|twin| format!("{} {}", twin.workload, twin.strategy)).collect();
            return result.doubt(format!("accused: {}", names.join(", ")));
        }
        let unclear = self.twins.iter().find(|twin| twin.verdict == Verdict::Inconclusive);
        match unclear {
            Some(twin) => {
                let reason = twin.reason.as_deref().unwrap_or("cannot tell");
                result.weaken(format!("{} {}: {reason}", twin.workload, twin.strategy))
            }
            None => result,
        }
    }

    /// The report. What the process and the machine are, is told by who carried it out.
    pub fn report(self, run_id: &str, seed: u64, reproduce: String, facts: Facts) -> Report {
        let weaken = |result: InvariantResult| match self.interrupted {
            true => result.weaken("it was interrupted before its end"),
            false => result,
        };
        let invariants = vec![weaken(self.bugs_caught()), weaken(self.twins_pass())];
        let verdict = Verdict::combine(invariants.iter().map(|result| result.verdict));
        let status = match (verdict, self.interrupted) {
            (Verdict::Violated, _) => ExitStatus::Violated,
            (_, true) => ExitStatus::Interrupted,
            (Verdict::Inconclusive, false) => ExitStatus::Inconclusive,
            (Verdict::Holds, false) => ExitStatus::Holds,
        };
        let kinds = self.faults.then(|| self.kinds());
        #[expect(clippy::cast_precision_loss, reason = "a rate does not need more than 52 bits")]
        let throughput_per_s = if facts.duration_s > 0.0 { self.operations as f64 / facts.duration_s } else { 0.0 };
        Report {
            format_version: FORMAT_VERSION,
            tool: "onlyone".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: run_id.to_owned(),
            scenario: "selftest".to_owned(),
            seed,
            verdict,
            reasons: Vec::new(),
            exit_code: status.code(),
            expectation: None,
            partial: self.interrupted,
            reproduce,
            invariants,
            keys: Vec::new(),
            origin: None,
            serial_control: None,
            operations: std::collections::BTreeMap::new(),
            concurrency: Concurrency {
                keys: self.bugs.iter().map(|bug| u64::from(bug.rounds)).sum::<u64>()
                    + self.twins.iter().map(|twin| u64::from(twin.rounds)).sum::<u64>(),
                effective_trials: self.bugs.iter().map(|bug| bug.effective_trials).sum::<u64>()
                    + self.twins.iter().map(|twin| twin.effective_trials).sum::<u64>(),
                ..Concurrency::default()
            },
            throughput_per_s,
            duration_s: facts.duration_s,
            over_time: Vec::new(),
            stages: Vec::new(),
            thresholds: Vec::new(),
            generator: facts.generator,
            machine: Some(facts.machine),
            preflight: facts.preflight,
            explore: None,
            as_if_serial: None,
            selftest: Some(SelftestReport {
                operations: self.operations,
                bugs: self.bugs,
                twins: self.twins,
                not_planted: not_planted(self.faults),
                kinds,
            }),
            findings: None,
            shards: Vec::new(),
            faults: Vec::new(),
            actions: None,
        }
    }
}

/// Kinds that are not planted; without `--faults`, those as well that only the planted routes have.
fn not_planted(faults: bool) -> Vec<SelftestNotPlanted> {
    const ELSEWHERE: &str = "takes a fault, crafted data or other requests: `onlyone selftest --faults`";
    let by_load = |id: &str| CATALOGUE.iter().any(|planted| planted.id == id);
    let routes = planted_routes().map(|route| route.id).filter(|id| !faults && !by_load(id));
    let elsewhere = routes.map(|id| (id, ELSEWHERE));
    let nowhere = NOT_PLANTED.iter().map(|not| (not.id, not.reason));
    let told = |(id, reason): (&str, &str)| SelftestNotPlanted { id: id.to_owned(), reason: reason.to_owned() };
    elsewhere.chain(nowhere).map(told).collect()
}

/// What was measured around the trials.
#[derive(Debug)]
pub struct Facts {
    /// How long they took.
    pub duration_s: f64,
    /// What they cost this process.
    pub generator: Generator,
    /// The machine.
    pub machine: Machine,
    /// The server.
    pub preflight: Preflight,
}
