//! Cross-check of the rule against two independent judges, on many small random histories of one thread.
//!
//! One judge is the library's search on a model of a thread. The other, [`fits_an_order`], tries every order without
//! memory and reads outcomes itself.

use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::checker::search::{Entry, Model, Search, linearize};
use crate::history::{
    Cause, Expansion, History, Id, Late, Member, Observation, Outcome, Phase, Source, ThreadAnswer, ThreadKind, Value,
    thread_key,
};

const CASES: u64 = 110_000;
const USERS: [&str; 4] = ["k.a", "k.b", "k.c", "k.d"];

/// Who is in the thread, and by whose hand: the first user is in it from the start.
type State = [Option<Option<OpId>>; 4];

const GIVEN: State = [Some(None), None, None, None];

fn names(users: &[usize]) -> Vec<Arc<str>> {
    users.iter().map(|user| Arc::from(USERS[*user])).collect()
}

fn present(state: &State) -> Vec<usize> {
    (0..4).filter(|user| state[*user].is_some()).collect()
}

/// The state after an operation that happened, and whether its answer is right.
fn apply(state: &State, operation: &Operation) -> (State, bool) {
    let mut next = *state;
    let mut added = Vec::new();
    if let Action::ExpandThread(expansion) = &operation.action {
        for (user, name) in USERS.iter().enumerate() {
            if next[user].is_none() && expansion.participants.iter().any(|asked| **asked == **name) {
                next[user] = Some(Some(operation.id));
                added.push(user);
            }
        }
    }
    let outcome = operation.late.as_ref().map_or(&operation.outcome, |late| &late.outcome);
    let right = match outcome {
        Outcome::Ok(Value::Thread(answer)) => {
            let sorted = |names: &[Arc<str>]| {
                let mut names = names.to_vec();
                names.sort_unstable();
                names
            };
            answer.members.as_ref().is_none_or(|members| sorted(members) == names(&present(&next)))
                && answer.added.as_ref().is_none_or(|claimed| sorted(claimed) == names(&added))
        }
        Outcome::Unknown(_) => true,
        other => panic!("failed operations are removed: {other:?}"),
    };
    (next, right)
}

fn relevant(operation: &Operation) -> Option<bool> {
    let outcome = operation.late.as_ref().map_or(&operation.outcome, |late| &late.outcome);
    match outcome {
        Outcome::Ok(_) => Some(true),
        Outcome::Unknown(_) => Some(false),
        Outcome::Failed(_) => None,
    }
}

/// Whether any order of the operations explains them and ends in this state.
fn fits_an_order(operations: &[&Operation], last: Option<&State>) -> bool {
    fn from(pending: &[&Operation], state: &State, last: Option<&State>) -> bool {
        let all_optional = pending.iter().all(|operation| relevant(operation) == Some(false));
        if all_optional && last.is_none_or(|last| last == state) {
            return true;
        }
        (0..pending.len()).any(|index| {
            let next = pending[index];
            let room = pending.iter().all(|other| relevant(other) == Some(false) || other.returned() >= next.invoked);
            let (after, right) = apply(state, next);
            let mut rest = pending.to_vec();
            rest.remove(index);
            room && right && from(&rest, &after, last)
        })
    }
    let happened: Vec<&Operation> =
        operations.iter().copied().filter(|operation| relevant(operation).is_some()).collect();
    from(&happened, &GIVEN, last)
}

/// The thread for the search; the final state is its last operation.
struct Members;

enum Step<'a> {
    Operation(&'a Operation),
    Last(State),
}

impl<'a> Model for &'a Members {
    type State = State;
    type Operation = Step<'a>;

    fn initial(&self) -> State {
        GIVEN
    }

    fn step(&self, state: &State, step: &Step<'a>) -> Option<State> {
        match step {
            Step::Last(last) => (state == last).then_some(*state),
            Step::Operation(operation) => {
                let (next, right) = apply(state, operation);
                right.then_some(next)
            }
        }
    }
}

fn search(operations: &[&Operation], last: State) -> bool {
    let mut entries: Vec<Entry<Step<'_>>> = operations
        .iter()
        .filter_map(|operation| {
            let required = relevant(operation)?;
            // What certainly happened, happened before the final read.
            let latest = if required { Nanos::MAX - 1 } else { Nanos::MAX };
            let (invoked, returned) = (operation.invoked, operation.returned().min(latest));
            Some(Entry { invoked, returned, required, operation: Step::Operation(operation) })
        })
        .collect();
    let end = Entry { invoked: Nanos::MAX, returned: Nanos::MAX, required: true, operation: Step::Last(last) };
    entries.push(end);
    linearize(&&Members, &entries, &mut Budget::default()) == Search::Linearizable
}

/// A small history of one thread: sound, or sound but for one detail.
fn case(rng: &mut ChaCha8Rng, first: u64, key: &Arc<str>) -> (Vec<Operation>, State) {
    let number = *[1, 2, 3, 3, 4, 4, 4, 5].choose(rng).unwrap();
    let span = number * 3;
    let mut moments: Vec<[u64; 3]> = (0..number)
        .map(|_| {
            let mut moments = [0; 3].map(|_: u64| rng.random_range(0..span));
            moments.sort_unstable();
            [moments[1], moments[0], moments[2]]
        })
        .collect();
    moments.sort_unstable();
    let mut state = GIVEN;
    let mut operations: Vec<Operation> = (first..)
        .zip(moments)
        .map(|(id, [_, invoked, completed])| {
            let action = match rng.random_range(0..3) {
                0 => Action::ReadThread,
                _ => {
                    let asked: Vec<usize> = (0..4).filter(|_| rng.random_range(0..5) < 2).collect();
                    let participants = names(&asked);
                    Action::ExpandThread(Box::new(Expansion { caller: "k.a".into(), participants, message: false }))
                }
            };
            let mut operation = crate::history::fixture::operation(
                id,
                key.clone(),
                action,
                [invoked, completed],
                Outcome::Unknown(Cause::new("no answer")),
            );
            match rng.random_range(0..12) {
                0 => operation.outcome = Outcome::Failed(Cause::new("refused")),
                1 => {}
                happened => {
                    let (next, _) = apply(&state, &operation);
                    let own: Vec<usize> = (0..4).filter(|user| next[*user] == Some(Some(OpId(id)))).collect();
                    let expands = matches!(operation.action, Action::ExpandThread(_));
                    let answer = ThreadAnswer {
                        id: Some(Id::parse(key)),
                        members: (rng.random_range(0..6) > 0).then(|| names(&present(&next))),
                        added: (expands && rng.random_range(0..6) > 0).then(|| names(&own)),
                        ..ThreadAnswer::default()
                    };
                    state = next;
                    let answered = Outcome::Ok(Value::Thread(Box::new(answer)));
                    match happened {
                        2 => {}
                        3 => operation.late = Some(Box::new(Late { completed: completed + 5, outcome: answered })),
                        _ => operation.outcome = answered,
                    }
                }
            }
            operation
        })
        .collect();
    if rng.random_range(0..3) > 0 {
        damage(rng, &mut operations, &mut state);
    }
    (operations, state)
}

/// Changes one detail.
fn damage(rng: &mut ChaCha8Rng, operations: &mut [Operation], state: &mut State) {
    let target = rng.random_range(0..operations.len());
    let user = rng.random_range(1..4);
    let ids: Vec<OpId> = operations.iter().map(|operation| operation.id).collect();
    let changed = &mut operations[target];
    match (rng.random_range(0..6), &mut changed.outcome) {
        (0, _) => state[user] = None,
        (1, _) => state[user] = Some(Some(ids[rng.random_range(0..ids.len())])),
        (2, _) => changed.invoked = changed.completed,
        (3, _) => changed.completed = changed.invoked,
        (4, Outcome::Ok(Value::Thread(answer))) => toggle(&mut answer.members, USERS[user]),
        (_, Outcome::Ok(Value::Thread(answer))) => toggle(&mut answer.added, USERS[user]),
        _ => {}
    }
}

fn toggle(names: &mut Option<Vec<Arc<str>>>, user: &str) {
    let Some(names) = names else { return };
    match names.iter().position(|name| **name == *user) {
        Some(at) => drop(names.remove(at)),
        None => names.push(user.into()),
    }
}

fn observed(key: &Arc<str>, state: &State) -> Observed {
    let members: Vec<Member> = present(state)
        .into_iter()
        .map(|user| Member { user: USERS[user].into(), added_by: state[user].flatten(), adder_hidden: false })
        .collect();
    let set = members.iter().map(|member| &*member.user);
    let stored = thread_key(ThreadKind::Group, set);
    let title_count = Some(members.len() as u64);
    let thread = ThreadState {
        kind: ThreadKind::Group,
        members,
        owner: None,
        admins: Vec::new(),
        changes: None,
        title_count,
        unread: None,
        read: None,
        message_count: None,
        messages_hidden: false,
        creator_hidden: false,
    };
    let value =
        serde_json::json!({ "id": **key, "key": **key, "stored_key": stored, "thread": thread, "fields": null });
    serde_json::from_value(value).unwrap()
}

#[test]
fn the_rule_agrees_with_the_search_and_with_enumeration() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut history = History::default();
    let mut observation =
        Observation { source: Source::Memory, quiescent: true, documents: Vec::new(), ..Observation::default() };
    let mut states = Vec::new();
    for number in 0..CASES {
        let key: Arc<str> = Arc::from(format!("t{number}"));
        let (operations, state) = case(&mut rng, history.operations.len() as u64, &key);
        history.operations.extend(operations);
        observation.documents.push(observed(&key, &state));
        states.push(state);
    }
    let evidence = Evidence::of_phase(&history, Some(&observation), Phase::Main);
    let unread = Evidence::of_phase(&history, None, Phase::Main);
    let (mut holds, mut violated, mut without) = (0_u64, 0_u64, 0_u64);
    for (key, state) in evidence.keys().zip(&states) {
        let operations: Vec<&Operation> = key.operations().collect();
        let view = ThreadView::of(&evidence, &key);
        let found = view.threads.values().find_map(|thread| defect(&evidence, &view, thread));
        let words = found.as_ref().map(|defect| &defect.explanation);
        let expected = fits_an_order(&operations, Some(state));
        assert_eq!(found.is_none(), expected, "enumeration: {words:?} {state:?} {operations:#?}");
        if (holds + violated) % 2 == 0 {
            assert_eq!(expected, search(&operations, *state), "search: {state:?} {operations:#?}");
        }
        *(if expected { &mut holds } else { &mut violated }) += 1;
    }
    for key in unread.keys() {
        let operations: Vec<&Operation> = key.operations().collect();
        let view = ThreadView::of(&unread, &key);
        let found = view.threads.values().find_map(|thread| defect(&unread, &view, thread));
        if let Some(defect) = found {
            without += 1;
            assert!(!fits_an_order(&operations, None), "accused wrongly: {} {operations:#?}", defect.explanation);
        }
    }
    let (accused, wrongly) = without_stamps(&history, &observation, &states);
    assert!(wrongly.is_empty() && accused > violated / 2, "{accused} of {violated}, wrongly {wrongly:?}");
    crate::checker::brute_force::tell(MembersExact.invariant(), holds, violated);
    assert!(holds > CASES / 4 && violated > CASES / 5 && without > CASES / 20, "{holds} {violated} {without}");
    let result = MembersExact.check(&evidence, &mut Budget::default());
    assert_eq!((result.checked, result.violations), (CASES, violated));
}

/// How many are accused where threads keep no stamps, and who of them wrongly.
fn without_stamps(history: &History, observation: &Observation, states: &[State]) -> (u64, Vec<String>) {
    let mut hidden = observation.clone();
    for document in &mut hidden.documents {
        let state = document.thread.take().map(|state| Box::new((*state).without_stamps(false)));
        document.thread = state;
    }
    let evidence = Evidence::of_phase(history, Some(&hidden), Phase::Main);
    let (mut accused, mut wrongly) = (0, Vec::new());
    for (key, state) in evidence.keys().zip(states) {
        let operations: Vec<&Operation> = key.operations().collect();
        let view = ThreadView::of(&evidence, &key);
        if let Some(defect) = view.threads.values().find_map(|thread| defect(&evidence, &view, thread)) {
            accused += 1;
            if fits_an_order(&operations, Some(state)) {
                wrongly.push(defect.explanation);
            }
        }
    }
    (accused, wrongly)
}
