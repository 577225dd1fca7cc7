//! The end of an exploration: what it found is stored, judged and reported.

use std::time::SystemTime;

use super::{Finished, One};
use crate::assess::{Recording, RunRecord, status_of};
use crate::cli::show::{show, with_unwritten};
use crate::cli::telemetry::Telemetry;
use crate::cli::{CliError, Io};
use crate::explore::outcome::Exploration;
use crate::history::History;
use crate::history::file::{Header, HistoryWriter};
use crate::session::store::Store;
use crate::session::{Concluded, conclude};
use crate::verdict::ExitStatus;

impl One<'_> {
    /// Stores, judges and reports. What cannot be written is told at the end, and masks no violation.
    pub(super) async fn conclude(
        &self,
        finished: Finished,
        store: &Store,
        started: SystemTime,
        io: &mut Io,
    ) -> Result<ExitStatus, CliError> {
        let Finished { exploration, aborted, record } = finished;
        let requests = if self.pairs.is_some() { self.requests } else { exploration.report.requests };
        let requests = Some(requests).filter(|_| !exploration.with_established);
        let Exploration { history, observation, report, as_if_serial, looks, queries, unread, misfit, .. } =
            exploration;
        if let Some(misfit) = misfit {
            return Err(CliError::usage(anyhow::anyhow!(misfit))
                .hint("a schedule belongs to its requests: give the same `--requests` and `--operations`"));
        }
        let history_written = self.write_history(&history, store);
        let record = RunRecord {
            reproduce: self.reproduce(requests),
            generator: crate::stats::usage().map_err(CliError::setup)?,
            observe_error: unread.filter(|_| aborted.is_none()),
            aborted,
            explore: Some(report),
            as_if_serial,
            queries,
            looks,
            ..record
        };
        let written =
            [history_written, store.write_record(&record), store.write_observation(&self.run_id, observation.as_ref())];
        let recording = Recording { record: &record, history: &history, observation: observation.as_ref() };
        let Concluded { report, directory, unwritten } = conclude(recording, store, started, written)?;
        let shown = match self.telemetry.as_ref().is_some_and(Telemetry::has_events) {
            true => Ok(()),
            false => show(&report, Some(&directory.display().to_string()), self.args.common.format, io),
        };
        let events_written = match &self.telemetry {
            Some(telemetry) => telemetry.end(&report, &directory, io).await,
            None => Ok(()),
        };
        let written = unwritten.into_iter().map(Err).chain([shown, events_written]);
        Ok(with_unwritten(status_of(&report), written, io))
    }

    fn write_history(&self, history: &History, store: &Store) -> Result<(), CliError> {
        let mut writer =
            HistoryWriter::create(&store.history(), &Header::new(&self.run_id)).map_err(CliError::setup)?;
        for operation in &history.operations {
            writer.append(operation).map_err(CliError::setup)?;
        }
        writer.finish(history.interrupted).map(|_| ()).map_err(CliError::setup)
    }
}
