//! Tests of the written scenario.

use super::*;
use crate::import::from_curl;
use crate::init::finding::Prior;
use crate::init::fresh::Fresh;

fn upsert(field: &str) -> Plan {
    let made = Made { database: "run".into(), collection: "polls".into(), field: field.into(), stored: None };
    let sample = from_curl("curl -X POST http://app/polls/p1").unwrap();
    let finding = Finding { kind: Kind::Upsert, made: Some(made), ..Finding::untried(sample) };
    let origin = Origin::Command {
        command: vec!["app".into()],
        dir: "/".into(),
        variables: vec!["DB".into()],
        replica_set: false,
    };
    Plan { name: "polls".into(), origin, login: None, findings: vec![finding], custom: true, left_out: Vec::new() }
}

#[test]
fn an_invariant_that_no_race_can_break_is_not_written() {
    assert!(scenario_text(&upsert("poll")).contains("one document of polls per poll"));
    assert!(!scenario_text(&upsert("_id")).contains("[[invariant]]"));
}

#[test]
fn a_database_that_is_called_after_a_trial_is_not_written_down() {
    for custom in [true, false] {
        let mut plan = upsert("poll");
        plan.custom = custom;
        let made = plan.findings[0].made.as_mut().unwrap();
        made.database = format!("{}20261129_acme", crate::init::TRIAL);
        assert!(!scenario_text(&plan).contains("acme"));
        plan.findings[0].made.as_mut().unwrap().database = "tenants".to_owned();
        assert!(scenario_text(&plan).contains("database = \"tenants\""));
    }
}

#[test]
fn who_is_named_by_another_request_sends_as_the_key() {
    for (named, caller) in [("ann", "{{ key }}"), ("bob", "{{ client.user }}")] {
        let mut plan = upsert("poll");
        let adds = from_curl(&format!("curl -X POST http://app/users/{named}/points")).unwrap();
        let fresh = vec![Fresh::new("user", named)];
        let pays = from_curl("curl -X POST http://app/payouts -H 'X-User: ann'").unwrap();
        let pays = Finding { kind: Kind::Change, ..Finding::untried(pays) };
        plan.findings = vec![Finding { kind: Kind::Change, fresh, ..Finding::untried(adds) }, pays];
        let text = scenario_text(&plan);
        assert!(text.contains("path = \"/users/{{ key }}/points\""), "{text}");
        assert!(text.contains(&format!("x-user = \"{caller}\"")), "{named}: {text}");
    }
}

#[test]
fn who_signs_up_is_somebody_else_where_users_are_called_after_the_key() {
    let signs_up = from_curl("curl http://app/users --json '{\"name\":\"ann\"}'").unwrap();
    let logs_in = from_curl("curl http://app/login --json '{\"username\":\"ann\",\"password\":\"secret\"}'").unwrap();
    let gives = from_curl("curl http://app/deposits --json '{\"user\":\"ann\"}'").unwrap();
    let login = Login::among(&[logs_in]).unwrap();
    let finding = |sample: &Sample, name: &str, kind: Kind| {
        let fresh = vec![Fresh::new(name, "ann")];
        Finding { kind, fresh, ..Finding::untried(sample.clone()) }
    };
    let mut plan = upsert("poll");
    plan.login = Some(login);
    plan.findings = vec![finding(&signs_up, "name", Kind::Unique(409))];
    assert!(scenario_text(&plan).contains("name = \"{{ key }}\""), "nobody is there before");
    plan.findings.push(finding(&gives, "user", Kind::Change));
    let text = scenario_text(&plan);
    assert!(text.contains("name = \"{{ key }}-newname\"") && text.contains("user = \"{{ key }}\""), "{text}");
    assert!(text.contains("username = \"{{ key }}\""), "{text}");
}

#[test]
fn values_that_stand_side_by_side_are_the_same_in_every_request_and_never_each_other() {
    let finding = |curl: &str, values: &[(&str, &str)]| {
        let fresh = values.iter().map(|(name, literal)| Fresh::new(name, literal)).collect();
        Finding { kind: Kind::Change, fresh, ..Finding::untried(from_curl(curl).unwrap()) }
    };
    let mut plan = upsert("poll");
    plan.findings = vec![
        finding("curl -X POST http://app/users/ann/points", &[("users", "ann")]),
        finding("curl -X POST http://app/users/bob/points", &[("users", "bob")]),
        finding(
            "curl http://app/merge --json '{\"from\":\"ann\",\"to\":\"bob\"}'",
            &[("users", "ann"), ("users2", "bob")],
        ),
        finding("curl -X POST http://app/rooms/blue/guests", &[("rooms", "blue")]),
    ];
    let text = scenario_text(&plan);
    for written in [
        "/users/{{ key }}-users/points",
        "/users/{{ key }}-users2/points",
        "from = \"{{ key }}-users\", to = \"{{ key }}-users2\"",
        "/rooms/{{ key }}/guests",
    ] {
        assert!(text.contains(written), "{written}: {text}");
    }
}

#[test]
fn an_item_of_a_list_is_no_field_that_an_aggregation_groups_by() {
    // `$members.1` is an empty list in every document: all of them would be one.
    for field in ["members.1", "0", "a.12.b"] {
        assert!(!scenario_text(&upsert(field)).contains("[[invariant]]"), "{field}");
    }
    assert!(scenario_text(&upsert("who.seat2")).contains("\"_id\": \"$who.seat2\""));
    // A request that creates or gets has its invariant for want of an observation.
    let creates = |field: &str| {
        let mut plan = upsert(field);
        plan.custom = false;
        plan.findings[0].kind = Kind::CreateOrGet;
        plan.findings[0].id = Some("$.id".into());
        scenario_text(&plan)
    };
    assert!(creates("who.name").contains("one document of polls per who.name"));
    let listed = creates("members.1");
    assert!(listed.contains("workload = \"create-or-get\"") && !listed.contains("[[invariant]]"), "{listed}");
}

#[test]
fn a_form_keeps_a_name_that_it_has_twice() {
    let sample = from_curl("curl http://app/rooms -d 'tag=a&tag=b%26c&who=ann@example.org'").unwrap();
    let mut plan = upsert("who");
    plan.findings[0].fresh = vec![Fresh::new("who", "ann@example.org")];
    plan.findings[0].sample = sample;
    let text = scenario_text(&plan);
    let environment = |_: &str| None;
    let loaded = crate::scenario::load_text(
        std::path::Path::new("rooms.toml"),
        text.clone(),
        &[],
        &environment,
        &crate::strategy::names,
    );
    assert!(loaded.is_ok(), "{text}\n{loaded:?}");
    assert!(text.contains("body = \"tag=a&tag=b%26c&who=who-{{ key | urlencode }}@example.org\""), "{text}");
    assert!(text.contains("headers = { content-type = \"application/x-www-form-urlencoded\" }"), "{text}");
    // One that has each once stays a table.
    plan.findings[0].sample = from_curl("curl http://app/rooms -d 'tag=a&who=ann'").unwrap();
    assert!(scenario_text(&plan).contains("form = { tag = \"a\", who = \"ann\" }"));
}

#[test]
fn what_was_left_out_is_a_comment_with_what_was_seen() {
    let mut plan = upsert("poll");
    assert!(!scenario_text(&plan).contains("Left out"));
    plan.left_out = vec!["POST /polls/{id}/votes: it was answered with HTTP 404".to_owned()];
    let text = scenario_text(&plan);
    assert!(text.contains("#   POST /polls/{id}/votes: it was answered with HTTP 404\n"), "{text}");
}

#[test]
fn a_scenario_is_named_by_what_it_holds_the_service_to() {
    let named = |kind: Kind, field: &str, custom: bool, added: bool| {
        let mut plan = upsert(field);
        plan.custom = custom;
        let finding = &mut plan.findings[0];
        (finding.kind, finding.id) = (kind, Some("$.id".into()));
        finding.added = added.then(|| Added { place: "votes".into(), literal: "x".into(), single: true });
        promise(&plan)
    };
    let one = "one document, however many ask";
    assert_eq!(named(Kind::CreateOrGet, "poll", false, false), one);
    assert_eq!(named(Kind::Unique(409), "poll", false, false), "one is served, the others are refused");
    assert_eq!(named(Kind::Change, "poll", false, true), "what was acknowledged is kept");
    assert_eq!(named(Kind::Upsert, "poll", false, false), one);
    // Nothing of them is counted: there may be many documents, or the key lies too deep for elements to be found.
    for (kind, field) in [(Kind::Insert, "poll"), (Kind::Change, "poll"), (Kind::Upsert, "_id"), (Kind::Change, "a.b")]
    {
        assert_eq!(named(kind, field, false, field == "a.b"), "as if one after another", "{field}");
    }
}

#[test]
fn one_document_that_took_all_is_held_to_be_the_only_one() {
    let single = |kind: Kind, single: bool| {
        let mut plan = upsert("poll");
        plan.custom = false;
        plan.findings[0].kind = kind;
        plan.findings[0].added = Some(Added { place: "votes".into(), literal: "x".into(), single });
        scenario_text(&plan).contains("\nsingle = true\n")
    };
    assert!(single(Kind::Upsert, true));
    assert!(!single(Kind::Upsert, false), "it took a second one");
    // Which was full one day: nothing says that there is one.
    let mut plan = upsert("poll");
    assert!(scenario_text(&plan).contains("[[invariant]]"), "{}", scenario_text(&plan));
    plan.findings[0].begins_another = true;
    plan.findings[0].added = Some(Added { place: "votes".into(), literal: "x".into(), single: true });
    assert!(!scenario_text(&plan).contains("[[invariant]]"), "{}", scenario_text(&plan));
    plan.custom = false;
    let text = scenario_text(&plan);
    assert!(text.contains("elements = ") && !text.contains("\nsingle = true\n"), "{text}");
    // It was made by something else.
    assert!(!single(Kind::Change, true));
}

#[test]
fn several_that_come_first_are_a_list_and_one_that_stands_before_is_not_in_it() {
    let sample = |path: &str| from_curl(&format!("curl -X POST http://app/{path}")).unwrap();
    let prior = |path: &str, literal: &str, number, stands_before| {
        let capture = Some((literal.to_owned(), "$.id".to_owned()));
        Prior { number, stands_before, ..Prior::new(sample(path), capture) }
    };
    let text = |stands_before| {
        let mut plan = upsert("poll");
        let before = vec![prior("boards", "b1", 0, stands_before), prior("boards/b1/lists", "l1", 1, false)];
        plan.findings = vec![Finding { kind: Kind::Change, before, ..Finding::untried(sample("boards/b1/lists/l1")) }];
        scenario_text(&plan)
    };
    let first = "{ method = \"POST\", path = \"/boards\", capture = { id = \"$.id\" } }";
    let second = "{ method = \"POST\", path = \"/boards/{{ before.id }}/lists\", capture = { id_2 = \"$.id\" } }";
    let (both, one) = (text(false), text(true));
    assert!(both.contains(&format!("before = [\n    {first},\n    {second},\n]\n")), "{both}");
    assert!(one.contains(&format!("before = {second}\n")), "{one}");
    assert!(both.contains("path = \"/boards/{{ before.id }}/lists/{{ before.id_2 }}\""), "{both}");
}

#[test]
fn what_comes_first_is_written_before_what_needs_it() {
    let mut plan = upsert("poll");
    let first = from_curl("curl http://app/polls -H 'Accept: */*' --json '{\"code\":\"p1\",\"size\":2}'").unwrap();
    let finding = &mut plan.findings[0];
    finding.fresh = vec![Fresh::new("code", "p1")];
    finding.before = vec![Prior::new(first.clone(), None)];
    let text = scenario_text(&plan);
    let before = "before = { method = \"POST\", path = \"/polls\", json = { code = \"{{ key }}\", size = 2 }";
    assert!(text.contains(before) && text.contains("path = \"/polls/{{ key }}\""), "{text}");
    let finding = &mut plan.findings[0];
    finding.fresh.clear();
    finding.before = vec![Prior::new(first, Some(("p1".into(), "$.id".into())))];
    let text = scenario_text(&plan);
    assert!(
        text.contains("capture = { id = \"$.id\" } }") && text.contains("path = \"/polls/{{ before.id }}\""),
        "{text}"
    );
    let environment = |_: &str| None;
    let path = std::path::Path::new("polls.toml");
    let loaded = crate::scenario::load_text(path, text.clone(), &[], &environment, &crate::strategy::names);
    assert!(loaded.is_ok(), "{text}\n{loaded:?}");
}

#[test]
fn a_service_that_needs_a_replica_set_gets_one() {
    let mut plan = upsert("slug");
    assert!(!scenario_text(&plan).contains("replica_set"));
    if let Origin::Command { replica_set, .. } = &mut plan.origin {
        *replica_set = true;
    }
    let text = scenario_text(&plan);
    assert!(text.contains("\n[mongod]\nreplica_set = 1\n"), "{text}");
    toml::from_str::<toml::Table>(&text).unwrap();
}

#[test]
fn what_may_rightly_be_made_once_more_has_no_rule_of_its_own() {
    let rules = |before: Vec<Prior>, kind: Kind| {
        let mut plan = upsert("poll");
        let sample = from_curl("curl -X POST http://app/polls/p1/close").unwrap();
        plan.findings.push(Finding { kind, before, ..Finding::untried(sample) });
        scenario_text(&plan).matches("[[invariant]]").count()
    };
    let sample = || from_curl("curl -X POST http://app/polls/p1").unwrap();
    let prior = || vec![Prior { sample: sample(), capture: None, number: 0, stands_before: true }];
    assert_eq!(rules(Vec::new(), Kind::Change), 1);
    // Where the other one stands before it, it is kept as what it is without: it found nothing, and names what that makes.
    let mut plan = upsert("poll");
    let close = from_curl("curl -X POST http://app/polls/p1/close").unwrap();
    plan.findings[0].fresh = vec![Fresh::new("poll", "p1")];
    let needy = |literal: &str, status| Finding {
        kind: Kind::Failed("nothing was there".to_owned()),
        fresh: vec![Fresh::new("poll", literal)],
        statuses: vec![status],
        ..Finding::untried(close.clone())
    };
    for (literal, status, rules) in [("p1", 404, 0), ("p2", 404, 1), ("p1", 500, 1)] {
        plan.findings.truncate(1);
        plan.findings.push(needy(literal, status));
        assert_eq!(scenario_text(&plan).matches("[[invariant]]").count(), rules, "{literal} {status}");
    }
    // It closes what the other one has opened; without that it found nothing.
    for kind in [Kind::Change, Kind::Failed("nothing was there".to_owned())] {
        assert_eq!(rules(prior(), kind), 0);
    }
}

#[test]
fn a_page_that_its_sender_is_led_on_to_is_a_good_answer() {
    assert_eq!(
        status(&Kind::Unique(409), &[303, 409]),
        "status = { ok = [200, 201, 202, 204, 303], refused = [409] }\n"
    );
    assert_eq!(status(&Kind::CreateOrGet, &[302, 302]), "status = { ok = [200, 201, 202, 204, 302] }\n");
}
