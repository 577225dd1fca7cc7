//! Operations of the scenario that a run did not send: what the scenario says of them was not looked at.

use super::RunRecord;
use super::gather::Facts;
use crate::scenario::Scenario;

/// A note for each of them. An exploration sends those that it was asked for.
pub(super) fn notes(record: &RunRecord, facts: &Facts, scenario: &Scenario) -> Vec<String> {
    let Some(http) = scenario.target.http().filter(|_| record.explore.is_none()) else { return Vec::new() };
    let note = |(name, spec): (&String, &crate::scenario::OperationSpec)| {
        let paths: Vec<String> = spec.outcome.iter().map(|(what, path)| format!("{what} = {path}")).collect();
        let said = if paths.is_empty() { String::new() } else { format!(" (`outcome`: {})", paths.join(", ")) };
        format!("`{name}` was never sent, and nothing of what the scenario says of it was seen{said}")
    };
    http.operations.iter().filter(|(name, _)| !facts.names.contains(*name)).map(note).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::assess::RunRecord;
    use crate::history::fixture::operation;
    use crate::history::{Action, History, Outcome, Value};
    use crate::report::ExploreReport;
    use crate::scenario::{KnownStrategies, load_text};

    #[test]
    fn what_was_never_sent_is_told_and_an_exploration_sends_what_it_likes() {
        let text = "name = 'a'\nworkload = 'create-or-get'\n[target.http]\nbase_urls = ['http://127.0.0.1:1']\n\
            [target.http.operations.create-or-get]\npath = '/x'\noutcome = { id = '$.id' }\n\
            [target.http.operations.get]\npath = '/x'\noutcome = { id = '$.chat' }\n[load.burst]\nclients = 2\nrounds = 1";
        let known: KnownStrategies<'_> = &|_| &[];
        let scenario = load_text(Path::new("a.toml"), text.to_owned(), &[], &|_| None, known).unwrap();
        let sent = |action: Action| operation(0, "k", action, [0, 1], Outcome::Ok(Value::Found(None)));
        let create = History { operations: vec![sent(Action::CreateOrGet { reversed: false })], ..History::default() };
        let said = |history: &History, record: &RunRecord| notes(record, &Facts::of(history), &scenario);
        let told = said(&create, &RunRecord::default());
        assert!(
            matches!(told.as_slice(), [one] if one.starts_with("`get` was never sent") && one.contains("$.chat")),
            "{told:?}"
        );
        let exploration = RunRecord { explore: Some(ExploreReport::default()), ..RunRecord::default() };
        assert_eq!(said(&create, &exploration), Vec::<String>::new());
        let both = History { operations: vec![create.operations[0].clone(), sent(Action::Get)], ..History::default() };
        assert_eq!(said(&both, &RunRecord::default()), Vec::<String>::new());
    }
}
