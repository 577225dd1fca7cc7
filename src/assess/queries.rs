//! Custom invariants: from what an aggregation gave to a result.

use crate::scenario::{Expected, InvariantSpec};
use crate::target::mongo::QueryResult;
use crate::verdict::{Invariant, InvariantResult, Witness};

/// One result for each of the user's invariants, in their order. One whose aggregation was not carried out is
/// inconclusive.
pub(super) fn judge(specs: &[InvariantSpec], results: &[QueryResult]) -> Vec<InvariantResult> {
    specs.iter().map(|spec| judge_one(spec, results.iter().find(|result| result.name == spec.name))).collect()
}

/// How much is wrong, by invariant.
pub fn violations(specs: &[InvariantSpec], results: &[QueryResult]) -> Vec<(Invariant, u64)> {
    judge(specs, results).into_iter().map(|result| (result.name, result.violations)).collect()
}

fn judge_one(spec: &InvariantSpec, result: Option<&QueryResult>) -> InvariantResult {
    let name = Invariant::Custom(spec.name.as_str().into());
    let Some(result) = result else {
        return InvariantResult::inconclusive(name, "the aggregation was not carried out");
    };
    if let Some(error) = &result.error {
        return InvariantResult::inconclusive(name, format!("the aggregation failed: {error}"));
    }
    let found = result.documents;
    let (violations, explanation) = match spec.expect {
        Expected::Empty if found == 0 => (0, String::new()),
        Expected::Empty => (found, format!("the aggregation gave {found} documents, and must give none")),
        Expected::Number { min, max } => match the_number(result) {
            Err(why) => return InvariantResult::inconclusive(name, why),
            Ok(number) if (min..=max).contains(&number) => (0, String::new()),
            Ok(number) => (1, format!("the aggregation gave {number}, and must give {}", spec.expect)),
        },
    };
    let witness =
        Witness { key: spec.name.clone(), operations: Vec::new(), documents: result.examples.clone(), explanation };
    let witnesses = if violations > 0 { vec![witness] } else { Vec::new() };
    InvariantResult::new(name, 1, violations, witnesses)
}

/// The one number of the one document; no document counts as 0, which is what `$count` and `$group` give of nothing.
fn the_number(result: &QueryResult) -> Result<f64, String> {
    let document = match (result.documents, result.examples.first()) {
        (0, _) => return Ok(0.0),
        (1, Some(document)) => document,
        (found, _) => return Err(format!("the aggregation must give one document, and gave {found}")),
    };
    let fields = document.as_object().into_iter().flatten();
    let numbers: Vec<f64> = fields.filter(|(name, _)| *name != "_id").filter_map(|(_, value)| value.as_f64()).collect();
    match numbers.as_slice() {
        [number] => Ok(*number),
        numbers => Err(format!("the document must have one number besides `_id`, and has {}", numbers.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::{Scope, SecretText, Template};
    use crate::verdict::Verdict::{Holds, Inconclusive, Violated};

    #[test]
    fn results_follow_from_what_was_found() {
        let bounds = |min, max| Expected::Number { min, max };
        let cases = [
            (Expected::Empty, vec![], Holds),
            (Expected::Empty, vec![json!({"_id": 1})], Violated),
            (bounds(0.0, 0.0), vec![], Holds),
            (bounds(1.0, 2.0), vec![], Violated),
            (bounds(1.0, 2.0), vec![json!({"_id": null, "n": 2})], Holds),
            (bounds(1.0, 2.0), vec![json!({"n": 2.5})], Violated),
            (bounds(1.0, 2.0), vec![json!({"n": "x"})], Inconclusive),
            (bounds(1.0, 2.0), vec![json!({"n": 1, "m": 1})], Inconclusive),
            (bounds(1.0, 2.0), vec![json!({"n": 1}), json!({"n": 1})], Inconclusive),
        ];
        for (expect, examples, verdict) in cases {
            let text = |text: &str| Template::compile(SecretText::plain(text), Scope::Run).unwrap();
            let spec =
                InvariantSpec { name: "x".into(), database: None, collection: text("c"), pipeline: text("[]"), expect };
            let result = QueryResult { name: "x".into(), documents: examples.len() as u64, examples, error: None };
            let judged = judge(std::slice::from_ref(&spec), std::slice::from_ref(&result));
            assert_eq!(judged[0].verdict, verdict, "{expect:?} {result:?}");
            assert_eq!(judge(std::slice::from_ref(&spec), &[])[0].verdict, Inconclusive);
        }
    }
}
