//! What the arguments and the scenario ask for: which requests, how many, and which search. Nothing is carried out here.

use std::collections::BTreeSet;

use crate::cli::CliError;
use crate::cli::args::ExploreArgs;
use crate::explore::search::Search;
use crate::scenario::{Load, NumberSpec, Scenario, SearchKind};
use crate::session::{self, is_told};
use crate::target::Guard;
use crate::verdict::Expression;

/// Requests beyond this many are not the default, although a limit that the scenario states needs them to be reached.
const MOST_BY_LIMIT: u32 = 6;
/// Requests beyond this many are not the default, although the scenario's burst has them.
const MOST_BY_DEFAULT: u32 = 4;

/// Whether the number of requests follows from what the user says of an exploration, and not from the load.
pub(super) fn requests_are_asked_for(args: &ExploreArgs, scenario: &Scenario) -> bool {
    let several = !args.operations.is_empty() || scenario.explore.operations.len() > 1;
    args.requests.is_some() || scenario.explore.requests.is_some() || several || limit(scenario).is_some()
}

/// Requests that it takes to go beyond the largest limit that the scenario states, where that can be explored: of operations, or of a
/// value, which each of them may make larger by one.
fn limit(scenario: &Scenario) -> Option<u32> {
    let most = |rule: &NumberSpec| {
        let bounds = rule.expect.as_ref()?;
        let of_any_number = |bound: &Expression| bound.value(&|_| f64::INFINITY);
        // What no number of requests can raise: `max = 3`, or `min(acknowledged, 3)`.
        let largest = of_any_number(bounds.max.as_ref()?);
        // Where the smallest cannot be raised either, and is not 0, the value is no count of requests.
        let smallest = bounds.min.as_ref().map_or(0.0, of_any_number);
        let is_count = smallest <= 0.0 || smallest > largest;
        (is_count && (0.0..f64::from(MOST_BY_LIMIT)).contains(&largest)).then_some(largest as u64)
    };
    let limits = scenario.numbers.iter().flat_map(|rule| [rule.at_most, most(rule)]).flatten();
    let needed = limits.filter_map(|most| u32::try_from(most).ok()?.checked_add(1));
    needed.filter(|needed| (2..=MOST_BY_LIMIT).contains(needed)).max()
}

/// What aggregations of the user's own allow of each, where one more than that can be explored.
pub(super) fn aggregated_limits(scenario: &Scenario) -> BTreeSet<usize> {
    let all = scenario.invariants.iter().flat_map(|rule| limits_of(rule.pipeline.text().expose()));
    all.filter(|limit| (2..=MOST_BY_LIMIT as usize).contains(limit)).collect()
}

/// The numbers that an aggregation does not let anything go beyond: `{ "n": { "$gt": 3 } }`, of which there must be none.
fn limits_of(pipeline: &str) -> Vec<usize> {
    let mut limits = Vec::new();
    for (at, word) in pipeline.match_indices("\"$gt") {
        let rest = &pipeline[at + word.len()..];
        let (rest, less) = match rest.strip_prefix("e\"") {
            Some(rest) => (rest, 1),
            None => (rest.strip_prefix('"').unwrap_or_default(), 0),
        };
        let number = rest.trim_start().strip_prefix(':').unwrap_or_default().trim_start();
        let digits = &number[..number.len() - number.trim_start_matches(|letter: char| letter.is_ascii_digit()).len()];
        limits.extend(digits.parse::<usize>().ok().and_then(|number| number.checked_sub(less)));
    }
    limits
}

pub(super) fn requests(args: &ExploreArgs, scenario: &Scenario) -> u32 {
    let of_load = match &scenario.load {
        Load::Burst { clients, .. } => clients.iter().copied().find(|clients| (1..=MOST_BY_DEFAULT).contains(clients)),
        _ => None,
    };
    let several = match (&args.operations, &scenario.explore.operations) {
        (given, spec) if given.is_empty() => spec.len(),
        (given, _) => given.len(),
    };
    let of_operations = u32::try_from(several).ok().filter(|several| *several > 1);
    let given = args.requests.or(scenario.explore.requests.filter(|_| args.operations.is_empty()));
    let by_default = of_operations.or(of_load).unwrap_or(2);
    given.map_or_else(|| by_default.max(limit(scenario).unwrap_or(0)), u32::from)
}

/// What the requests do, by names that the workload knows.
pub(super) fn operations(args: &ExploreArgs, scenario: &Scenario) -> Result<Vec<String>, CliError> {
    if args.operations.is_empty() {
        return Ok(scenario.explore.operations.clone());
    }
    let known: Vec<&str> = match scenario.target.http() {
        Some(http) => http.operations.keys().map(String::as_str).collect(),
        None => scenario.workload.operations().collect(),
    };
    match args.operations.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(CliError::usage(anyhow::anyhow!("`--operations`: there is no operation `{name}`"))
            .hint(format!("there are {}", known.join(", ")))),
        None => Ok(args.operations.clone()),
    }
}

pub(super) fn search(args: &ExploreArgs, scenario: &Scenario) -> Search {
    match (&args.schedule, args.search.or(scenario.explore.search)) {
        (Some(schedule), _) => Search::Replay { schedule: schedule.clone(), times: args.times },
        (None, Some(SearchKind::Exhaustive) | None) => Search::Exhaustive,
        (None, Some(SearchKind::Pct)) => Search::Pct { depth: usize::from(args.depth) },
        (None, Some(SearchKind::Random)) => Search::Random,
        (None, Some(SearchKind::Stress)) => Search::Stress,
    }
}

/// Refuses a schedule that names a request which is not there.
pub(super) fn fits(args: &ExploreArgs, scenario: &Scenario, requests: u32) -> Result<(), CliError> {
    let named = || args.schedule.iter().flat_map(|schedule| &schedule.0).flat_map(|choice| &choice.0);
    let starts = super::fresh::starts(scenario);
    if let Some(most) =
        named().filter(|pick| pick.is_start).map(|pick| pick.request + 1).max().filter(|most| *most > starts)
    {
        let error =
            anyhow::anyhow!("the schedule does not fit: it has the start of instance {most}, and {starts} are started");
        return Err(CliError::usage(error).hint(
            "starts are part of a schedule with `[load] fresh = \"service\"`, as many as `[service] instances`",
        ));
    }
    let named = named().filter(|pick| !pick.is_start);
    let Some(most) = named.map(|pick| pick.request + 1).max().filter(|most| *most > requests as usize) else {
        return Ok(());
    };
    let error = anyhow::anyhow!("the schedule does not fit: it releases request {most}, and there are {requests}");
    Err(CliError::usage(error)
        .hint(format!("a schedule belongs to its requests: give the same `--requests`, as in `--requests {most}`")))
}

/// Refuses what cannot be explored, before a folder is made or anything is started.
pub(super) fn check(args: &ExploreArgs, scenario: &Scenario, guard: &Guard) -> Result<(), CliError> {
    if args.attach.is_some() && (scenario.service.is_some() || scenario.target.http().is_none()) {
        return Err(CliError::usage(anyhow::anyhow!("--attach is for a service that runs already"))
            .hint("take `[service]` out, and say where the service is: `base_urls` of `[target.http]`"));
    }
    if args.attach.is_none()
        && scenario.target.http().is_some()
        && !scenario.service.as_ref().is_some_and(|service| is_told(service, "mongo.uri"))
    {
        return Err(no_service(scenario));
    }
    Ok(session::check(scenario, guard)?)
}

/// What the scenario lacks for an exploration, and what to write into it.
fn no_service(scenario: &Scenario) -> CliError {
    let file = scenario.file.display();
    let attach = "or explore a service that runs already: --attach PORT, and point it there";
    match &scenario.service {
        None => CliError::usage(anyhow::anyhow!(
            "explore puts a proxy between the service and its database, and {file} has no `[service]` that gets {{{{ mongo.uri }}}}"
        ))
        .hint(
            "let it start the service: `[service]`, then `command = [\"node\", \"server.js\"]` and `env = { MONGO_URL = \"{{ mongo.uri }}\" }`, with the variable that your service reads",
        )
        .hint(attach),
        Some(_) => CliError::usage(anyhow::anyhow!(
            "explore puts a proxy between the service and its database, and the `[service]` of {file} never gets {{{{ mongo.uri }}}}"
        ))
        .hint(
            "hand the proxy's address over by the variable that your service reads: `env = { MONGO_URL = \"{{ mongo.uri }}\" }` in `[service]`",
        )
        .hint(attach),
    }
}

#[cfg(test)]
mod tests {
    use super::limits_of;

    #[test]
    fn limits_are_read_from_what_must_not_be_found() {
        for (pipeline, expected) in [
            (r#"[{ "$match": { "n": { "$gt": 3 } } }]"#, vec![3]),
            (r#"[{ "$match": { "n": { "$gte" : 4 } } }, { "$match": { "m": {"$gt":12} } }]"#, vec![3, 12]),
            (r#"[{ "$match": { "$expr": { "$gt": ["$n", 3] } } }]"#, vec![]),
            (r#"[{ "$match": { "n": { "$gt": "$m" }, "$gtx": 5 } }]"#, vec![]),
        ] {
            assert_eq!(limits_of(pipeline), expected, "{pipeline}");
        }
    }
}
