//! What broke on purpose while a load went on: [`Faults`], events of the history beside its operations.

use serde::{Deserialize, Serialize};

use super::{Nanos, Operation};

/// The faults of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Why what was acknowledged survives a server that is killed or loses an election, where it does: by which write concern
    /// it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survives: Option<String>,
    /// Kinds that were planned, each as often as the scenario has it.
    pub planned: Vec<String>,
    /// What happened, in the order in which it began.
    pub intervals: Vec<FaultInterval>,
}

/// One fault, from its first effect to the moment at which all was well again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FaultInterval {
    /// Its kind, in the scenario's words.
    pub kind: String,
    /// Which fault of the scenario it is, counted from 0.
    pub number: usize,
    /// What it met: a server, an instance, connections.
    pub met: String,
    /// When it was due, counted from the load's start.
    pub due_ns: Nanos,
    /// When it began, on the clock of the operations.
    pub from_ns: Nanos,
    /// When all was well again.
    pub to_ns: Nanos,
    /// Connections that were closed, commands that failed or came late, answers that were lost; absent where nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub struck: Option<u64>,
    /// The server may have lost what it acknowledged from then on; absent where it loses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loses_from_ns: Option<Nanos>,
    /// Until then, if that is before all was well again: who was killed acknowledges nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loses_until_ns: Option<Nanos>,
    /// The code of the error that commands were answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The term of the primary that it met, and of the one there was when all was well again: all elections between them are of its
    /// making, of which an undecided one takes a term as well. Absent where there are no elections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<[i64; 2]>,
    /// Why it could not be carried out, or what it met did not come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How long after a fault its traces are met: connections that were closed while nobody used them.
const TRACES: Nanos = 1_000_000_000;

impl Faults {
    /// The faults of a run that died before it could tell of them: at any time, anything may have been broken and lost.
    pub fn unrecorded(planned: Vec<String>) -> Self {
        let interval = |(number, kind): (usize, &String)| FaultInterval {
            kind: kind.clone(),
            number,
            met: "not recorded".to_owned(),
            to_ns: Nanos::MAX,
            loses_from_ns: Some(0),
            error: Some("the run died before it was recorded what became of it".to_owned()),
            ..FaultInterval::default()
        };
        Faults { survives: None, intervals: planned.iter().enumerate().map(interval).collect(), planned }
    }

    /// Whether an operation was under way while something was broken, or met what a fault had left.
    pub fn met(&self, operation: &Operation) -> bool {
        self.intervals.iter().any(|interval| interval.met_by(operation))
    }
}

impl FaultInterval {
    /// Whether an operation was under way then, or met what was left of it.
    pub fn met_by(&self, operation: &Operation) -> bool {
        operation.invoked <= self.to_ns.saturating_add(TRACES) && operation.completed >= self.from_ns
    }

    /// Whether what an operation read or wrote may be among what the server lost.
    pub fn may_have_lost(&self, operation: &Operation, before: Nanos) -> bool {
        let until = self.loses_until_ns.unwrap_or(self.to_ns);
        self.loses_from_ns
            .is_some_and(|from| operation.invoked <= until && operation.returned() >= from.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(invoked: Nanos, completed: Nanos, outcome: &str) -> Operation {
        let line = format!(
            r#"{{"op":0,"client":0,"round":0,"key":"k","action":"get","intended_ns":0,"invoked_ns":{invoked},
                "completed_ns":{completed},"outcome":{outcome}}}"#
        );
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn who_was_under_way_met_the_fault_and_who_came_long_after_did_not() {
        let second = 1_000_000_000;
        let interval = FaultInterval { from_ns: 2 * second, to_ns: 3 * second, ..FaultInterval::default() };
        let ok = r#"{"ok":{"found":null}}"#;
        for (invoked, completed, met) in [
            (0, second, false),
            (0, 2 * second, true),
            (second * 7 / 2, second * 4, true),
            (5 * second, 6 * second, false),
        ] {
            assert_eq!(interval.met_by(&operation(invoked, completed, ok)), met, "{invoked}");
        }
    }

    #[test]
    fn of_a_run_that_died_nothing_is_certain() {
        let faults = Faults::unrecorded(vec!["kill-mongod".to_owned()]);
        let any = operation(7, 8, r#"{"ok":{"found":null}}"#);
        assert!(faults.met(&any) && faults.intervals[0].may_have_lost(&any, 0) && faults.intervals[0].error.is_some());
    }

    #[test]
    fn what_was_acknowledged_before_the_last_durable_moment_is_not_lost() {
        let interval = FaultInterval { from_ns: 20, to_ns: 30, loses_from_ns: Some(10), ..FaultInterval::default() };
        let (ok, unknown) = (r#"{"ok":{"found":null}}"#, r#"{"unknown":{"message":"lost"}}"#);
        for (invoked, completed, outcome, lost) in
            [(1, 9, ok, false), (1, 10, ok, true), (25, 29, ok, true), (31, 40, ok, false), (1, 2, unknown, true)]
        {
            assert_eq!(interval.may_have_lost(&operation(invoked, completed, outcome), 0), lost, "{invoked}");
        }
        let killed = FaultInterval { loses_until_ns: Some(21), ..interval.clone() };
        assert!(killed.may_have_lost(&operation(20, 29, ok), 0) && !killed.may_have_lost(&operation(22, 29, ok), 0));
        let harmless = FaultInterval { loses_from_ns: None, ..interval };
        assert!(!harmless.may_have_lost(&operation(15, 16, ok), 0));
    }
}
