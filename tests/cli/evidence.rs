//! What the evidence of a run tells: figures of a defect, and evidence that was tampered with.

use std::path::Path;

use serde_json::Value;

use super::harness::{Harness, Ran};

fn scenario(workload: &str, strategy: &str, more: &str) -> String {
    format!(
        "name = \"t\"\nworkload = \"{workload}\"\n[target.mongo]\nstrategy = \"{strategy}\"\ndatabase = \"onlyone_test\"\n\
         [load.burst]\nclients = [2, 8, 24]\nrounds = 30\n{more}\n"
    )
}

fn invariant<'a>(report: &'a Value, name: &str) -> &'a Value {
    let invariants = report["invariants"].as_array().unwrap();
    invariants.iter().find(|invariant| invariant["name"] == name).unwrap_or_else(|| panic!("no {name}: {report}"))
}

fn violated(ran: &Ran) -> Vec<String> {
    let report = ran.json();
    let all = report["invariants"].as_array().unwrap().iter();
    all.filter(|invariant| invariant["verdict"] == "violated")
        .map(|invariant| invariant["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn repeated_delivery_is_counted_and_a_conditional_push_keeps_it_out() {
    let deliveries = "[deliveries]\nmax = 4";
    let racy = Harness::new(&scenario("merge", "find-then-push", deliveries));
    let report = racy.run(&["run", "s.toml", "--format", "json", "--seed", "3"]).expect(1, &[]).json();
    let once = invariant(&report, "merge-once");
    let figure = |name: &str| once["counts"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {once}"));
    let (messages, duplicates, affected) = (figure("messages"), figure("duplicates"), figure("affected_contents"));
    assert!(duplicates > 0 && affected > 0 && affected <= duplicates && duplicates < messages, "{once}");
    assert_eq!(invariant(&report, "no-lost-messages")["verdict"], "holds");

    let safe = Harness::new(&scenario("merge", "conditional-push", deliveries));
    let report = safe.run(&["run", "s.toml", "--format", "json", "--seed", "3"]).expect(0, &[]).json();
    let once = invariant(&report, "merge-once");
    assert!(once["counts"]["messages"].as_u64().unwrap() > 0, "{once}");
    assert_eq!((&once["counts"]["duplicates"], &once["counts"]["affected_contents"]), (&0.into(), &0.into()));
    assert_eq!(invariant(&report, "no-lost-messages")["verdict"], "holds");
}

/// Changes the messages of the first session that was met concurrently and has at least four.
fn edit(directory: &Path, whole: &str, change: impl FnOnce(&mut Vec<Value>)) {
    let mut stored: Value = serde_json::from_str(whole).unwrap();
    let documents = stored["observation"]["documents"].as_array_mut().unwrap();
    let main = documents.iter_mut().filter(|document| document["key"].as_str().is_some_and(|key| key.contains("-s")));
    let messages = main.into_iter().find_map(|document| {
        document.get_mut("messages").and_then(Value::as_array_mut).filter(|messages| messages.len() >= 4)
    });
    change(messages.unwrap());
    std::fs::write(directory.join("observation.json"), stored.to_string()).unwrap();
}

#[test]
fn tampering_with_the_final_state_is_named_for_what_it_is() {
    let harness = Harness::new(&scenario("append", "upsert-push", ""));
    harness.run(&["run", "s.toml", "--seed", "3"]).expect(0, &["HOLDS"]);
    let directory = harness.run_dir();
    let whole = std::fs::read_to_string(directory.join("observation.json")).unwrap();
    let check = || harness.run(&["check", directory.to_str().unwrap(), "--format", "json"]);

    edit(&directory, &whole, |messages| drop(messages.remove(1)));
    let lost = violated(&check().expect(1, &[]));
    assert!(lost.contains(&"no-lost-messages".to_owned()), "{lost:?}");
    assert!(!lost.contains(&"no-duplicate-messages".to_owned()), "{lost:?}");

    edit(&directory, &whole, |messages| messages.push(messages[1].clone()));
    let twice = violated(&check().expect(1, &[]));
    assert!(twice.contains(&"no-duplicate-messages".to_owned()), "{twice:?}");
    assert!(!twice.contains(&"no-lost-messages".to_owned()), "{twice:?}");

    // The answer of the first message comes after the next message.
    edit(&directory, &whole, |messages| messages.swap(1, 2));
    let split = violated(&check().expect(1, &[]));
    assert!(split.contains(&"pair-adjacent".to_owned()), "{split:?}");
    for other in ["no-lost-messages", "no-duplicate-messages"] {
        assert!(!split.contains(&other.to_owned()), "{split:?}");
    }

    std::fs::write(directory.join("observation.json"), whole).unwrap();
    check().expect(0, &[]);
}
