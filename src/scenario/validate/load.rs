//! `[load.*]` and the keys that operations meet on.

use std::ops::Range;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file;
use super::super::load::{Arrivals, Keys, Load};
use super::super::values::{Count, Counts, Number};
use super::{Check, MOST_CLIENTS};

/// Most rounds of a burst or of waves.
const MOST_ROUNDS: u32 = 10_000_000;
/// Most keys.
const MOST_KEYS: u32 = 100_000_000;
/// Most operations.
const MOST_OPERATIONS: u64 = 1_000_000_000_000;
/// Most arrivals per second.
pub(super) const MOST_RATE: f64 = 1e7;
/// Keys where the scenario names none: skewed, as participants are.
const DEFAULT_KEYS: Keys = Keys::Zipf { count: 1000, exponent: 1.1 };

const CHOICES: &str =
    "a scenario has one load: `[load.burst]`, `[load.closed]`, `[load.open]`, `[load.waves]` or `[load.stages]`";

impl Check<'_> {
    /// The one load.
    pub(super) fn load(&mut self, loads: Option<Spanned<file::Loads>>) -> Option<Load> {
        let Some(loads) = loads else {
            return self.note(Problem::whole("`[load]` is missing").help(CHOICES));
        };
        let span = loads.span();
        let loads = loads.into_inner();
        let mut given: Vec<(Range<usize>, &str)> = [
            loads.burst.as_ref().map(|load| (load.span(), "burst")),
            loads.closed.as_ref().map(|load| (load.span(), "closed")),
            loads.open.as_ref().map(|load| (load.span(), "open")),
            loads.waves.as_ref().map(|load| (load.span(), "waves")),
            loads.stages.as_ref().map(|load| (load.span(), "stages")),
        ]
        .into_iter()
        .flatten()
        .collect();
        given.sort_by_key(|(span, _)| span.start);
        // The last is to blame: of a file and a `--set`, the `--set`.
        if let [(first, kept), .., (last, added)] = given.as_slice() {
            // Whoever knows stages from elsewhere may take them for a part of another load.
            let help = match (*kept, *added) {
                ("burst" | "waves", "stages") | ("stages", "burst" | "waves") => {
                    "bursts and waves have no stages: `[load.stages]` is a load of its own, with clients or a rate that change"
                }
                (_, "stages") | ("stages", _) => {
                    "`[load.stages]` is a load of its own, with clients or a rate that change: remove the other"
                }
                _ => "remove one of them; to turn one load into another, write another scenario file",
            };
            let problem =
                Problem::at(last.clone(), format!("a scenario has one load: `{kept}` is there, `{added}` is a second"))
                    .related(first.clone(), "the first load")
                    .help(help);
            return self.note(problem);
        }
        match loads {
            file::Loads { burst: Some(burst), .. } => self.burst(burst),
            file::Loads { closed: Some(closed), .. } => self.closed(closed),
            file::Loads { open: Some(open), .. } => self.open(open),
            file::Loads { waves: Some(waves), .. } => self.waves(waves),
            file::Loads { stages: Some(stages), .. } => self.stages(stages),
            file::Loads { .. } => self.note(Problem::at(span, "no load is named").help(CHOICES)),
        }
    }

    fn burst(&mut self, burst: Spanned<file::Burst>) -> Option<Load> {
        let table = Some(burst.span());
        let burst = burst.into_inner();
        let clients = self
            .required(burst.clients, "clients", "load.burst", table.as_ref())
            .and_then(|clients| self.client_list(clients, "clients"));
        let rounds = self
            .required(burst.rounds, "rounds", "load.burst", table.as_ref())
            .and_then(|rounds| self.count32(&rounds, "rounds", 1..=MOST_ROUNDS));
        let jitter = match &burst.jitter {
            Some(text) => self.duration(text, "jitter", true),
            None => Some(std::time::Duration::ZERO),
        };
        Some(Load::Burst { clients: clients?, rounds: rounds?, jitter: jitter? })
    }

    fn client_list(&mut self, counts: Spanned<Counts>, key: &str) -> Option<Vec<u32>> {
        let span = counts.span();
        match counts.into_inner() {
            Counts::One(count) => self.clients(&Spanned::new(span, count), key).map(|clients| vec![clients]),
            Counts::Many(counts) => self.sizes(&counts, span, key),
        }
    }

    fn sizes(&mut self, counts: &[Spanned<Count>], span: Range<usize>, key: &str) -> Option<Vec<u32>> {
        if counts.is_empty() {
            return self.note(Problem::at(span, format!("`{key}` is an empty list")));
        }
        // Collected first: each bad number is reported, not only the first.
        let sizes: Vec<Option<u32>> = counts.iter().map(|count| self.clients(count, key)).collect();
        sizes.into_iter().collect()
    }

    fn closed(&mut self, closed: Spanned<file::Closed>) -> Option<Load> {
        let table = Some(closed.span());
        let closed = closed.into_inner();
        let clients = self
            .required(closed.clients, "clients", "load.closed", table.as_ref())
            .and_then(|clients| self.clients(&clients, "clients"));
        let duration = self
            .required(closed.duration, "duration", "load.closed", table.as_ref())
            .and_then(|text| self.duration(&text, "duration", false));
        let operations = match &closed.operations {
            Some(count) => self.count(count, "operations", 1..=MOST_OPERATIONS).map(Some),
            None => Some(None),
        };
        let keys = self.keys(closed.keys);
        Some(Load::Closed { clients: clients?, duration: duration?, operations: operations?, keys: keys? })
    }

    fn open(&mut self, open: Spanned<file::Open>) -> Option<Load> {
        let table = Some(open.span());
        let open = open.into_inner();
        let rate = self
            .required(open.rate, "rate", "load.open", table.as_ref())
            .and_then(|rate| self.positive(&rate, "rate", MOST_RATE));
        let duration = self
            .required(open.duration, "duration", "load.open", table.as_ref())
            .and_then(|text| self.duration(&text, "duration", false));
        let max_clients = self
            .required(open.max_clients, "max_clients", "load.open", table.as_ref())
            .and_then(|clients| self.clients(&clients, "max_clients"));
        let arrivals = self.arrivals(open.arrivals.as_ref());
        let keys = self.keys(open.keys);
        Some(Load::Open {
            rate: rate?,
            duration: duration?,
            max_clients: max_clients?,
            arrivals: arrivals?,
            keys: keys?,
        })
    }

    /// Spacing of arrivals.
    pub(super) fn arrivals(&mut self, word: Option<&Spanned<String>>) -> Option<Arrivals> {
        word.map_or(Some(Arrivals::Poisson), |word| {
            self.word(word, "arrivals", &[("constant", Arrivals::Constant), ("poisson", Arrivals::Poisson)])
        })
    }

    fn waves(&mut self, waves: Spanned<file::Waves>) -> Option<Load> {
        let table = Some(waves.span());
        let waves = waves.into_inner();
        let sizes = self
            .required(waves.sizes, "sizes", "load.waves", table.as_ref())
            .and_then(|sizes| self.sizes(sizes.get_ref(), sizes.span(), "sizes"));
        let rounds = match &waves.rounds {
            Some(rounds) => self.count32(rounds, "rounds", 1..=MOST_ROUNDS),
            None => Some(1),
        };
        Some(Load::Waves { sizes: sizes?, rounds: rounds? })
    }

    pub(super) fn keys(&mut self, keys: Option<Spanned<file::Keys>>) -> Option<Keys> {
        let Some(keys) = keys else { return Some(DEFAULT_KEYS) };
        let span = keys.span();
        let keys = keys.into_inner();
        match (keys.uniform, keys.zipf) {
            (Some(uniform), None) => {
                let table = uniform.span();
                let count = self.required(uniform.into_inner().count, "count", "keys.uniform", Some(&table))?;
                Some(Keys::Uniform { count: self.count32(&count, "count", 1..=MOST_KEYS)? })
            }
            (None, Some(zipf)) => {
                let table = zipf.span();
                let zipf = zipf.into_inner();
                let count = self
                    .required(zipf.count, "count", "keys.zipf", Some(&table))
                    .and_then(|count| self.count32(&count, "count", 1..=MOST_KEYS));
                let exponent = self
                    .required(zipf.exponent, "exponent", "keys.zipf", Some(&table))
                    .and_then(|exponent| self.positive(&exponent, "exponent", 100.0));
                Some(Keys::Zipf { count: count?, exponent: exponent? })
            }
            _ => self.note(
                Problem::at(span, "`keys` names one distribution")
                    .help("write `{ uniform = { count = 10 } }` or `{ zipf = { count = 1000, exponent = 1.1 } }`"),
            ),
        }
    }

    /// A number above zero.
    fn positive(&mut self, number: &Spanned<Number>, key: &str, most: f64) -> Option<f64> {
        let value = number.get_ref().0;
        match value > 0.0 && value <= most {
            true => Some(value),
            false => self.note(Problem::at(number.span(), format!("`{key}` must be above 0 and at most {most}"))),
        }
    }
}

const _: () = assert!(MOST_CLIENTS <= u32::MAX as u64, "clients are counted in 32 bits");
