//! What broke on purpose in a run, in reports.

use serde::{Deserialize, Serialize};

use super::format::{count, plural, seconds};

/// One fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FaultReport {
    /// Its kind, in the scenario's words.
    pub kind: String,
    /// Whom it met.
    pub met: String,
    /// When it began, on the clock of the operations.
    pub from_s: f64,
    /// When all was well again.
    pub to_s: f64,
    /// Connections that were closed, commands that failed or came late, answers that were lost; absent where nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub struck: Option<u64>,
    /// Operations that were under way, or met what it had left.
    pub operations: u64,
    /// Those of them with an unknown outcome.
    pub unknown: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The server may have lost what it had acknowledged.
    #[serde(default)]
    pub may_lose: bool,
    /// Why it could not be carried out to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl FaultReport {
    /// When, and how long: `2.00 s, for 0.41 s`.
    pub(super) fn when(&self) -> String {
        let at = seconds(self.from_s);
        match self.to_s - self.from_s {
            length if length < 0.001 => at,
            length => format!("{at}, for {}", seconds(length)),
        }
    }

    /// Whom it met, and how many.
    pub(super) fn whom(&self) -> String {
        match (&self.error, self.struck) {
            (Some(error), _) => error.clone(),
            // The number is in the words already.
            (None, Some(_)) if self.kind == "reset-connections" => self.met.clone(),
            (None, Some(struck)) => format!("{}, {}", self.met, plural(struck, "time")),
            (None, None) => self.met.clone(),
        }
    }
}

/// Faults that a table shows one by one; those that were not mended are never left out.
pub(super) const MOST_ROWS: usize = 100;

/// The faults that a table of so many rows shows, in their order, and how many it leaves out.
pub(super) fn rows(faults: &[FaultReport], most: usize) -> (Vec<&FaultReport>, u64) {
    let mended = faults.iter().filter(|fault| fault.error.is_none()).count();
    let mut room = most.saturating_sub(faults.len() - mended);
    let shown: Vec<&FaultReport> = (faults.iter())
        .filter(|fault| {
            let has_room = room > 0;
            room -= usize::from(has_room && fault.error.is_none());
            has_room || fault.error.is_some()
        })
        .collect();
    let left_out = (faults.len() - shown.len()) as u64;
    (shown, left_out)
}

/// All of them in one sentence.
pub(super) fn sentence(faults: &[FaultReport]) -> String {
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for fault in faults {
        match kinds.iter_mut().find(|(kind, _)| *kind == fault.kind) {
            Some((_, times)) => *times += 1,
            None => kinds.push((&fault.kind, 1)),
        }
    }
    let of_kind = |(kind, times): &(&str, u64)| match times {
        1 => (*kind).to_owned(),
        times => format!("{kind} {} times", count(*times)),
    };
    let kinds = kinds.iter().map(of_kind).collect::<Vec<_>>().join(", ");
    let unknown = faults.iter().map(|fault| fault.unknown).sum::<u64>();
    let unknown = match unknown {
        0 => String::new(),
        _ => ". Outcomes that they left unknown are resolved from the final documents".to_owned(),
    };
    format!("{kinds}{unknown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, Terminal, html, sample, summary, terminal};

    fn faults() -> Vec<FaultReport> {
        let one = |kind: &str, from_s: f64, to_s: f64, struck, error: Option<&str>| FaultReport {
            kind: kind.to_owned(),
            met: "the <server>".to_owned(),
            from_s,
            to_s,
            struck,
            operations: 4_321,
            unknown: 12,
            failed: 0,
            may_lose: kind == "kill-mongod",
            error: error.map(str::to_owned),
        };
        vec![
            one("kill-mongod", 0.2, 0.45, None, None),
            one("lost-answer", 0.6, 0.7, Some(31), None),
            one("kill-mongod", 0.9, 0.9, None, Some("it did not come back")),
        ]
    }

    #[test]
    fn every_report_tells_what_broke_when_and_whom_it_met() {
        let report = Report { faults: faults(), ..sample::passing() };
        let wide = Terminal { colour: false, width: 110, directory: None };
        let page = html(&report).unwrap();
        for (name, text) in
            [("terminal", terminal(&report, wide)), ("summary", summary(&report)), ("page", page.clone())]
        {
            let text = text.replace('\n', " ");
            for part in ["kill-mongod 2 times, lost-answer", "31 times", "it did not come back", "4,321", "12"] {
                assert!(text.contains(part), "{name}: no {part} in {text}");
            }
            // A terminal reads no HTML.
            assert!(name == "terminal" || !text.contains("<server>"), "{name}");
        }
        assert_eq!(page.matches("class=\"fault\"").count(), 6, "each is shaded in both charts");
    }

    #[test]
    fn of_very_many_faults_those_that_were_not_mended_are_shown() {
        let [one, _, broken] = faults().try_into().unwrap();
        let many: Vec<FaultReport> = std::iter::repeat_n(one, 300).chain([broken]).collect();
        let (shown, left_out) = rows(&many, 10);
        assert_eq!((shown.len(), left_out), (10, 291));
        assert!(shown.last().unwrap().error.is_some());
        let report = Report { faults: many, ..sample::passing() };
        assert!(summary(&report).contains("201 more faults") && html(&report).unwrap().contains("201 more faults"));
    }

    #[test]
    fn a_run_without_faults_says_nothing_of_them() {
        let report = sample::passing();
        let wide = Terminal { colour: false, width: 100, directory: None };
        assert!(!terminal(&report, wide).contains("Faults"));
        let page = html(&report).unwrap();
        assert!(!page.contains("id=\"faults\"") && !page.contains("class=\"fault\""));
    }
}
