//! Whatever a history says, true or impossible: the parts of its keys, judged apart, give the report of the whole.

use super::*;
use crate::assess::assess;
use crate::assess::samples::{WORKLOADS, record, recorded};
use crate::history::{Phase, named_elsewhere};

/// What one part has of a history.
fn of_part(history: &History, observation: Option<&Observation>, part: KeyPart) -> History {
    let own = |operation: &&Operation| operation.phase == Phase::Control || part.has(&operation.key);
    let operations: Vec<Operation> = history.operations.iter().filter(own).cloned().collect();
    let documents = observation.map_or(&[][..], |observation| &observation.documents);
    let named = named_elsewhere(part, &operations, documents);
    let context = history.operations.iter().filter(|operation| named.contains(&operation.id)).cloned().collect();
    History { part: Some(part), context, ..history.with_operations(operations) }
}

fn parts(record: &RunRecord, history: &History, observation: Option<&Observation>, of: u32) -> Vec<Part> {
    let judged = |part| {
        let own = of_part(history, observation, part);
        let part = judge_part(Recording { record, history: &own, observation }, Facts::of(history)).unwrap();
        serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap()
    };
    KeyPart::all(of).map(judged).collect()
}

fn joined(parts: Vec<Part>) -> Result<(Report, LatencyStats), PartError> {
    let mut parts = parts.into_iter();
    let (mut joined, moments) = Joined::new(parts.next().ok_or(PartError::Nothing)?)?;
    let mut all = vec![moments];
    for part in parts {
        all.push(joined.add(part)?);
    }
    let starts = all.iter().map(|one| one.starts.as_slice()).collect();
    let peak = Moments::peak(starts, all.iter().map(|one| one.ends.as_slice()).collect()).unwrap();
    joined.conclude(peak).map(|(report, stats, _)| (report, stats))
}

#[test]
fn parts_of_the_keys_give_the_report_of_the_whole() {
    let mut violated = 0;
    for (workload, seed) in WORKLOADS.into_iter().flat_map(|workload| (0..5_u64).map(move |seed| (workload, seed))) {
        let record = record(workload, seed.is_multiple_of(2));
        let (history, observation) = recorded(workload, seed);
        let run = Recording { record: &record, history: &history, observation: observation.as_ref() };
        let (whole, stats) = assess(run).unwrap();
        violated += whole.invariants.iter().filter(|result| result.verdict == Verdict::Violated).count();
        for of in [1, 2, 3, 7] {
            let of_load = |part: &KeyPart| history.phase(Phase::Main).iter().any(|operation| part.has(&operation.key));
            let used = KeyPart::all(of).filter(of_load).count();
            assert!(used > 1 || of == 1, "all keys are in one of {of} parts, and the others have nothing to be joined");
            let mut parts = parts(&record, &history, observation.as_ref(), of);
            if seed % 2 == 1 {
                parts.reverse();
            }
            let (report, sums) = joined(parts).unwrap_or_else(|error| panic!("{workload} {seed} of {of}: {error}"));
            let text = |report: &Report| serde_json::to_string_pretty(report).unwrap();
            let (found, expected) = (text(&report), text(&whole));
            let differ = found.lines().zip(expected.lines()).find(|(one, other)| one != other);
            assert!(found == expected, "{workload} {seed} of {of}: {differ:?}");
            assert_eq!(sums.sums(), stats.sums(), "{workload} {seed} of {of}");
        }
    }
    assert!(violated > 40, "only {violated} violations were met");
}

#[test]
fn parts_that_make_no_whole_are_refused() {
    let record = record("create-or-get", true);
    let (history, observation) = recorded("create-or-get", 1);
    let all = |of| parts(&record, &history, observation.as_ref(), of);
    let refused = |parts: Vec<Part>| joined(parts).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused(Vec::new()), "no part was named");
    assert_eq!(refused(all(3).split_off(1)), "of 3 parts one is missing: 0");
    assert_eq!(refused(all(5).split_off(3)), "of 5 parts some are missing: 0, 1, 2");
    let mut twice = all(2);
    twice.push(twice[1].clone());
    assert_eq!(refused(twice), "part 1/2 is there twice");
    let mixed = all(2).into_iter().take(1).chain(all(3)).collect();
    assert_eq!(refused(mixed), "parts 0/2 and 0/3 are not of one run: the number of parts differs");
    let mut foreign = all(2);
    foreign[1].record.run_id = "r2".into();
    assert_eq!(refused(foreign), "parts 0/2 and 1/2 are not of one run: the run id differs");
    let mut fewer = all(2);
    fewer.iter_mut().for_each(|part| drop(part.looked.pop()));
    assert_eq!(refused(fewer), "part 0/2 is damaged: it was judged by other invariants than those of its run");
    let mut later = all(2);
    later[1].facts.operations += 1;
    assert_eq!(refused(later), "parts 0/2 and 1/2 are not of one run: the history differs");
    let unread = parts(&record, &history, None, 2).split_off(1);
    let unread = all(2).into_iter().take(1).chain(unread).collect();
    assert_eq!(refused(unread), "parts 0/2 and 1/2 are not of one run: the final state differs");
    let mut older = all(2);
    older[1].version = "0.0.1".into();
    assert_eq!(refused(older), "parts 0/2 and 1/2 are not of one run: the version of onlyone that judged it differs");
    let mut fewer = all(2);
    fewer[1].looked.pop();
    assert_eq!(refused(fewer), "parts 0/2 and 1/2 are not of one run: the number of invariants differs");
}

#[test]
fn what_is_not_told_key_by_key_is_judged_as_a_whole() {
    let why = |record: &RunRecord| indivisible(record, None).unwrap();
    let plain = record("create-or-get", true);
    assert_eq!(why(&plain), None);
    let explored = RunRecord { explore: Some(crate::report::ExploreReport::default()), ..plain };
    assert!(why(&explored).is_some_and(|why| why.contains("explored")));
}
