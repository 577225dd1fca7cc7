//! Tests of what counts in a run that was recorded.

use super::*;
use crate::history::fixture::operation;
use crate::history::{Action, Cause, Outcome};
use crate::report::ExploreReport;
use crate::scenario::{KnownStrategies, load_text};
use crate::target::mongo::QueryResult;

/// Operations of the control at 10, of the load at the other moments.
fn history(load: &[u64]) -> History {
    let sent = |id: u64, at: u64| {
        let outcome = Outcome::Unknown(Cause::new("no answer"));
        operation(id, "k", Action::Get, [at, at + 1], outcome)
    };
    let control = Operation { phase: Phase::Control, ..sent(0, 10) };
    let load = (1..).zip(load).map(|(id, at)| sent(id, *at));
    History { operations: std::iter::once(control).chain(load).collect(), ..History::default() }
}

#[test]
fn a_round_before_the_control_does_not_count_and_executions_of_an_exploration_do() {
    let counted = |record: &RunRecord, history: &History| -> Vec<u64> {
        measured(&Recording { record, history, observation: None }, &Facts::of(history))
            .map(|operation| operation.invoked)
            .collect()
    };
    let run = RunRecord::default();
    let exploration = RunRecord { explore: Some(ExploreReport::default()), ..RunRecord::default() };
    assert_eq!(counted(&run, &history(&[5, 15, 20])), [15, 20]);
    assert_eq!(counted(&run, &history(&[5, 6])), [5, 6]);
    assert_eq!(counted(&exploration, &history(&[5, 15, 20])), [5, 15, 20]);
    let no_control = History { operations: history(&[0, 5]).operations.split_off(1), ..History::default() };
    assert_eq!(counted(&run, &no_control), [0, 5]);
}

#[test]
fn what_the_first_round_left_is_counted_once_where_the_control_was_not_asked() {
    let text = "name = 'a'\nworkload = 'custom'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n\
        [target.http.operations.like]\npath = '/x'\n[load.burst]\nclients = 2\nrounds = 2\n\
        [[invariant]]\nname = 'mine'\ncollection = 'c'\npipeline = '[]'\nexpect = 'empty'\n";
    let known: KnownStrategies<'_> = &|_| &[];
    let scenario = load_text(Path::new("a.toml"), text.to_owned(), &[], &|_| None, known).unwrap();
    let found = |documents: u64| {
        let examples = (0..documents).map(|id| serde_json::json!({ "_id": id })).collect();
        vec![QueryResult { name: "mine".into(), documents, examples, looked_at: None, moving: false, error: None }]
    };
    let (history, record) = (
        history(&[15]),
        RunRecord { queries_before: found(1), queries_first: found(3), queries: found(4), ..RunRecord::default() },
    );
    let own = own::judge(&Recording { record: &record, history: &history, observation: None }, &scenario);
    assert_eq!(own.load[0].violations, 3, "one was there, two came in the first round, one in the load");
}
