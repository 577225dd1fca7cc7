//! Requests that are explored together: what comes before each of them. [`together`].
//!
//! What is written as `before` of one operation is sent once for each key on which that operation comes, or another one that
//! names what it captures. So a request that is explored itself comes first only where its answer must be known: as often as it can,
//! it is one of those that meet.

use super::finding::{Finding, Kind, Prior};
use crate::import::Sample;

/// Requests that come first, each with which of its kind it is in front of one request: who gives, and who takes, are two.
type Makers = Vec<(Sample, usize)>;

/// The findings as they can stand beside each other.
pub fn together(findings: Vec<Finding>) -> Vec<Finding> {
    let mut makers = Makers::default();
    let together = findings.iter().map(|finding| {
        let is_explored = |prior: &Prior| findings.iter().any(|other| other.sample == prior.sample);
        match finding.before.split_last() {
            Some((last, first)) if last.capture.is_none() && is_explored(last) => {
                by_itself(finding, first, &mut makers)
            }
            _ => numbered(finding, &finding.before, &mut makers),
        }
    });
    together.collect()
}

/// A request whose maker is explored, too: the maker comes first in some orders, and in others it does not.
fn by_itself(finding: &Finding, first: &[Prior], makers: &mut Makers) -> Finding {
    let alone = Finding {
        kind: Kind::Failed("it finds nothing, alone".to_owned()),
        statuses: vec![404],
        fresh: finding.fresh.clone(),
        pair: finding.pair,
        per_caller: finding.per_caller,
        ..Finding::untried(finding.sample.clone())
    };
    numbered(&alone, first, makers)
}

/// The request after these, of which one that came before others is written with these, and what it captures is called the same.
fn numbered(finding: &Finding, before: &[Prior], makers: &mut Makers) -> Finding {
    let number = |(place, prior): (usize, &Prior)| {
        let nth = before[..place].iter().filter(|other| other.sample == prior.sample).count();
        let one = (prior.sample.clone(), nth);
        let there = makers.iter().position(|other| *other == one);
        if there.is_none() {
            makers.push(one);
        }
        Prior { number: there.unwrap_or(makers.len() - 1), stands_before: there.is_some(), ..prior.clone() }
    };
    let numbered: Vec<Prior> = before.iter().enumerate().map(number).collect();
    let mut finding = finding.clone();
    if let Some(stored) = finding.made.as_mut().and_then(|made| made.stored.as_mut()) {
        // From one to the other, as the new name of one may be the old name of another.
        for (place, prior) in before.iter().enumerate() {
            *stored = stored.replace(&prior.template(), &format!("{{{{ {place} }}}}"));
        }
        for (place, prior) in numbered.iter().enumerate() {
            *stored = stored.replace(&format!("{{{{ {place} }}}}"), &prior.template());
        }
    }
    finding.before = numbered;
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::from_curl;
    use crate::init::fresh::Fresh;
    use crate::init::made::Made;

    fn finding(curl: &str, kind: Kind, fresh: &[&str]) -> Finding {
        let fresh = fresh.iter().map(|literal| Fresh::new("code", literal)).collect();
        Finding { kind, fresh, ..Finding::untried(from_curl(curl).unwrap()) }
    }

    fn after(finding: Finding, maker: &Finding, capture: Option<&str>) -> Finding {
        let capture = capture.map(|literal| (literal.to_owned(), "$.id".to_owned()));
        Finding { before: vec![Prior::new(maker.sample.clone(), capture)], ..finding }
    }

    #[test]
    fn who_makes_something_is_not_made_to_come_first() {
        let make = finding("curl http://app/rooms --json '{\"code\":\"r-1\"}'", Kind::Unique(409), &["r-1"]);
        let using = finding("curl -X POST http://app/rooms/r-1/join", Kind::Unique(409), &["r-1"]);
        let kept = together(vec![make.clone(), after(using, &make, None)]);
        assert_eq!(
            (&kept[1].before, kept[1].may_need(&kept[0])),
            (&Vec::new(), true),
            "it needs the other one as before"
        );
        // By an identifier, nothing else would do.
        let using = finding("curl -X POST http://app/rooms/65a1b2c3d4e5f60718293a4b/join", Kind::Unique(409), &["r-1"]);
        let kept = together(vec![make.clone(), after(using, &make, Some("65a1b2c3d4e5f60718293a4b"))]);
        assert_eq!(kept[1].before.last().map(|prior| &prior.sample), Some(&make.sample));
    }

    #[test]
    fn of_several_that_come_first_each_is_written_once_and_what_is_stored_is_called_after_them() {
        let maker = |path: &str| finding(&format!("curl -X POST http://app/{path}"), Kind::Insert, &[]);
        let prior = |maker: &Finding, literal: &str, number| {
            let capture = Some((literal.to_owned(), "$.id".to_owned()));
            Prior { number, ..Prior::new(maker.sample.clone(), capture) }
        };
        let (users, boards) = (maker("users"), maker("boards"));
        let made = Made {
            database: "run".to_owned(),
            collection: "cards".to_owned(),
            field: "place".to_owned(),
            stored: Some("{{ before.id }}/{{ before.id_2 }}".to_owned()),
        };
        // Who gives, and who takes, are two.
        let gives = vec![prior(&users, "u1", 0), prior(&users, "u2", 1)];
        let kept = together(vec![Finding { before: gives, ..maker("gifts") }]);
        let told: Vec<String> = kept[0].before.iter().map(Prior::template).collect();
        assert_eq!(told, ["{{ before.id }}", "{{ before.id_2 }}"]);
        assert!(kept[0].before.iter().all(|prior| !prior.stands_before), "{kept:?}");

        let on = |before: Vec<Prior>| Finding { before, made: Some(made.clone()), ..maker("cards") };
        let kept =
            together(vec![on(vec![prior(&users, "u1", 0)]), on(vec![prior(&boards, "b1", 0), prior(&users, "u1", 1)])]);
        let told = |prior: &Prior| (prior.template(), prior.stands_before);
        let told: Vec<(String, bool)> = kept[1].before.iter().map(told).collect();
        assert_eq!(told, [("{{ before.id_2 }}".to_owned(), false), ("{{ before.id }}".to_owned(), true)]);
        let stored = kept[1].made.as_ref().unwrap().stored.as_deref();
        assert_eq!(stored, Some("{{ before.id_2 }}/{{ before.id }}"));
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
        let priors = kept[2..].iter().map(|finding| finding.before.last().unwrap());
        let told: Vec<(String, bool)> = priors.map(|prior| (prior.template(), prior.stands_before)).collect();
        let expected = [("{{ before.id }}", false), ("{{ before.id }}", true), ("{{ before.id_2 }}", false)];
        assert_eq!(told, expected.map(|(template, stands)| (template.to_owned(), stands)));
    }
}
