//! `[load.stages]`: clients or a rate that change over time.

use std::ops::Range;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_stages::{ClientStage, RateStage, Stages};
use super::super::load::{Keys, Load};
use super::super::stages::{Stage, StageSpan};
use super::super::values::{DurationText, Number};
use super::load::MOST_RATE;
use super::{Check, LONGEST, MOST_CLIENTS};

/// Most stages of a load.
const MOST_STAGES: usize = 1_000;
const EITHER: &str =
    "write `clients = [{ target = 50, duration = \"30s\" }]` or `rate = [{ target = 1000, duration = \"30s\" }]`";

impl Check<'_> {
    pub(super) fn stages(&mut self, stages: Spanned<Stages>) -> Option<Load> {
        let table = stages.span();
        let Stages { clients, rate, start, max_clients, arrivals, keys } = stages.into_inner();
        let keys = self.keys(keys);
        match (clients, rate) {
            (Some(clients), None) => {
                let of_rates =
                    [max_clients.map(|key| (key.span(), "max_clients")), arrivals.map(|key| (key.span(), "arrivals"))];
                for (span, key) in of_rates.into_iter().flatten() {
                    let problem = Problem::at(span, format!("`{key}` belongs to stages of a rate"));
                    self.note::<()>(problem.help("leave it out: the stages say how many clients there are"));
                }
                self.ramping_clients(clients, start, keys)
            }
            (None, Some(rate)) => {
                let max_clients = self
                    .required(max_clients, "max_clients", "load.stages", Some(&table))
                    .and_then(|clients| self.clients(&clients, "max_clients"));
                let arrivals = self.arrivals(arrivals.as_ref());
                let start = self.start(start.as_ref(), MOST_RATE);
                let ((start, stages), span) = (start.zip(self.rates(&rate))?, rate.span());
                let load = Load::RampingRate {
                    start,
                    rate: stages,
                    max_clients: max_clients?,
                    arrivals: arrivals?,
                    keys: keys?,
                };
                let is_idle = load.stages().iter().map(StageSpan::arrivals).sum::<f64>() <= 0.0;
                self.that_ends(
                    load,
                    &span,
                    is_idle.then_some("no operation would ever start: every rate is 0, or lasts no time"),
                )
            }
            (Some(clients), Some(rate)) => {
                let problem = Problem::at(rate.span(), "stages are those of `clients` or of a `rate`: both are there");
                self.note(problem.related(clients.span(), "the clients").help("remove one of them"))
            }
            (None, None) => self.note(Problem::at(table, "no stages are named").help(EITHER)),
        }
    }

    fn ramping_clients(
        &mut self,
        stages: Spanned<Vec<Spanned<ClientStage>>>,
        start: Option<Spanned<Number>>,
        keys: Option<Keys>,
    ) -> Option<Load> {
        let whole = self.start(start.as_ref(), MOST_CLIENTS as f64);
        let first = match (whole, &start) {
            (Some(number), Some(written)) if number.fract() != 0.0 => {
                self.note(Problem::at(written.span(), "`start` must be a whole number of clients"))
            }
            (number, _) => number,
        };
        let span = stages.span();
        self.number_of_stages(stages.get_ref().len(), &span)?;
        let mut read = |stage: &Spanned<ClientStage>| {
            let ClientStage { target, duration } = stage.get_ref();
            let target = self
                .required(target.clone(), "target", "load.stages", Some(&stage.span()))
                .and_then(|target| self.count32(&target, "target", 0..=MOST_CLIENTS as u32));
            let duration = self.stage_duration(duration.clone(), &stage.span());
            Some(Stage { target: target?, duration: duration? })
        };
        // Collected first: each bad stage is reported, not only the first.
        let stages: Vec<Option<Stage<u32>>> = stages.get_ref().iter().map(&mut read).collect();
        let clients = stages.into_iter().collect::<Option<Vec<_>>>()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in the range of clients"
        )]
        let load = Load::RampingClients { start: first? as u32, clients, keys: keys? };
        // A client begins when the whole number of it is reached: on the way to 1 that is at the very end.
        let runs = |span: &StageSpan| span.length_s() > 0.0 && (span.from >= 1.0 || span.to > 1.0);
        let is_idle = !load.stages().iter().any(runs);
        self.that_ends(
            load,
            &span,
            is_idle.then_some("no client would ever start: 1 is never reached, or lasts no time"),
        )
    }

    fn rates(&mut self, stages: &Spanned<Vec<Spanned<RateStage>>>) -> Option<Vec<Stage<f64>>> {
        self.number_of_stages(stages.get_ref().len(), &stages.span())?;
        let mut read = |stage: &Spanned<RateStage>| {
            let RateStage { target, duration } = stage.get_ref();
            let target = self
                .required(target.clone(), "target", "load.stages", Some(&stage.span()))
                .and_then(|target| self.not_negative(&target, "target", MOST_RATE));
            let duration = self.stage_duration(duration.clone(), &stage.span());
            Some(Stage { target: target?, duration: duration? })
        };
        let stages: Vec<Option<Stage<f64>>> = stages.get_ref().iter().map(&mut read).collect();
        stages.into_iter().collect()
    }

    fn number_of_stages(&mut self, number: usize, span: &Range<usize>) -> Option<()> {
        match number {
            0 => self.note(Problem::at(span.clone(), "the list of stages is empty").help(EITHER)),
            1..=MOST_STAGES => Some(()),
            _ => self.note(Problem::at(span.clone(), format!("a load has at most {MOST_STAGES} stages"))),
        }
    }

    fn stage_duration(
        &mut self,
        text: Option<Spanned<DurationText>>,
        stage: &Range<usize>,
    ) -> Option<std::time::Duration> {
        let text = self.required(text, "duration", "load.stages", Some(stage))?;
        self.duration(&text, "duration", true)
    }

    fn start(&mut self, start: Option<&Spanned<Number>>, most: f64) -> Option<f64> {
        start.map_or(Some(0.0), |start| self.not_negative(start, "start", most))
    }

    /// A number that may be zero.
    fn not_negative(&mut self, number: &Spanned<Number>, key: &str, most: f64) -> Option<f64> {
        let value = number.get_ref().0;
        match (0.0..=most).contains(&value) {
            true => Some(value),
            false => self.note(Problem::at(number.span(), format!("`{key}` must be at least 0 and at most {most}"))),
        }
    }

    /// Stages that end, and in which something is sent.
    fn that_ends(&mut self, load: Load, span: &Range<usize>, idle: Option<&str>) -> Option<Load> {
        let too_long = load.duration().is_some_and(|duration| duration > LONGEST);
        match idle.or(too_long.then_some("all stages together must last at most 30 days")) {
            Some(mistake) => self.note(Problem::at(span.clone(), mistake)),
            None => Some(load),
        }
    }
}
