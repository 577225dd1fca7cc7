//! The weak form of as if serial, for a run: bursts of equal requests, nothing parked, held against the same requests one after
//! another. Main type: [`Bursts`].
//!
//! *Property*: documents and answers of a burst are those of as many requests one after another, but for who was told what and
//! for the order of lists. *Assumptions*: the requests are equal, so that one order stands for all; nobody else writes to the
//! service's database; what a request does after its answer is done within `QUIET`.
//! *Soundness*: as that of [`crate::serial`]. *Completeness*: whatever the bursts happened to meet, and colours alone tell apart
//! what is made anew. That nothing was found proves little. *Cost*: some forty rounds, at most `LONGEST` of bursts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::Client;
use mongodb::bson::Bson;
use tokio_util::sync::CancellationToken;

use super::capture::{Capture, CaptureError, value};
use super::comparison::answer;
use super::subject::{Operations, Subject};
use crate::report::{AsIfSerialReport, FieldDifference};
use crate::scope::{Ended, Scope};
use crate::serial::{Answer, Change, Class, Judge, Judged, Judgement, Outcome, Sample, Settings};
use crate::target::Target;
use crate::verdict::Verdict;

/// Serial rounds, and as many again before something is accused.
const SERIAL: usize = 5;
/// Serial rounds of fewer requests, where some of a burst were refused.
const SERIAL_OF_FEWER: usize = 3;
/// Bursts.
const BURSTS: usize = 25;
/// How long bursts may take.
const LONGEST: Duration = Duration::from_secs(3);
/// What is waited for after a round: the service may go on after its answers.
const QUIET: Duration = Duration::from_millis(30);
/// How long the server may take to tell what was written.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// What bursts are sent to, and how they are judged.
pub struct Bursts {
    /// What is sent to.
    pub target: Arc<dyn Target>,
    /// To the server of the service's data.
    pub client: Client,
    /// The service's data.
    pub database: String,
    /// How outcomes are compared.
    pub settings: Settings,
    /// How long a request may take.
    pub deadline: Duration,
    /// Ends all waits.
    pub stop: CancellationToken,
}

/// Rounds of one operation under way.
struct Rounds<'a> {
    bursts: &'a Bursts,
    subject: &'a Operations,
    capture: Capture,
    /// The next round.
    next: u32,
    /// What was changed while nobody asked for anything.
    background: BTreeSet<String>,
}

/// One round: its number, its window, and its answers.
struct Round {
    number: u32,
    window: usize,
    answers: Vec<Answer>,
}

impl Bursts {
    /// Bursts of these equal requests, which are one operation; rounds are numbered from `first`.
    pub async fn of(&self, subject: &Operations, name: &str, first: u32) -> AsIfSerialReport {
        let requests = Subject::requests(subject);
        match self.judged(subject, first).await {
            Ok((judgement, judge)) => self.report(name, requests, &judgement, &judge),
            Err(why) => AsIfSerialReport {
                bursts_of: u32::try_from(requests).ok(),
                operations: vec![name.to_owned()],
                inconclusive: Some(why),
                ..AsIfSerialReport::default()
            },
        }
    }

    async fn judged(&self, subject: &Operations, first: u32) -> Result<(Judgement, Judge), String> {
        let requests = Subject::requests(subject);
        let databases = BTreeSet::from([self.database.clone()]);
        let capture = self.wait(Capture::begin(self.client.clone(), databases)).await?;
        let mut rounds = Rounds { bursts: self, subject, capture, next: first, background: BTreeSet::new() };
        rounds.listen().await?;
        let mut judge = Judge::new(Settings { coarse: true, ..self.settings.clone() });
        rounds.serially(&mut judge, requests, SERIAL).await?;
        let (begin, mut met) = (Instant::now(), Vec::new());
        while met.len() < BURSTS && begin.elapsed() < LONGEST {
            met.push(rounds.burst().await?);
        }
        let samples = rounds.samples(&met).await?;
        let is = |judgement: &Judgement, of: fn(Class) -> bool| judgement.executions.iter().any(|one| of(one.class));
        let mut judgement = judge.judge(&samples);
        if is(&judgement, |class| class != Class::Serial) {
            for fewer in served(&samples, &self.settings) {
                rounds.serially(&mut judge, fewer, SERIAL_OF_FEWER).await?;
            }
            judgement = judge.judge(&samples);
        }
        if is(&judgement, Class::is_anomaly) {
            rounds.serially(&mut judge, requests, SERIAL).await?;
            judgement = judge.judge(&samples);
        }
        if samples.iter().all(|sample| sample.outcome.changes.is_empty()) {
            judgement.inconclusive.get_or_insert("the requests write nothing".to_owned());
        }
        Ok((judgement, judge))
    }

    /// Waits for the server; why there is nothing, in words.
    async fn wait<T>(&self, reading: impl Future<Output = Result<T, CaptureError>>) -> Result<T, String> {
        let read = Scope::new(READ_WITHIN, &self.stop).wait(reading).await;
        read.unwrap_or_else(|ended| Err(ended.into())).map_err(|error| super::carry::chain(&error))
    }

    fn report(&self, name: &str, requests: usize, judgement: &Judgement, judge: &Judge) -> AsIfSerialReport {
        let strict = self.settings.strict;
        let violating = || judgement.executions.iter().filter(|one| one.class.violates(strict));
        let violations = violating().count() as u64;
        let verdict = match (&judgement.inconclusive, violations) {
            (None, 0) => Verdict::Holds,
            (None, _) => Verdict::Violated,
            (Some(_), _) => Verdict::Inconclusive,
        };
        let worst: Option<&Judged> = violating().max_by_key(|one| one.class);
        let shown = |one: &crate::serial::Difference| FieldDifference {
            place: one.place.clone(),
            serially: one.serially.clone(),
            here: one.here.clone(),
        };
        let sentences = judgement.sentences().into_iter().filter(|(class, _)| *class != Class::Serial);
        AsIfSerialReport {
            verdict,
            judged: judgement.executions.len() as u64,
            violations,
            classes: Class::ALL.iter().map(|class| (class.name().to_owned(), judgement.classes.of(*class))).collect(),
            not_compared: judgement.not_compared.clone(),
            serial_outcomes: judgement.serial_outcomes as u64,
            serial_runs: judge.serial_runs() as u64,
            repetitions: judge.rounds() as u64,
            sentences: sentences.map(|(_, text)| text.replace("interleavings", "bursts")).collect(),
            inconclusive: judgement.inconclusive.clone(),
            notes: judgement.notes.clone(),
            operations: vec![name.to_owned()],
            in_words: worst.and_then(Judged::in_words).unwrap_or_default(),
            nearest: if worst.is_some() { "one after another".to_owned() } else { String::new() },
            differences: worst.iter().flat_map(|one| one.differences.iter().map(shown)).collect(),
            bursts_of: u32::try_from(requests).ok(),
            ..AsIfSerialReport::default()
        }
    }
}

impl Rounds<'_> {
    /// What changes while nobody asks for anything is the service's own work, and is left out.
    async fn listen(&mut self) -> Result<(), String> {
        self.open().await?;
        self.pause(QUIET * 3).await?;
        let window = self.close().await?;
        self.collect().await?;
        let window = self.capture.window(window);
        self.background = window.into_iter().flat_map(|window| window.changes.keys().cloned()).collect();
        Ok(())
    }

    /// So many requests one after another, again and again: each time another of them is the first.
    async fn serially(&mut self, judge: &mut Judge, requests: usize, times: usize) -> Result<(), String> {
        let mut rounds = Vec::new();
        for time in 0..times {
            let number = self.begin().await?;
            let mut answers = Vec::new();
            for position in 0..requests {
                let request = (position + time) % requests;
                answers.push(self.answered(self.subject.start(number, request)).await?);
                // What it does after its answer comes before the next one.
                self.pause(QUIET / 3).await?;
            }
            rounds.push(self.end(number, answers).await?);
        }
        for sample in self.samples(&rounds).await? {
            judge.learn(sample);
        }
        judge.end_round();
        Ok(())
    }

    /// All requests at once.
    async fn burst(&mut self) -> Result<Round, String> {
        let number = self.begin().await?;
        let all =
            (0..Subject::requests(self.subject)).map(|request| self.answered(self.subject.start(number, request)));
        let answers = futures::future::try_join_all(all).await?;
        self.end(number, answers).await
    }

    async fn begin(&mut self) -> Result<u32, String> {
        let number = self.next;
        self.next += 1;
        let Bursts { target, stop, .. } = self.bursts;
        if target.has_preliminaries() {
            let operations = self.subject.invocations(number..number + 1);
            let made = Scope::new(READ_WITHIN, stop).wait(target.preliminaries(&operations)).await;
            made.map_err(|ended| ended.to_string())?.map_err(|error| super::carry::chain(&error))?;
        }
        self.open().await?;
        Ok(number)
    }

    async fn end(&mut self, number: u32, answers: Vec<Answer>) -> Result<Round, String> {
        self.pause(QUIET).await?;
        Ok(Round { number, window: self.close().await?, answers })
    }

    async fn answered(&self, request: impl Future<Output = crate::target::Completion>) -> Result<Answer, String> {
        let answered = Scope::new(self.bursts.deadline, &self.bursts.stop).wait(request).await;
        answered.map(|completion| answer(&completion)).map_err(|ended| format!("a request was not answered: {ended}"))
    }

    async fn open(&mut self) -> Result<(), String> {
        self.bursts.wait(self.capture.open()).await
    }

    async fn close(&mut self) -> Result<usize, String> {
        self.bursts.wait(self.capture.close_all()).await
    }

    async fn collect(&mut self) -> Result<(), String> {
        self.bursts.wait(self.capture.collect()).await
    }

    async fn pause(&self, time: Duration) -> Result<(), String> {
        match Scope::new(time, &self.bursts.stop).wait(std::future::pending::<()>()).await {
            Err(Ended::Stopped) => Err(Ended::Stopped.to_string()),
            Ok(()) | Err(Ended::Deadline(_)) => Ok(()),
        }
    }

    /// Rounds as the judge sees them.
    async fn samples(&mut self, rounds: &[Round]) -> Result<Vec<Sample>, String> {
        self.collect().await?;
        Ok(rounds.iter().filter_map(|round| self.sample(round)).collect())
    }

    fn sample(&self, round: &Round) -> Option<Sample> {
        let window = self.capture.window(round.window)?;
        let document = |document: &mongodb::bson::Document| value(&Bson::Document(document.clone()));
        let written = window.written().filter(|written| !self.background.contains(&written.namespace));
        let changes = written.map(|written| Change {
            collection: written.namespace.split_once('.').map_or("", |(_, name)| name).to_owned(),
            id: value(&written.id),
            before: written.before.as_ref().map(document),
            after: written.after.as_ref().map(document),
        });
        let answers = round.answers.iter().cloned().enumerate().collect();
        let requests = Subject::requests(self.subject);
        let mut marks = vec![(self.subject.invocation(round.number, 0).key.to_string(), "<key>".to_owned())];
        // Who sent which of the equal requests does not count.
        marks.extend((0..requests).map(|client| (format!("user-{client}"), "<caller>".to_owned())));
        let outcome = Outcome { answers, probes: Vec::new(), changes: changes.collect() };
        Some(Sample { order: (0..round.answers.len()).collect(), marks, outcome })
    }
}

/// How many requests of bursts in which some were refused, not all, were not.
fn served(samples: &[Sample], settings: &Settings) -> BTreeSet<usize> {
    let served = |sample: &Sample| {
        let answers = sample.outcome.answers.values();
        let kept = answers.filter(|answer| answer.status < 500 && !settings.refuses(answer.status));
        (kept.count(), sample.order.len())
    };
    samples.iter().map(served).filter(|(kept, all)| *kept > 0 && kept < all).map(|(kept, _)| kept).collect()
}
