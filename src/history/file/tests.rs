use super::*;
use crate::history::{Action, Cause, History, Late, OpId, Operation, Outcome, Returned, Value};

fn operation(id: u64, outcome: Outcome) -> Operation {
    Operation {
        client: 3,
        round: 1,
        intended: 10,
        connected: Some(12),
        ..crate::history::fixture::operation(id, "a_b", Action::CreateOrGet { reversed: true }, [11, 20], outcome)
    }
}

fn created() -> Outcome {
    let id = Some(crate::history::Id::parse("65a1b2c3d4e5f60718293a4b"));
    Outcome::Ok(Value::Document(Returned { id, created: Some(true), ..Returned::default() }))
}

fn late() -> Late {
    Late { completed: 99, outcome: created() }
}

/// A file with operations 2 (created), 1 (unknown, answered late), and its end line.
fn write(dir: &Path) -> PathBuf {
    let path = dir.join("history.jsonl");
    let mut writer = HistoryWriter::create(&path, &Header::new("r1")).unwrap();
    writer.append(&operation(2, created())).unwrap();
    writer.append(&operation(1, Outcome::Unknown(Cause::new("deadline")))).unwrap();
    writer.append_late(OpId(1), &late()).unwrap();
    writer.finish(false).unwrap();
    path
}

fn edited(edit: impl Fn(Vec<String>) -> String) -> Result<(Header, History), HistoryError> {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path());
    let lines = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    std::fs::write(&path, edit(lines)).unwrap();
    read(&path)
}

#[test]
fn what_is_written_is_read_back_in_the_order_of_the_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (header, history) = read(&write(dir.path())).unwrap();
    assert_eq!(header, Header::new("r1"));
    let mut unknown = operation(1, Outcome::Unknown(Cause::new("deadline")));
    unknown.late = Some(Box::new(late()));
    assert_eq!(history.operations, [unknown, operation(2, created())]);
    assert!(!history.partial && !history.interrupted);
}

#[test]
fn a_torn_last_line_or_a_missing_end_is_a_crash_and_not_damage() {
    let (_, history) = edited(|lines| format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..20])).unwrap();
    assert!(history.partial);
    assert_eq!(history.operations.len(), 1);
    let (_, history) = edited(|lines| format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    assert!(history.partial);
}

#[test]
fn damage_is_named_with_its_line() {
    type Edit = fn(Vec<String>) -> String;
    let message = |edit: Edit| edited(edit).unwrap_err().to_string();
    let cases: [(Edit, &str); 8] = [
        (|lines| lines.join("\n").replacen("\"client\":3", "\"client\":", 1) + "\n", "damaged at line 2"),
        (|lines| [&lines[..1], &lines[2..]].concat().join("\n") + "\n", "counts 2 operations, there are 1"),
        (
            |mut lines| {
                lines.insert(1, lines[1].clone());
                lines.remove(3);
                lines.join("\n") + "\n"
            },
            "op2 is there twice",
        ),
        (|lines| lines.join("\n") + "\n" + &lines[1] + "\n", "a line after the end line"),
        (
            |lines| lines.join("\n").replace("\"late\":{\"op\":1", "\"late\":{\"op\":2") + "\n",
            "damaged at line 4: it answers op2",
        ),
        (|lines| lines[1..].join("\n") + "\n", "is not a history of onlyone"),
        (|_| String::new(), "is not a history of onlyone"),
        (
            |lines| lines.join("\n").replacen("\"format_version\":1", "\"format_version\":7", 1) + "\n",
            "format version 7",
        ),
    ];
    for (edit, expected) in cases {
        let found = message(edit);
        assert!(found.contains(expected), "{found} should contain {expected}");
    }
}

#[test]
fn an_existing_history_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path());
    assert!(HistoryWriter::create(&path, &Header::new("r2")).is_err());
}
