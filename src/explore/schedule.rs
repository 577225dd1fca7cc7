//! Schedules: the order in which commands are released, as it is printed, stored and replayed.

use std::fmt;
use std::str::FromStr;

use super::fault::Fault;

/// One command of those that are parked: the request, and its position among the request's parked commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Pick {
    /// The request, from 0. Printed from 1.
    pub request: usize,
    /// 0 unless the request has several commands parked at once. Printed as `a` (left out), `b`, `c`.
    pub slot: usize,
    /// How often the request had been delivered before. Printed as so many `'`.
    pub delivery: u8,
    /// What happens to the command. Printed as `:crash`; a colon, because shells read an exclamation mark themselves.
    pub fault: Option<Fault>,
    /// It is not a request's but one that an instance sends at its start: `request` is the instance. Printed as `s1`. Only texts
    /// tell them apart so; in an execution the starts are the first of the participants.
    pub is_start: bool,
}

/// What is released in one step: one command, or several together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Choice(pub Vec<Pick>);

/// The choices of an execution: `1 2 1 2`; commands released together are joined: `1 2 1+2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Schedule(pub Vec<Choice>);

impl Schedule {
    /// How many of the first requests are done one after another, in their order, before any other has begun.
    pub fn first_in_turn(&self) -> usize {
        let mut runs: Vec<usize> = self.0.iter().flat_map(|choice| choice.0.iter().map(|pick| pick.request)).collect();
        runs.dedup();
        let is_whole = |request: usize| runs.iter().filter(|other| **other == request).count() == 1;
        let is_beside = |request: usize| {
            self.0.iter().any(|choice| choice.0.len() > 1 && choice.0.iter().any(|pick| pick.request == request))
        };
        let comes_alone =
            |(place, request): &(usize, &usize)| place == *request && is_whole(**request) && !is_beside(**request);
        runs.iter().enumerate().take_while(comes_alone).count()
    }
}

impl Choice {
    /// One command of a request that has no other parked.
    pub fn one(request: usize) -> Self {
        Choice(vec![Pick { request, ..Pick::default() }])
    }
}

impl Pick {
    /// The command without a fault.
    pub fn without_fault(self) -> Self {
        Pick { fault: None, ..self }
    }
}

impl Schedule {
    /// What happens in it.
    pub fn fault(&self) -> Option<Fault> {
        self.0.iter().flat_map(|choice| &choice.0).find_map(|pick| pick.fault)
    }

    /// How many commands something happens to.
    pub fn faults(&self) -> usize {
        self.0.iter().flat_map(|choice| &choice.0).filter(|pick| pick.fault.is_some()).count()
    }

    /// How often the request that moves changes.
    pub fn switches(&self) -> usize {
        self.0.windows(2).filter(|pair| pair[0].0[0].request != pair[1].0[0].request).count()
    }

    /// With so many starts as the first participants, as it is written: `s1 s2 1`.
    pub fn written(&self, starts: usize) -> Schedule {
        self.with_requests(|pick| match pick.request.checked_sub(starts) {
            Some(request) => Pick { request, ..pick },
            None => Pick { is_start: true, ..pick },
        })
    }

    /// A schedule that was written, by participants, of which so many are starts.
    pub fn by_participants(&self, starts: usize) -> Schedule {
        self.with_requests(|pick| match pick.is_start {
            true => Pick { is_start: false, ..pick },
            false => Pick { request: pick.request + starts, ..pick },
        })
    }

    fn with_requests(&self, of: impl Fn(Pick) -> Pick) -> Schedule {
        Schedule(self.0.iter().map(|choice| Choice(choice.0.iter().map(|pick| of(*pick)).collect())).collect())
    }

    /// Whether some commands are released together: which of them comes first is not chosen.
    pub fn releases_together(&self) -> bool {
        self.0.iter().any(|choice| choice.0.len() > 1)
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_start { "s" } else { "" }, self.request + 1)?;
        match u8::try_from(self.slot) {
            Ok(0) => {}
            Ok(slot @ 1..=25) => write!(f, "{}", char::from(b'a' + slot))?,
            _ => write!(f, "z")?,
        }
        write!(f, "{}", "'".repeat(usize::from(self.delivery)))?;
        self.fault.map_or(Ok(()), |fault| write!(f, ":{fault}"))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pick) in self.0.iter().enumerate() {
            write!(f, "{}{pick}", if index > 0 { "+" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, choice) in self.0.iter().enumerate() {
            write!(f, "{}{choice}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{part}` is not a step of a schedule; a schedule is a list of requests such as `1 2 1 2`, `1 1b`, `1 1+2` or `1 1:crash 1' 2`, and of \
     instances that start, `s1 s2 1`"
)]
pub struct ScheduleError {
    /// What was read.
    pub part: String,
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let choices: Vec<Choice> = text.split_whitespace().map(choice).collect::<Result<_, _>>()?;
        if choices.is_empty() { Err(ScheduleError { part: text.to_owned() }) } else { Ok(Schedule(choices)) }
    }
}

fn choice(text: &str) -> Result<Choice, ScheduleError> {
    text.split('+')
        .map(|part| pick(part).ok_or_else(|| ScheduleError { part: part.to_owned() }))
        .collect::<Result<_, _>>()
        .map(Choice)
}

fn pick(text: &str) -> Option<Pick> {
    // Both marks are read; only the colon is printed.
    let (text, fault) = match text.split_once([':', '!']) {
        Some((text, fault)) => (text, Some(Fault::of_word(fault)?)),
        None => (text, None),
    };
    let (is_start, text) = match text.strip_prefix('s') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let once = text.trim_end_matches('\'');
    let delivery = u8::try_from(text.len() - once.len()).ok()?;
    let text = once;
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let slot = match &text.as_bytes()[digits.len()..] {
        [] => 0,
        [letter] => usize::from(letter - b'a'),
        _ => return None,
    };
    let request = digits.parse::<usize>().ok()?.checked_sub(1)?;
    Some(Pick { request, slot, delivery, fault, is_start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_come_first_in_turn_are_counted() {
        for (schedule, first) in
            [("1 1 2 2 3 4 3 4", 2), ("1 2 1 2", 0), ("1 2 3", 3), ("2 1 3", 0), ("1 2 3 2 1", 0), ("1+2 3", 0)]
        {
            let schedule: Schedule = schedule.parse().unwrap();
            assert_eq!(schedule.first_in_turn(), first, "{schedule:?}");
        }
    }

    #[test]
    fn a_schedule_prints_as_it_is_written() {
        for text in [
            "1 2 1 2",
            "1",
            "1 1b 2c",
            "1 2 1+2",
            "12 3b+4",
            "1 1:crash 1' 2",
            "1b':lost-answer 2:error-262",
            "s1 s2b s1+1",
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for text in ["", "0", "a", "1,2", "1 R2", "1+", "1bb", "-1", "1 2é", "1:", "1:crush", "'", "1'b", "s", "ss1"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_may_be_written_with_an_exclamation_mark() {
        assert_eq!("1!crash 1'".parse::<Schedule>().unwrap().to_string(), "1:crash 1'");
    }

    #[test]
    fn starts_are_the_first_of_the_participants() {
        let written: Schedule = "s1 s2 s1 2 1".parse().unwrap();
        let by_participants = written.by_participants(2);
        assert_eq!(by_participants.to_string(), "1 2 1 4 3");
        assert_eq!(by_participants.written(2), written);
        assert_eq!(by_participants.written(0), by_participants);
    }

    #[test]
    fn switches_are_counted() {
        for (text, switches) in [("1 1 2 2", 1), ("1 2 1 2", 3), ("1", 0)] {
            assert_eq!(text.parse::<Schedule>().unwrap().switches(), switches);
        }
    }
}
