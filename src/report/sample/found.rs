//! Reports of what was found: a lost message, interleavings, planted bugs, defects of a database.

use super::*;

/// A run that lost a message and kept another twice, over HTTP.
pub(in crate::report) fn lost() -> Report {
    let append = |id: u64, times: [Nanos; 3], text: &str| {
        let (sender, n) = (u32::try_from(id).unwrap(), 0);
        let said = Said { path: MessagePath::Text, sender, n, text: text.into(), answered: false };
        let appended = Appended { position: Some(1), ..Appended::default() };
        Operation {
            action: Action::Append(said),
            key: "session-1".into(),
            ..operation(id, times, Outcome::Ok(Value::Appended(appended)))
        }
    };
    let operations = vec![
        append(20, [54_000_000, 54_500_000, 57_600_000], "hello"),
        append(21, [54_200_000, 54_300_000, 57_500_000], "world <b>"),
        append(22, [60_000_000, 60_000_000, 61_000_000], "again"),
    ];
    let stored =
        |op: u64, text: &str, repeated: bool| StoredElement { text: text.into(), op: Some(OpId(op)), repeated };
    let history = KeyHistory {
        key: "session-1".into(),
        requests: operations
            .iter()
            .map(|operation| SentRequest {
                op: operation.id,
                request: format!("POST /messages {{\"op\":{}}}", operation.id.0),
            })
            .collect(),
        lists: vec![StoredList {
            name: "65a1b2c3d4e5f60718293a4b".into(),
            elements: vec![stored(20, "hello", false), stored(22, "again", false), stored(22, "again", true)],
            ..StoredList::default()
        }],
        missing: vec![MissingElement {
            text: "world <b>".into(),
            op: OpId(21),
            in_flight: vec![OpId(20)],
            refused: false,
        }],
        operations: operations.clone(),
        left_out: 0,
    };
    let witness = |number: usize, explanation: &str| Witness {
        key: "session-1".into(),
        operations: vec![operations[number].clone()],
        documents: Vec::new(),
        explanation: explanation.into(),
    };
    let result = |name, number, explanation| InvariantResult::new(name, 90, 1, vec![witness(number, explanation)]);
    let read_modify_write = LintFinding {
        rule: "read-modify-write".to_owned(),
        operation: "append".to_owned(),
        explanation: "`find`, then `update` of the whole array.".to_owned(),
    };
    let mut report = passing();
    report.verdict = Verdict::Violated;
    report.exit_code = 1;
    report.scenario = "append, whole array".into();
    report.invariants = vec![
        result(
            Invariant::NoLostMessages,
            1,
            "op21 was acknowledged, but its message is gone. Requests: op21 POST /messages",
        ),
        result(Invariant::NoDuplicateMessages, 2, "the message of op22 is there twice"),
    ];
    report.origin = Some(Origin {
        date: "2026-11-21T09:15:00.123456Z".into(),
        commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
        branch: Some("main".into()),
    });
    report.preflight.lint = vec![read_modify_write];
    Report { keys: vec![history], ..report }
}

/// An exploration of very many schedules.
pub(in crate::report) fn explored_at_length(schedules: usize) -> Report {
    let mut report = explored();
    let explore = report.explore.as_mut().unwrap();
    let diagram = explore.smallest.as_ref().unwrap().diagram.clone();
    let long =
        ["R1.find", "R2.find", "R3.find", "R1.update", "R2.update", "R3.update", "R1.find", "R2.find", "R3.find"]
            .join(" ");
    explore.schedules = (0..schedules)
        .map(|number| ScheduleResult {
            schedule: format!("{long} {number}"),
            choices: format!("1 2 3 1 2 3 1 2 {number}"),
            verdict: if number % 3 == 0 { Verdict::Violated } else { Verdict::Holds },
            invariants: if number % 3 == 0 { vec![Invariant::SingleDocument, Invariant::SameId] } else { Vec::new() },
            diagram: (number < ExploreReport::MAX_DIAGRAMS).then(|| diagram.clone()),
        })
        .collect();
    report
}

/// An exploration that found the race; its texts are hostile.
pub(in crate::report) fn explored() -> Report {
    let invariants = vec![Invariant::SingleDocument];
    let schedule = |schedule: &str, choices: &str, verdict: Verdict| ScheduleResult {
        schedule: schedule.to_owned(),
        choices: choices.to_owned(),
        verdict,
        invariants: if verdict == Verdict::Violated { invariants.clone() } else { Vec::new() },
        diagram: None,
    };
    let step = |request: u32, release: u32, command: &str, answer: &str, writes: bool| DiagramStep {
        request,
        release,
        command: command.to_owned(),
        filter: "{ key: \"</script><b>\u{1b}[2J\" }".to_owned(),
        change: if writes { "{ $set: { a: 1 } }".to_owned() } else { String::new() },
        answer: answer.to_owned(),
        writes,
    };
    let lane = |name: &str| Lane { name: name.to_owned(), outcome: "ok: created 65a1b2c3d4e5f60718293a4b".to_owned() };
    let diagram = Diagram {
        lanes: vec![lane("R1 create-or-get"), lane("R2 create-or-get")],
        steps: vec![
            step(0, 0, "find chats", "none", false),
            step(1, 1, "find chats", "none", false),
            step(0, 2, "insert chats", "n = 1", true),
            step(1, 3, "insert chats", "n = 1", true),
        ],
        stored: [0, 0, 1, 2]
            .map(|number| (0..number).map(|n| format!("chats: {{ _id: {n}, key: \"</script>\" }}")).collect())
            .to_vec(),
    };
    let racy = schedule("R1.find R2.find R1.insert R2.insert", "1 2 1 2", Verdict::Violated);
    let lint = LintFinding {
        rule: "check-then-act".to_owned(),
        operation: "create-or-get".to_owned(),
        explanation: "`find` finds nothing, then `insert` writes the same key.".to_owned(),
    };
    let replay = "onlyone explore x.toml --requests 2 --schedule \"1 2 1 2\"".to_owned();
    let explore = ExploreReport {
        search: "exhaustive".to_owned(),
        requests: 3,
        explored: 5,
        total: Some(66),
        complete: true,
        violated: 4,
        violated_interleavings: Some(60),
        reduced: true,
        first_violation_at: Some(1),
        schedules: vec![racy.clone(), schedule("R1.find R1.insert R2.find", "1 1 2", Verdict::Holds)],
        smallest: Some(Smallest {
            requests: 2,
            result: racy,
            switches: 3,
            reproduced: true,
            replay,
            lint: None,
            diagram,
        }),
        together: Some(TogetherResult { attempts: 200, violated: 112, first_at: Some(2) }),
        lint: vec![lint],
        notes: vec!["background work, which passes: find app.jobs".to_owned()],
        schedules_per_s: 887.0,
        ..ExploreReport::default()
    };
    Report { explore: Some(explore), ..violated() }
}

/// A kill matrix with a bug that escaped and a twin that could not be judged.
pub(in crate::report) fn selftested() -> Report {
    let bug = |id: &str, by: Option<Invariant>| SelftestBug {
        id: id.to_owned(),
        workload: "create-or-get".to_owned(),
        strategy: "find-then-insert".to_owned(),
        unique_index: false,
        caught: by.is_some(),
        by,
        expected: Invariant::SingleDocument,
        also: Vec::new(),
        rounds: 3,
        effective_trials: 3,
        ms: 12,
        witness: None,
        twin: "upsert-retry".to_owned(),
    };
    let twin = |verdict: Verdict, reason: Option<&str>| SelftestTwin {
        workload: "create-or-get".to_owned(),
        strategy: "upsert-retry".to_owned(),
        unique_index: true,
        accused: false,
        verdict,
        by: Vec::new(),
        reason: reason.map(str::to_owned),
        rounds: 40,
        effective_trials: 40,
        ms: 130,
    };
    let not = |id: &str| SelftestNotPlanted { id: id.to_owned(), reason: "it needs <two> data centres".to_owned() };
    Report {
        scenario: "selftest".into(),
        operations: BTreeMap::new(),
        over_time: Vec::new(),
        stages: Vec::new(),
        thresholds: Vec::new(),
        selftest: Some(SelftestReport {
            operations: 4_321,
            bugs: vec![bug("C1", Some(Invariant::SameId)), bug("C2", None)],
            twins: vec![twin(Verdict::Holds, None), twin(Verdict::Inconclusive, Some("no overlap | none"))],
            kinds: None,
            not_planted: vec![not("F1"), not("F2")],
        }),
        ..violated()
    }
}

/// An audit that found duplicates.
pub(in crate::report) fn audited() -> Report {
    let example = serde_json::json!({ "_id": { "$oid": "65a1b2c3d4e5f60718293a4b" }, "key": "</script>\u{1b}[2J" });
    Report {
        scenario: "audit of chats in app".into(),
        operations: BTreeMap::new(),
        over_time: Vec::new(),
        stages: Vec::new(),
        thresholds: Vec::new(),
        findings: Some(vec![
            Finding { kind: FindingKind::DuplicateKey, count: 12, examples: vec![example] },
            Finding { kind: FindingKind::Orphan, count: 0, examples: Vec::new() },
        ]),
        actions: Some(vec![RepairAction { kind: ActionKind::SetKey, count: 3, details: Vec::new() }]),
        ..violated()
    }
}
