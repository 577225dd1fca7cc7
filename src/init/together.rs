//! Requests that are explored together: what comes before each of them. [`together`].
//!
//! What is written as `before` of one operation is sent once for each key on which that operation comes, or another one that
//! names what it captures. So a request that is explored itself comes first only where its answer must be known: as often as it can,
//! it is one of those that meet.

use super::finding::{Finding, Kind, Prior};
use crate::import::Sample;

/// The findings as they can stand beside each other.
pub fn together(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept = Vec::new();
    let mut makers: Vec<Sample> = Vec::new();
    for finding in &findings {
        let prior = finding.before.as_ref();
        let maker = prior.and_then(|prior| findings.iter().find(|other| other.sample == prior.sample));
        match (maker, prior) {
            (Some(_), Some(Prior { capture: None, .. })) => kept.push(by_itself(finding)),
            (_, Some(prior)) => {
                let number = makers.iter().position(|sample| *sample == prior.sample);
                let numbered =
                    Prior { number: number.unwrap_or(makers.len()), stands_before: number.is_some(), ..prior.clone() };
                if number.is_none() {
                    makers.push(prior.sample.clone());
                }
                kept.push(with(finding, numbered));
            }
            (_, None) => kept.push(finding.clone()),
        }
    }
    kept
}

/// A request whose maker is explored, too: the maker comes first in some orders, and in others it does not.
fn by_itself(finding: &Finding) -> Finding {
    Finding {
        kind: Kind::Failed("it finds nothing, alone".to_owned()),
        statuses: vec![404],
        fresh: finding.fresh.clone(),
        pair: finding.pair,
        per_caller: finding.per_caller,
        ..Finding::untried(finding.sample.clone())
    }
}

fn with(finding: &Finding, prior: Prior) -> Finding {
    let mut finding = finding.clone();
    if let Some(stored) = finding.made.as_mut().and_then(|made| made.stored.as_mut()) {
        *stored = stored.replace(Prior::TEMPLATE, &prior.template());
    }
    finding.before = Some(prior);
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::from_curl;
    use crate::init::fresh::Fresh;

    fn finding(curl: &str, kind: Kind, fresh: &[&str]) -> Finding {
        let fresh = fresh.iter().map(|literal| Fresh::new("code", literal)).collect();
        Finding { kind, fresh, ..Finding::untried(from_curl(curl).unwrap()) }
    }

    fn after(finding: Finding, maker: &Finding, capture: Option<&str>) -> Finding {
        let capture = capture.map(|literal| (literal.to_owned(), "$.id".to_owned()));
        Finding { before: Some(Prior::new(maker.sample.clone(), capture)), ..finding }
    }

    #[test]
    fn who_makes_something_is_not_made_to_come_first() {
        let make = finding("curl http://app/rooms --json '{\"code\":\"r-1\"}'", Kind::Unique(409), &["r-1"]);
        let using = finding("curl -X POST http://app/rooms/r-1/join", Kind::Unique(409), &["r-1"]);
        let kept = together(vec![make.clone(), after(using, &make, None)]);
        assert_eq!((&kept[1].before, kept[1].may_need(&kept[0])), (&None, true), "it needs the other one as before");
        // By an identifier, nothing else would do.
        let using = finding("curl -X POST http://app/rooms/65a1b2c3d4e5f60718293a4b/join", Kind::Unique(409), &["r-1"]);
        let kept = together(vec![make.clone(), after(using, &make, Some("65a1b2c3d4e5f60718293a4b"))]);
        assert_eq!(kept[1].before.as_ref().map(|prior| &prior.sample), Some(&make.sample));
    }

    #[test]
    fn what_comes_first_is_written_once_and_captured_by_a_name_of_its_own() {
        let maker =
            |path: &str| finding(&format!("curl http://app/{path} --json '{{\"text\":\"a\"}}'"), Kind::Insert, &[]);
        let (posts, orders) = (maker("posts"), maker("orders"));
        let of = |maker: &Finding, path: &str, id: &str| {
            after(finding(&format!("curl -X POST http://app/{path}/{id}"), Kind::Change, &[]), maker, Some(id))
        };
        let kept = together(vec![
            posts.clone(),
            orders.clone(),
            of(&posts, "pin", "65a1b2c3d4e5f60718293a4b"),
            of(&posts, "like", "65a1b2c3d4e5f60718293a4b"),
            of(&orders, "pay", "75a1b2c3d4e5f60718293a4b"),
        ]);
        let priors = kept[2..].iter().map(|finding| finding.before.as_ref().unwrap());
        let told: Vec<(String, bool)> = priors.map(|prior| (prior.template(), prior.stands_before)).collect();
        let expected = [("{{ before.id }}", false), ("{{ before.id }}", true), ("{{ before.id_2 }}", false)];
        assert_eq!(told, expected.map(|(template, stands)| (template.to_owned(), stands)));
    }
}
