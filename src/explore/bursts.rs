//! The weak form of as if serial, for a run: bursts of equal requests, nothing parked, held against the same requests one after
//! another. Main type: [`Bursts`].
//!
//! *Property*: documents and answers of a burst are those of as many requests one after another, but for who was told what and
//! for the order of lists. *Assumptions*: the requests are equal, so that one order stands for all; nobody else writes to the
//! service's database; what a request does after its answer is done within a quarter of a second, or as long as the scenario
//! says that storing may take.
//! *Soundness*: as that of `serial`. What a request writes late may fall into the round after its own, so that nothing
//! is accused unless it shows again in rounds that are followed by so long a silence. *Completeness*: whatever the bursts
//! happened to meet, and colours alone tell apart what is made anew. That nothing was found proves little. *Cost*: some forty
//! rounds, at most `LONGEST` of bursts; as many again, and slower, where something is to be accused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mongodb::Client;
use tokio_util::sync::CancellationToken;

use super::answers::answer;
use super::capture::{Capture, CaptureError, Written};
use super::cause::chain;
use super::comparison::PATIENT_QUIET;
use super::confirming::enough_to_see;
use super::judging::unlike;
use super::reported::{reported, tell};
use super::subject::{Operations, Subject};
use crate::report::AsIfSerialReport;
use crate::scope::{Ended, Scope};
use crate::serial::{Answer, Class, Judge, Judged, Judgement, Outcome, Sample, Settings};
use crate::target::Target;

/// Serial rounds, and as many again before something is accused.
const SERIAL: usize = 5;
/// Serial rounds of fewer requests, where some of a burst were refused.
const SERIAL_OF_FEWER: usize = 3;
/// Most serial rounds that are spent on what comes seldom.
const MOST_SERIAL: usize = 60;
/// Bursts.
const BURSTS: usize = 25;
/// How long bursts may take.
const LONGEST: Duration = Duration::from_secs(3);
/// Bursts between two looks, where an anomaly is to show again, and how long they may take in all.
const AGAIN: usize = 5;
const LONGEST_AGAIN: Duration = Duration::from_secs(10);
/// What is waited for after a round: the service may go on after its answers.
const QUIET: Duration = Duration::from_millis(30);
/// How many such silences the end of a round is waited for.
const LONGEST_REST: u32 = 20;
/// What is waited for at most. A service that may take longer is accused of nothing here.
const LONGEST_QUIET: Duration = Duration::from_secs(1);
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
    /// How long the service may take to store what it has accepted.
    pub within: Duration,
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
    /// What is waited for after a round.
    quiet: Duration,
}

/// How many bursts come between two looks, and how long all of them may take.
type Pace = (usize, Duration);

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
        let mut rounds =
            Rounds { bursts: self, subject, capture, next: first, background: BTreeSet::new(), quiet: QUIET };
        rounds.listen().await?;
        let (mut judgement, mut judge) = rounds.held(requests, (BURSTS, LONGEST)).await?;
        if !self.accuses(&judgement) || judgement.inconclusive.is_some() {
            return Ok((judgement, judge));
        }
        if self.within > LONGEST_QUIET {
            judgement.inconclusive = Some(format!(
                "some bursts are unlike every serial round, but what the service may store {:?} after its answers is not waited \
                 for",
                self.within
            ));
            return Ok((judgement, judge));
        }
        rounds.quiet = match rounds.capture.has_oplog {
            true => PATIENT_QUIET.max(self.within),
            // It is not seen whether something is still written.
            false => LONGEST_QUIET,
        };
        let (patiently, by) = rounds.held(requests, (AGAIN, LONGEST_AGAIN)).await?;
        match self.accuses(&patiently) {
            true => (judgement, judge) = (patiently, by),
            false => {
                judgement.inconclusive = Some(
                    "what was unlike every serial round was not so again when more time was left for what comes after answers"
                        .to_owned(),
                );
            }
        }
        Ok((judgement, judge))
    }

    /// Whether some burst violates.
    fn accuses(&self, judgement: &Judgement) -> bool {
        unlike(judgement, |class| class.violates(self.settings.strict))
    }

    /// Waits for the server; why there is nothing, in words.
    async fn wait<T>(&self, reading: impl Future<Output = Result<T, CaptureError>>) -> Result<T, String> {
        let read = Scope::new(READ_WITHIN, &self.stop).wait(reading).await;
        read.unwrap_or_else(|ended| Err(ended.into())).map_err(|error| chain(&error))
    }

    fn report(&self, name: &str, requests: usize, judgement: &Judgement, judge: &Judge) -> AsIfSerialReport {
        let executions: Vec<&Judged> = judgement.executions.iter().collect();
        let mut report = AsIfSerialReport {
            operations: vec![name.to_owned()],
            bursts_of: u32::try_from(requests).ok(),
            ..reported(judge, &executions, Some(judgement), judgement.inconclusive.clone())
        };
        report.sentences.iter_mut().for_each(|text| *text = text.replace("interleavings", "bursts"));
        let violating = executions.iter().filter(|one| one.class.violates(self.settings.strict));
        if let Some(worst) = violating.max_by_key(|one| one.class) {
            tell(&mut report, worst);
            report.nearest = "one after another".to_owned();
        }
        report
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

    /// Serial rounds, and bursts that are held against them, until one of these is unlike all of those.
    async fn held(&mut self, requests: usize, (at_once, longest): Pace) -> Result<(Judgement, Judge), String> {
        let mut judge = Judge::new(Settings { coarse: true, ..self.bursts.settings.clone() });
        self.serially(&mut judge, requests, SERIAL).await?;
        let (begin, mut met, mut known) = (Instant::now(), Vec::new(), BTreeSet::new());
        loop {
            for _ in 0..at_once {
                if met.len() == BURSTS || begin.elapsed() >= longest {
                    break;
                }
                met.push(self.burst().await?);
            }
            let samples = self.samples(&met).await?;
            let mut judgement = judge.judge(&samples);
            if unlike(&judgement, |class| class != Class::Serial) {
                for fewer in served(&samples, &self.bursts.settings).into_iter().filter(|fewer| known.insert(*fewer)) {
                    self.serially(&mut judge, fewer, SERIAL_OF_FEWER).await?;
                }
                judgement = judge.judge(&samples);
            }
            let is_last = met.len() >= BURSTS || begin.elapsed() >= longest;
            let accuses = self.bursts.accuses(&judgement);
            if accuses && known.insert(requests) {
                self.serially(&mut judge, requests, SERIAL).await?;
                judgement = judge.judge(&samples);
            }
            // Rounds with long silences would take too long, and come only after these.
            if self.bursts.accuses(&judgement) && self.quiet == QUIET {
                judgement = self.rule_out_chance(&mut judge, judgement, &samples, requests).await?;
            }
            if is_last || self.bursts.accuses(&judgement) {
                if samples.iter().all(|sample| sample.outcome.changes.is_empty()) {
                    judgement.inconclusive.get_or_insert("the requests write nothing".to_owned());
                }
                return Ok((judgement, judge));
            }
        }
    }

    /// What comes in few bursts, as a service that draws lots has it, is sought in so many serial rounds that it would be there.
    async fn rule_out_chance(
        &mut self,
        judge: &mut Judge,
        mut judgement: Judgement,
        samples: &[Sample],
        requests: usize,
    ) -> Result<Judgement, String> {
        let strict = self.bursts.settings.strict;
        let unlike = judgement.executions.iter().filter(|one| one.class.violates(strict)).count();
        let enough = enough_to_see(unlike, samples.len()).min(MOST_SERIAL);
        // As many as are carried out before anything is accused.
        let (mut rounds, begin) = (2 * SERIAL, Instant::now());
        while rounds < enough && begin.elapsed() < LONGEST_AGAIN && self.bursts.accuses(&judgement) {
            self.serially(judge, requests, SERIAL).await?;
            rounds += SERIAL;
            judgement = judge.judge(samples);
        }
        Ok(judgement)
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
                self.rest(self.quiet / 3).await?;
            }
            rounds.push(self.end(number, answers).await?);
        }
        for sample in self.samples(&rounds).await? {
            judge.learn(sample);
        }
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
            made.map_err(|ended| ended.to_string())?.map_err(|error| chain(&error))?;
        }
        self.open().await?;
        Ok(number)
    }

    async fn end(&mut self, number: u32, answers: Vec<Answer>) -> Result<Round, String> {
        self.rest(self.quiet).await?;
        Ok(Round { number, window: self.close().await?, answers })
    }

    async fn answered(&self, request: impl Future<Output = crate::target::Completion>) -> Result<Answer, String> {
        let answered = Scope::new(self.bursts.deadline, &self.bursts.stop).wait(request).await;
        answered.map(|completion| answer(&completion)).map_err(|ended| format!("a request was not answered: {ended}"))
    }

    async fn open(&mut self) -> Result<(), String> {
        self.bursts.wait(self.capture.open(false)).await
    }

    async fn close(&mut self) -> Result<usize, String> {
        self.bursts.wait(self.capture.close_all()).await
    }

    async fn collect(&mut self) -> Result<(), String> {
        self.bursts.wait(self.capture.collect()).await
    }

    /// Waits until nothing was written for so long. A service that writes whatever comes is not waited for longer.
    async fn rest(&self, quiet: Duration) -> Result<(), String> {
        let begin = Instant::now();
        let mut last = self.bursts.wait(self.capture.now()).await?;
        loop {
            self.pause(quiet).await?;
            let now = self.bursts.wait(self.capture.now()).await?;
            if now == last || !self.background.is_empty() || begin.elapsed() >= quiet * LONGEST_REST {
                return Ok(());
            }
            last = now;
        }
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
        let written = window.written().filter(|written| !self.background.contains(&written.namespace));
        let answers = round.answers.iter().cloned().enumerate().collect();
        let requests = Subject::requests(self.subject);
        let mut marks = vec![(self.subject.invocation(round.number, 0).key.to_string(), "<key>".to_owned())];
        // Who sent which of the equal requests does not count.
        marks.extend((0..requests).map(|client| (format!("user-{client}"), "<caller>".to_owned())));
        let outcome = Outcome { answers, probes: Vec::new(), changes: written.map(Written::change).collect() };
        Some(Sample { order: (0..round.answers.len()).collect(), marks, outcome, touched: None })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::Judged;
    use crate::target::memory::{Lie, MemoryTarget};

    #[tokio::test]
    async fn what_violates_is_what_the_settings_say() {
        let client = Client::with_uri_str("mongodb://127.0.0.1:1/").await.unwrap();
        let bursts = |strict| Bursts {
            target: Arc::new(MemoryTarget::new(Lie::NeverAnswers)),
            client: client.clone(),
            database: String::new(),
            settings: Settings { strict, ..Settings::default() },
            deadline: Duration::ZERO,
            within: Duration::ZERO,
            stop: CancellationToken::new(),
        };
        for (class, accused) in
            [(Class::Serial, [false; 2]), (Class::Mixed, [false, true]), (Class::Lasting, [true; 2])]
        {
            let one = Judged { class, without: Vec::new(), status: 0, nearest: String::new(), differences: Vec::new() };
            let judgement = Judgement {
                executions: vec![one],
                serial_outcomes: 1,
                serial_runs: 1,
                not_compared: Vec::new(),
                inconclusive: None,
                notes: Vec::new(),
            };
            assert_eq!([false, true].map(|strict| bursts(strict).accuses(&judgement)), accused, "{class:?}");
        }
    }
}
