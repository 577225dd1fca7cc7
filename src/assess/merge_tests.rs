//! Shards of one run, cut from one history: merged they are that history again.

use super::super::{Recording, assess};
use super::*;
use crate::history::fixture::operation;
use crate::history::{Action, Id, Observed, OpId, Outcome, Phase, Returned, Source, Value};
use crate::shard::{Clock, Mark};
use crate::verdict::Verdict;

const SCENARIO: &str = "name = 't'\nworkload = 'create-or-get'\n[target.mongo]\nstrategy = 'upsert-retry'\n\
    database = 'onlyone_t'\n[load.burst]\nclients = 6\nrounds = 5\n[limits]\nserial_control = 4\n";

/// A run of six clients and five keys in one process. `defect`: on one key, one client is answered with a document of its own.
fn whole(defect: bool) -> (RunRecord, History, Observation) {
    let answer = |key: u64, client: u64| {
        let own = defect && key == 2 && client == 3;
        let id = Id::Text(if own { "other".into() } else { format!("doc-{key}").into() });
        let created = Some(client == 0 || own);
        Outcome::Ok(Value::Document(Returned { id: Some(id), created, ..Returned::default() }))
    };
    let create = Action::CreateOrGet { reversed: false };
    let control = (0..4_u64).map(|op| {
        let outcome = answer(100, op);
        let one = operation(op, "r-c0", create.clone(), [10 * op, 10 * op + 5], outcome);
        Operation { phase: Phase::Control, client: op as u32, ..one }
    });
    let load = (0..5_u64).flat_map(|key| (0..6_u64).map(move |client| (key, client))).map(|(key, client)| {
        let at = 1_000_000 * (key + 1);
        let times = [at + client * 1_000, at + 400_000 + client * 7_919];
        let one = operation(4 + key * 6 + client, format!("r-k{key}"), create.clone(), times, answer(key, client));
        Operation { client: client as u32, round: key as u32, intended: at, ..one }
    });
    let history = History { operations: control.chain(load).collect(), ..History::default() };
    let document = |key: &str, id: &str, by: u64| Observed {
        id: Id::Text(id.into()),
        key: key.into(),
        stored_key: Some(key.into()),
        created_by: Some(OpId(by)),
        missing: Vec::new(),
        messages: Vec::new(),
        last_message: None,
        thread: None,
        fields: serde_json::json!({ "_id": id }),
    };
    let mut documents = vec![document("r-c0", "doc-100", 0)];
    documents.extend((0..5).map(|key| document(&format!("r-k{key}"), &format!("doc-{key}"), 4 + key * 6)));
    documents.extend(defect.then(|| document("r-k2", "other", 4 + 2 * 6 + 3)));
    let observation = Observation { source: Source::Mongo, quiescent: true, documents, ..Observation::default() };
    let record = RunRecord {
        format_version: super::super::RUN_FORMAT_VERSION,
        tool: "onlyone".into(),
        run_id: "r".into(),
        seed: 7,
        started_at: "2026-01-31T12:00:00Z".into(),
        reproduce: "onlyone run t.toml --seed 7".into(),
        scenario_file: "t.toml".into(),
        scenario: SCENARIO.into(),
        ..RunRecord::default()
    };
    (record, history, observation)
}

/// The whole run as if several processes had made it, each with its own zero and an exact clock.
fn shards(of: u32, defect: bool) -> Vec<ShardRun> {
    let (record, history, observation) = whole(defect);
    let shard = |index: u32| {
        let shard = Shard { index, of };
        // The zero of the run is that of the first; others began later, and their own times are smaller by that.
        let later = u64::from(index) * 1_000;
        let own = |operation: &&Operation| match operation.phase {
            Phase::Control => shard.leads(),
            Phase::Main => shard.owns(operation.client.into()),
        };
        let earlier = |operation: &Operation| Operation {
            intended: operation.intended - later,
            invoked: operation.invoked - later,
            completed: operation.completed - later,
            ..operation.clone()
        };
        let operations = history.operations.iter().filter(own).map(earlier).collect();
        let ahead = 5_000_000_000 + i64::try_from(later).unwrap();
        let mark = Mark { at_ns: 0, least_ns: ahead, most_ns: ahead };
        let clock = Clock { reference: "a server".into(), drift_ppm: 0, marks: vec![mark] };
        let reads = index == 0;
        ShardRun {
            folder: format!("r.shard-{index}-of-{of}"),
            record: RunRecord {
                reproduce: format!("{} --shard {shard}", record.reproduce),
                // The others began later, and say so.
                started_at: format!("2026-01-31T12:00:0{index}Z"),
                shard: Some(ShardRecord {
                    clients: u32::try_from(shard.share(6)).unwrap(),
                    clock,
                    observed_at_ns: reads.then_some(9_000_000_000),
                    operations: None,
                    state: ShardState::Whole,
                    meeting: "one".into(),
                    shard,
                }),
                ..record.clone()
            },
            history: History { operations, ..History::default() },
            observation: reads.then(|| observation.clone()),
        }
    };
    (0..of).map(shard).collect()
}

fn report(run: &MergedRun) -> crate::report::Report {
    let MergedRun { record, history, observation } = run;
    assess(Recording { record, history, observation: observation.as_ref() }).unwrap().0
}

#[test]
fn shards_of_one_history_merge_into_it_and_are_judged_alike_byte_for_byte() {
    for defect in [false, true] {
        let (record, history, observation) = whole(defect);
        let recording = Recording { record: &record, history: &history, observation: Some(&observation) };
        let (of_one, stats) = assess(recording).unwrap();
        assert_eq!(of_one.verdict, if defect { Verdict::Violated } else { Verdict::Holds }, "{:?}", of_one.reasons);
        for of in [1, 2, 4, 6] {
            let run = merge(shards(of, defect)).unwrap();
            assert_eq!(run.history, history, "{of} shards");
            let recording =
                Recording { record: &run.record, history: &run.history, observation: run.observation.as_ref() };
            let (mut merged, of_all) = assess(recording).unwrap();
            assert_eq!(merged.shards.len(), of as usize);
            merged.shards.clear();
            let bytes = |report| String::from_utf8(crate::report::to_json(report).unwrap()).unwrap();
            assert_eq!(bytes(&merged), bytes(&of_one), "{of} shards");
            let bins = |stats: &crate::stats::LatencyStats| -> Vec<_> {
                let bins = |(name, outcome, samples): (&str, &'static str, &crate::stats::Samples)| {
                    let bins =
                        samples.histogram().iter_recorded().map(|bin| (bin.value_iterated_to(), bin.count_at_value()));
                    (name.to_owned(), outcome, bins.collect::<Vec<_>>())
                };
                stats.samples().map(bins).collect()
            };
            assert_eq!(bins(&of_all), bins(&stats), "{of} shards");
        }
    }
}

#[test]
fn the_order_of_the_folders_does_not_matter() {
    let straight = merge(shards(4, true)).unwrap();
    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let all = shards(4, true);
        let other = merge(order.map(|one: usize| all[one].clone()).to_vec()).unwrap();
        assert_eq!(other, straight, "{order:?}");
    }
}

#[test]
fn a_shard_that_died_or_is_missing_leaves_no_run_that_holds_and_hides_no_violation() {
    for defect in [false, true] {
        for lost in 0..4 {
            let mut missing = shards(4, defect);
            missing.remove(lost);
            let mut died = shards(4, defect);
            died[lost].history.partial = true;
            died[lost].record.shard.as_mut().unwrap().clock = Clock::default();
            for (runs, word) in [(missing, "is missing"), (died, "died")] {
                let merged = report(&merge(runs).unwrap());
                let reason = merged.reasons.iter().find(|reason| reason.contains(word));
                assert!(
                    reason.is_some_and(|reason| reason.starts_with(&format!("shard {lost} of 4"))),
                    "{:?}",
                    merged.reasons
                );
                let expected = if defect { Verdict::Violated } else { Verdict::Inconclusive };
                assert_eq!(merged.verdict, expected, "shard {lost} {word}, defect {defect}");
                assert_eq!(merged.exit_code, if defect { 1 } else { 3 });
            }
        }
    }
}

#[test]
fn folders_that_are_not_the_shards_of_one_run_are_refused() {
    let refused = |change: &dyn Fn(&mut Vec<ShardRun>)| {
        let mut runs = shards(4, false);
        change(&mut runs);
        merge(runs).unwrap_err().to_string()
    };
    for (told, expected) in [
        (refused(&|runs| runs.clear()), "no folder was named"),
        (refused(&|runs| runs[1].record.shard = None), "r.shard-1-of-4 is not the folder of a shard"),
        (refused(&|runs| runs[2].record.run_id = "s".into()), "the run id differs (r and s)"),
        (refused(&|runs| runs[2].record.seed = 8), "the seed differs (7 and 8)"),
        (
            // Yesterday's run of the same name, scenario and seed.
            refused(&|runs| runs[3].record.shard.as_mut().unwrap().meeting = "another".into()),
            "the meeting differs (one and another)",
        ),
        (refused(&|runs| runs[1].record.version = "9".into()), "the version differs"),
        (refused(&|runs| runs[1].record.scenario.push('#')), "the scenario differs"),
        (refused(&|runs| runs.push(shards(3, false).remove(1))), "the number of shards differs (4 and 3)"),
        (refused(&|runs| runs.push(runs[1].clone())), "are both shard 1/4"),
        (
            refused(&|runs| runs[1].record.shards = vec![ShardRecord::missing(Shard { index: 0, of: 1 })]),
            "a merged run already",
        ),
        (refused(&|runs| runs[1].history.operations[0].client = 2), "of client 2 is not of shard 1/4"),
        (refused(&|runs| runs[1].history.operations[0].id = OpId(4)), "op4 is there twice"),
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn one_shard_alone_is_judged_by_its_own_answers() {
    // Clients 0, 2 and 4 of two shards saw one document; of six shards each saw but one.
    for (of, defect, violated) in [(2, false, None), (2, true, Some(1)), (6, true, None)] {
        for (index, run) in shards(of, defect).into_iter().enumerate() {
            let recording = Recording { record: &run.record, history: &run.history, observation: None };
            let alone = assess(recording).unwrap().0;
            let expected = if violated == Some(index) { (Verdict::Violated, 1) } else { (Verdict::Holds, 0) };
            assert_eq!((alone.verdict, alone.exit_code), expected, "{}: {:?}", run.folder, alone.reasons);
            assert!(alone.preflight.notes.iter().any(|note| note.contains("`onlyone merge`")));
            assert!(alone.invariants.iter().all(|result| result.checked > 0) && !alone.invariants.is_empty());
        }
    }
}

#[test]
fn a_shard_that_died_before_its_stages_were_written_down_began_when_the_others_did() {
    let mut runs = shards(2, false);
    runs[0].record.stages = Some(StageMarks { begun_ns: vec![5_000], dropped: vec![0, 3] });
    runs[1].record.stages = None;
    let marks = merge(runs).unwrap().record.stages;
    assert_eq!(marks, Some(StageMarks { begun_ns: vec![5_000, 5_000], dropped: vec![0, 3] }));
}
