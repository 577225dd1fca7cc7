//! Segments hold what lines hold, and what is torn or changed of them costs its operations and says so.

use std::collections::BTreeMap;
use std::path::Path;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::history::{
    Action, Cause, History, Id, KeyPart, Late, OpId, Operation, Outcome, Phase, ReadResult, Returned, Value,
};

const OPERATIONS: u64 = 100;

fn outcome(rng: &mut ChaCha8Rng, op: u64) -> Outcome {
    let id = Id::parse(&format!("65a1b2c3d4e5f60718293a{:02x}", rng.random_range(0..9)));
    match rng.random_range(0..9) {
        0 => Outcome::Unknown(Cause::new("no answer within 1s")),
        1 => Outcome::Failed(Cause::database(11000, format!("E11000 {op}"))),
        2 => Outcome::Ok(Value::Messages(ReadResult::new(Some(id), Vec::new()))),
        3 => Outcome::Ok(Value::Found(Some(Id::Text("7".into())))),
        _ => Outcome::Ok(Value::Document(Returned { id: Some(id), created: Some(op == 1), ..Returned::default() })),
    }
}

fn operation(rng: &mut ChaCha8Rng, op: u64) -> Operation {
    let invoked = if rng.random_range(0..20) == 0 { u64::MAX } else { op * 1_000 + rng.random_range(0..5_000) };
    Operation {
        id: OpId(op),
        client: rng.random_range(0..5),
        round: if op == 7 { u32::MAX } else { u32::try_from(op / 5).unwrap() },
        phase: if op < 4 { Phase::Control } else { Phase::Main },
        key: format!("r1-{}{}", if op < 4 { "c" } else { "k" }, rng.random_range(0..7)).into(),
        action: if rng.random() { Action::Get } else { Action::CreateOrGet { reversed: rng.random() } },
        intended: rng.random_range(0..3) * invoked.min(9_000),
        invoked,
        connected: rng.random::<bool>().then_some(invoked),
        completed: if op == 9 { 0 } else { invoked.saturating_add(rng.random_range(0..9_000)) },
        attempts: rng.random_range(1..3),
        outcome: outcome(rng, op),
        late: None,
    }
}

/// Operations in the order in which they were recorded, and those that were answered late.
fn recorded(seed: u64) -> (Vec<Operation>, Vec<(OpId, Late)>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut operations: Vec<Operation> = (0..OPERATIONS).map(|op| operation(&mut rng, op)).collect();
    for at in 1..operations.len() {
        operations.swap(at, at - rng.random_range(0..at.min(8) + 1));
    }
    let unknown = operations.iter().filter(|operation| operation.is_unknown()).map(|operation| operation.id);
    let lates = unknown.step_by(2).map(|op| (op, Late { completed: op.0, outcome: outcome(&mut rng, op.0) })).collect();
    (operations, lates)
}

/// Writes it; in segments from this operation on, and with an end if it has one.
fn write(folder: &Path, seed: u64, divided_at: Option<u64>, ended: bool) -> PathBuf {
    let (operations, lates) = recorded(seed);
    let path = folder.join("history.jsonl");
    let mut writer = HistoryWriter::create(&path, &Header::new("r1")).unwrap();
    for (at, operation) in (0..).zip(&operations) {
        if divided_at == Some(at) {
            writer.divide().unwrap();
        }
        writer.append(operation).unwrap();
        for (op, late) in lates.iter().filter(|(op, _)| op.0 + 20 == at) {
            writer.append_late(*op, late).unwrap();
        }
    }
    if ended {
        writer.finish(false).unwrap();
    }
    path
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut packed: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "gz")).collect();
    packed.sort();
    packed
}

/// The whole history, put together from so many groups of its keys, each read in so many pieces; `None` where damage was met that
/// nobody knew of.
fn in_pieces(path: &Path, groups: u32, count: u32, meeting: Meeting) -> Result<Option<History>, HistoryError> {
    let mut divided = Divided::open(path, path.parent().unwrap())?;
    let (_, operations) = divided.survey(meeting, || (), |(), _| (), |(), ()| ())?;
    let mut whole = divided.ended().clone();
    let shared = match divided.shared()? {
        Fitting::Fits(shared) => shared,
        Fitting::Damaged => return Ok(None),
        Fitting::TooLarge => panic!("it is never too large"),
    };
    let mut there = BTreeMap::new();
    for (at, group) in KeyPart::all(groups).enumerate() {
        let pieces = match divided.pieces(group, count, u64::MAX)? {
            Fitting::Fits(pieces) => pieces,
            Fitting::Damaged => return Ok(None),
            Fitting::TooLarge => panic!("it is never too large"),
        };
        assert_eq!(pieces.len(), count as usize);
        for (number, piece) in (at as u32 * count..).zip(pieces) {
            let part = KeyPart { index: number, of: groups * count };
            let history = divided.history(piece, &shared)?;
            assert_eq!(history.part, Some(part));
            let ids: Vec<OpId> = history.operations.iter().map(|operation| operation.id).collect();
            assert!(ids.is_sorted());
            let of_part = |operation: &Operation| !operation.phase.is_main() || part.has(&operation.key);
            assert!(history.operations.iter().all(of_part));
            there.extend(history.operations.into_iter().map(|operation| (operation.id, operation)));
        }
    }
    whole.operations = there.into_values().collect();
    assert_eq!(operations, whole.operations.len() as u64);
    Ok(Some(whole))
}

/// The whole history, put together from so many parts, however they are read.
fn in_parts(path: &Path, of: u32) -> Result<History, HistoryError> {
    let whole = in_pieces(path, of, 1, Meeting::Operations)?.unwrap();
    assert_eq!(in_pieces(path, 2, of, Meeting::Operations)?.unwrap(), whole);
    // Whoever goes by what segments say of themselves finds the same, or that something is damaged.
    let unmet = in_pieces(path, of, 2, Meeting::Summaries)?;
    assert!(unmet.is_none_or(|unmet| unmet == whole));
    Ok(whole)
}

#[test]
fn a_history_in_segments_reads_back_as_one_file_does() {
    for seed in 0..3 {
        let plain = tempfile::tempdir().unwrap();
        let path = write(plain.path(), seed, None, true);
        let (_, expected) = read(&path).unwrap();
        assert_eq!(expected.operations.len() as u64, OPERATIONS);
        assert!(expected.operations.iter().any(|operation| operation.late.is_some()));
        assert!(segments(plain.path()).is_empty());
        for divided_at in [0, 16, 37] {
            let folder = tempfile::tempdir().unwrap();
            let path = write(folder.path(), seed, Some(divided_at), true);
            assert!(segments(folder.path()).len() >= 7, "{divided_at}: {:?}", segments(folder.path()));
            let (header, found) = read(&path).unwrap();
            assert_eq!(header, Header { format_version: DIVIDED_FORMAT_VERSION, ..Header::new("r1") });
            assert_eq!(found, expected, "{seed} {divided_at}");
            for of in [1, 2, 3, 256, 700] {
                assert_eq!(in_parts(&path, of).unwrap(), expected, "{seed} {divided_at} {of}");
                let unmet = in_pieces(&path, of, 3, Meeting::Summaries).unwrap();
                assert_eq!(unmet.as_ref(), Some(&expected), "{seed} {divided_at} {of}");
            }
            let lines = std::fs::read_to_string(&path).unwrap();
            assert_eq!(lines.lines().count(), 3, "{lines}");
        }
        for of in [1, 3, 256] {
            assert_eq!(in_parts(&path, of).unwrap(), expected, "{seed} {of}");
        }
    }
}

#[test]
fn the_writer_may_be_stopped_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (operations, _) = recorded(1);
    let path = folder.path().join("history.jsonl");
    let mut writer = HistoryWriter::create(&path, &Header::new("r1")).unwrap();
    for (at, operation) in operations.iter().enumerate() {
        if at == 37 {
            writer.divide().unwrap();
        }
        writer.append(operation).unwrap();
        writer.flush().unwrap();
        // What another process would find if this one were killed now.
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let from = entry.unwrap().path();
            // One that is gone by now was packed meanwhile: another moment than this one.
            std::fs::copy(&from, copy.path().join(from.file_name().unwrap())).ok();
        }
        let copied = copy.path().join("history.jsonl");
        let (_, found) = read(&copied).unwrap();
        assert!(found.partial);
        assert_eq!(in_parts(&copied, 3).unwrap(), found);
        if found.lost.is_none() {
            assert_eq!(found.operations.len(), at + 1);
        }
    }
}

#[test]
fn lines_that_were_not_packed_yet_count_and_half_of_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (operations, _) = recorded(2);
    let header = serde_json::to_string(&Header::new("r1")).unwrap();
    let line = |operation: &Operation| serde_json::to_string(operation).unwrap();
    let lines = |operations: &[Operation]| operations.iter().map(|one| line(one) + "\n").collect::<String>();
    let path = folder.path().join("history.jsonl");
    let continued = "{\"continued\":{\"from\":3}}";
    std::fs::write(&path, format!("{header}\n{}{continued}\n", lines(&operations[..40]))).unwrap();
    // Numbers before the one that it goes on with were made of this file, which still has all of them.
    std::fs::write(segment_path(&path, 0, true), b"half").unwrap();
    std::fs::write(segment_path(&path, 3, false), format!("{header}\n{}", lines(&operations[40..56]))).unwrap();
    let torn = &line(&operations[70])[..30];
    std::fs::write(segment_path(&path, 4, false), format!("{header}\n{}{torn}", lines(&operations[56..70]))).unwrap();
    std::fs::write(segment_path(&path, 5, false), &header[..9]).unwrap();
    let found = read(&path).unwrap().1;
    assert_eq!((found.operations.len(), found.partial, found.lost.as_ref()), (70, true, None));
    assert_eq!(in_parts(&path, 2).unwrap(), found);
    // Of one that cannot be read any further, what comes before counts.
    let damaged = lines(&operations[40..56]).replacen("\"client\":", "\"cli\":", 1);
    std::fs::write(segment_path(&path, 3, false), format!("{header}\n{damaged}")).unwrap();
    let found = read(&path).unwrap().1;
    assert_eq!(found.operations.len(), 54);
    let lost = found.lost.clone().unwrap();
    assert_eq!(
        lost.to_string(),
        "1 file of the history is damaged or gone (history-000003.jsonl), and the run died: operations are lost"
    );
    assert_eq!(in_parts(&path, 2).unwrap(), found);
}

#[test]
fn whatever_is_torn_or_changed_costs_its_operations_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), 3, Some(20), true);
    let expected = read(&path).unwrap().1;
    let known: BTreeMap<OpId, &Operation> =
        expected.operations.iter().map(|operation| (operation.id, operation)).collect();
    let packed = segments(folder.path());
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut lost = 0;
    // Whether a list is shown depends on whether another read that shows it is there.
    let without_list = |mut operation: Operation| {
        if let Outcome::Ok(Value::Messages(seen)) = &mut operation.outcome {
            seen.body = None;
        }
        operation
    };
    for round in 0..200 {
        let segment = &packed[rng.random_range(0..packed.len())];
        let whole = std::fs::read(segment).unwrap();
        let mut bytes = whole.clone();
        let at = rng.random_range(0..bytes.len());
        match round % 4 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at..].iter_mut().take(40).for_each(|byte| *byte = rng.random()),
            _ => _ = bytes.drain(at..(at + 9).min(whole.len())),
        }
        std::fs::write(segment, &bytes).unwrap();
        let found = read(&path).unwrap().1;
        assert_eq!(in_parts(&path, 3).unwrap(), found, "{round}");
        for operation in &found.operations {
            let mut original = known[&operation.id].clone();
            // Its late answer may lie in what is damaged.
            original.late = original.late.filter(|_| operation.late.is_some());
            assert_eq!(without_list(operation.clone()), without_list(original), "{round}");
        }
        let missing = expected.operations.len() - found.operations.len();
        match &found.lost {
            Some(told) => assert_eq!(told.operations, Some(missing as u64), "{round}"),
            None => assert_eq!(found, expected, "{round}"),
        }
        assert_eq!(found.partial, found.lost.is_some());
        lost += usize::from(missing > 0);
        std::fs::write(segment, whole).unwrap();
    }
    assert!(lost > 100, "{lost}");
    for segment in &packed {
        let aside = segment.with_extension("aside");
        std::fs::rename(segment, &aside).unwrap();
        let found = read(&path).unwrap().1;
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(found.partial && found.lost.as_ref().unwrap().names == [name], "{found:?}");
        assert_eq!(in_parts(&path, 2).unwrap(), found);
        // That of another number, or of another run, is none of this history.
        std::fs::copy(packed.iter().find(|other| *other != segment).unwrap(), segment).unwrap();
        assert_eq!(read(&path).unwrap().1, found);
        std::fs::rename(&aside, segment).unwrap();
    }
}

#[test]
fn a_group_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), 4, Some(0), true);
    let divided = Divided::open(&path, folder.path()).unwrap();
    let weight = divided.weight();
    let whole = divided.division(weight, weight).unwrap();
    assert_eq!((whole.groups().count(), whole.pieces), (1, 1));
    let division = divided.division(weight / 2, weight / 4).unwrap();
    assert!(division.groups().count() > 1 && division.pieces > 1, "{division:?}");
    for group in division.groups() {
        assert!(matches!(divided.pieces(group, division.pieces, weight / 2).unwrap(), Fitting::Fits(_)));
    }
    assert_eq!(divided.division(200, 200), None);
    let whole = KeyPart { index: 0, of: 1 };
    assert!(matches!(divided.pieces(whole, 2, weight / 2).unwrap(), Fitting::TooLarge));
    // As fine as there is, and no finer.
    let divisions = std::iter::successors(Some(division), |division| division.finer());
    let parts: Vec<u32> = divisions.map(|division| division.groups().count() as u32 * division.pieces).collect();
    assert!(parts.is_sorted() && parts.last() == Some(&4096), "{parts:?}");
}

#[test]
fn segments_of_older_versions_say_less_of_themselves_and_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), 2, Some(0), true);
    let expected = read(&path).unwrap().1;
    let latest = |meeting| {
        let mut divided = Divided::open(&path, folder.path()).unwrap();
        let met = |met: &mut u64, operation: &Operation| *met = operation.invoked.max(*met);
        (
            divided.survey(meeting, || 0, met, u64::max).unwrap(),
            divided.segments.iter().filter(|one| one.head.summary.is_some()).count(),
        )
    };
    let before = [Meeting::Operations, Meeting::Summaries].map(latest);
    assert!(before[0] == before[1] && before[0].1 > 6, "{before:?}");
    for segment in segments(folder.path()) {
        segment::without_summary(&segment);
    }
    let after = [Meeting::Operations, Meeting::Summaries].map(latest);
    assert_eq!(after, before.map(|(found, _)| (found, 0)));
    assert_eq!(in_parts(&path, 3).unwrap(), expected);
    assert_eq!(read(&path).unwrap().1, expected);
}
