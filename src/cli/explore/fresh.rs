//! `[load] fresh` in an exploration: what it cannot be had with.

use super::asked::search;
use super::faults;
use crate::cli::CliError;
use crate::cli::args::ExploreArgs;
use crate::explore::search::Search;
use crate::scenario::{Fresh, Scenario};
use crate::workload::{self, Requests};

/// How many instances are started in each execution, as part of it.
pub(super) fn starts(scenario: &Scenario) -> usize {
    let instances = scenario.service.as_ref().map_or(0, |service| service.instances as usize);
    if scenario.fresh == Some(Fresh::Service) { instances } else { 0 }
}

/// Refuses what starts that are part of an execution do not go with, before anything is started.
pub(super) fn check(args: &ExploreArgs, scenario: &Scenario, has_pairs: bool) -> Result<(), CliError> {
    if starts(scenario) == 0 {
        return Ok(());
    }
    let refused = |why: &str, hint: &str| {
        Err(CliError::usage(anyhow::anyhow!("`fresh = \"service\"` starts the instances in each execution: {why}"))
            .hint(hint))
    };
    if faults::are_there(args, scenario) {
        return refused(
            "faults strike requests of a service that is up",
            "leave `--faults` out, or say `fresh = \"database\"`",
        );
    }
    if search(args, scenario) == Search::Stress {
        return refused("`stress` puts nothing in order", "take another search, such as `--search random`");
    }
    if has_pairs {
        return refused(
            "every choice of the operations would take too many",
            "name those that are to meet: `--operations`",
        );
    }
    if !scenario.setup.is_empty() || is_seeded(args, scenario) {
        return refused(
            "nothing can be made before them, neither by `[[setup]]` nor for the requests",
            "leave it out, or say `fresh = \"database\"`",
        );
    }
    Ok(())
}

/// Whether something must be there before the requests.
fn is_seeded(args: &ExploreArgs, scenario: &Scenario) -> bool {
    let operations = if args.operations.is_empty() { &scenario.explore.operations } else { &args.operations };
    let workload = workload::of_scenario(scenario, "r");
    Requests::new(workload, operations.clone(), 1, 0).are_seeded()
}
