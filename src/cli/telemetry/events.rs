//! What happens, on stdout as it happens: a JSON object a line. Main type: [`Events`].

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::live::{Ended, Feed};

/// The writer of events.
pub(super) struct Events {
    feed: Arc<Feed>,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    /// Violations that were told.
    told: usize,
    /// The last event is written: nothing comes after it.
    ended: bool,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
}

impl Events {
    /// Events of what this feed sees.
    pub(super) fn new(feed: &Arc<Feed>, out: Box<dyn Write + Send>) -> Self {
        Events { feed: Arc::clone(feed), state: Mutex::new(State { out, told: 0, ended: false, failed: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that it begins.
    pub(super) fn started(&self) {
        let shown = self.feed.snapshot();
        self.state().write(&json!({
            "event": "started", "scenario": shown.scenario, "run_id": shown.run_id, "planned": shown.planned,
        }));
    }

    /// Tells the violations that were not told yet, and how far it is.
    pub(super) fn progress(&self) {
        self.state().progress(&self.feed);
    }

    /// Tells the end, and why events could not be written. A reader that has gone away had what it wanted.
    pub(super) fn finished(&self, ended: &Ended) -> io::Result<()> {
        let mut state = self.state();
        state.progress(&self.feed);
        let mut event = json!({ "event": "finished" });
        if let (Some(event), Value::Object(ended)) = (event.as_object_mut(), serde_json::to_value(ended)?) {
            event.extend(ended);
        }
        state.write(&event);
        state.ended = true;
        match state.failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

impl State {
    fn progress(&mut self, feed: &Feed) {
        if self.ended {
            return;
        }
        let shown = feed.snapshot();
        let before = std::mem::replace(&mut self.told, shown.seen.len());
        for (s, what) in shown.seen.iter().skip(before) {
            self.write(&json!({ "event": "violation", "s": s, "what": what }));
        }
        // The last second is not over.
        let per_s = shown.seconds.iter().rev().nth(1).map_or(0, |second| second.operations);
        self.write(&json!({
            "event": "progress", "operations": shown.operations, "planned": shown.planned, "failed": shown.failed,
            "unknown": shown.unknown, "violations": shown.violations, "per_s": per_s,
        }));
    }

    /// Writes one event. After the first that could not be written whole, no other would be readable.
    fn write(&mut self, event: &Value) {
        if self.failed.is_none()
            && let Err(error) = writeln!(self.out, "{event}").and_then(|()| self.out.flush())
        {
            self.failed = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what is written, until it is full.
    #[derive(Clone, Default)]
    struct Kept {
        bytes: Arc<Mutex<Vec<u8>>>,
        refuses: Option<io::ErrorKind>,
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.refuses {
                Some(kind) => Err(kind.into()),
                None => self.bytes.lock().unwrap().write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn ended() -> Ended {
        Ended { verdict: "holds".into(), exit_code: 0, violated: Vec::new(), directory: "reports/r".into() }
    }

    #[test]
    fn nothing_comes_after_the_last_event() {
        let (kept, feed) = (Kept::default(), Arc::new(Feed::new("s", "r", Some(4))));
        let events = Events::new(&feed, Box::new(kept.clone()));
        events.started();
        events.finished(&ended()).unwrap();
        // The clock that tells how far it is may be a moment late.
        events.progress();
        let text = String::from_utf8(kept.bytes.lock().unwrap().clone()).unwrap();
        let kinds: Vec<Value> = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
        let kinds: Vec<&str> = kinds.iter().filter_map(|event| event["event"].as_str()).collect();
        assert_eq!(kinds, ["started", "progress", "finished"], "{text}");
    }

    #[test]
    fn what_cannot_be_written_is_told_unless_the_reader_is_gone() {
        for (kind, told) in [(io::ErrorKind::StorageFull, true), (io::ErrorKind::BrokenPipe, false)] {
            let full = Kept { refuses: Some(kind), ..Kept::default() };
            let events = Events::new(&Arc::new(Feed::new("s", "r", None)), Box::new(full));
            events.started();
            assert_eq!(events.finished(&ended()).is_err(), told, "{kind}");
        }
    }
}
