//! `[explore]`.

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file;
use super::super::model::{ExploreSpec, FaultKind, JudgeKind, SearchKind};
use super::super::workloads::WorkloadKind;
use super::Check;
use crate::serial::Pattern;

impl Check<'_> {
    /// What an exploration does. `own` are the operations that a service is asked for; without any, the workload's count.
    pub(super) fn explore(
        &mut self,
        explore: file::Explore,
        workload: Option<WorkloadKind>,
        own: &[String],
    ) -> Option<ExploreSpec> {
        let requests = match &explore.requests {
            Some(count) => {
                let most = u64::from(ExploreSpec::MOST_REQUESTS);
                self.count(count, "requests", 1..=most).map(|count| u8::try_from(count).ok())
            }
            None => Some(None),
        };
        let known: Vec<String> = match workload {
            _ if !own.is_empty() => own.to_vec(),
            Some(workload) => workload.operations().map(str::to_owned).collect(),
            // The workload is a mistake of its own.
            None => explore.operations.iter().map(|name| name.get_ref().clone()).collect(),
        };
        let mut operations = Some(Vec::new());
        for name in &explore.operations {
            if known.contains(name.get_ref()) {
                operations.iter_mut().for_each(|operations| operations.push(name.get_ref().clone()));
            } else {
                let names = known.iter().map(String::as_str);
                operations = self.note(Problem::unknown(name.span(), "operation", name.get_ref(), names));
            }
        }
        let search = match &explore.search {
            Some(word) => self.word(word, "search", &SearchKind::ALL).map(Some),
            None => Some(None),
        };
        let judge = match &explore.judge {
            Some(word) => self.word(word, "judge", &JudgeKind::ALL).map(Some),
            None => Some(None),
        };
        let mut faults = Some(Vec::new());
        for word in &explore.faults {
            match self.word(word, "fault", &FaultKind::ALL) {
                Some(kind) => {
                    faults.iter_mut().filter(|kinds| !kinds.contains(&kind)).for_each(|kinds| kinds.push(kind))
                }
                None => faults = None,
            }
        }
        let (ignore, unordered) = (self.places(&explore.ignore), self.places(&explore.unordered));
        let refusals: Option<Vec<u16>> = (explore.refusals.iter())
            .map(|status| u16::try_from(self.count(status, "refusals", 100..=599)?).ok())
            .collect();
        Some(ExploreSpec {
            requests: requests?,
            operations: operations?,
            pairs: explore.pairs,
            search: search?,
            judge: judge?,
            probes: explore.probes,
            park_answers: explore.park_answers,
            faults: faults?,
            redeliver: explore.redeliver,
            ignore: ignore?,
            unordered: unordered?,
            refusals: refusals?,
            strict: explore.strict,
        })
    }

    /// Names of places in answers and documents.
    fn places(&mut self, names: &[Spanned<String>]) -> Option<Vec<String>> {
        let mut places = Some(Vec::new());
        for name in names {
            match name.get_ref().parse::<Pattern>() {
                Ok(_) => places.iter_mut().for_each(|places| places.push(name.get_ref().clone())),
                Err(error) => places = self.note(Problem::at(name.span(), error.to_string())),
            }
        }
        places
    }
}
