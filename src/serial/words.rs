//! What a judgement says in words.

use super::classes::Class;
use super::nearest::Difference;

/// Requests by number: `request 2`, `requests 1 and 3`.
pub(super) fn requests(requests: &[usize]) -> String {
    let numbers: Vec<String> = requests.iter().map(|request| (request + 1).to_string()).collect();
    match numbers.as_slice() {
        [one] => format!("request {one}"),
        [all @ .., last] => format!("requests {} and {last}", all.join(", ")),
        [] => "no request".to_owned(),
    }
}

/// What a class means, of so many executions: `in 13 of 21 interleavings …`.
pub(super) fn of_class(class: Class, count: u64, all: u64, without: &[usize], status: u16) -> String {
    let gone = requests(without);
    let verb = if without.len() == 1 { "was" } else { "were" };
    match class {
        Class::Serial => format!("in {count} of {all} interleavings the outcome is that of a serial order"),
        Class::Refused if without.is_empty() => format!(
            "in {count} of {all}, a number of a sequence was left unused; the rest is as if it had not been handed out"
        ),
        Class::Refused => format!(
            "in {count} of {all}, {gone} {verb} refused ({status}) and left nothing; the rest is as if it had not been sent"
        ),
        Class::Mixed => of_mixed(count, all),
        Class::Status if !without.is_empty() => format!(
            "in {count} of {all}, {gone} failed ({status}) and left nothing; the rest is as if it had not been sent"
        ),
        Class::Lasting => {
            format!("in {count} of {all} interleavings the documents are those of no order of the requests")
        }
        Class::Status => {
            format!("in {count} of {all} interleavings the statuses are those of no order of the requests")
        }
        Class::Answer => format!("in {count} of {all} interleavings an answer is that of no order of the requests"),
    }
}

/// What executions are whose answers no one order gives.
pub(crate) fn of_mixed(count: u64, all: u64) -> String {
    format!(
        "in {count} of {all} each answer is one that some order gives, but no one order gives them all: two that were both told that \
         they won look like that, and so does a cache that says whether it was filled; `--strict` accuses of it"
    )
}

/// The first difference in one sentence: `serially 1 document in subscribers, here 2 documents`.
pub(super) fn of_difference(difference: &Difference) -> String {
    let Difference { place, serially, here } = difference;
    if serially.ends_with(" document") || serially.ends_with(" documents") {
        return format!("serially {serially} in {place}, here {here}");
    }
    format!("{place}: serially {serially}, here {here}")
}

/// An order of requests: `1 then 2`.
pub(super) fn order(order: &[usize]) -> String {
    order.iter().map(|request| (request + 1).to_string()).collect::<Vec<_>>().join(" then ")
}
