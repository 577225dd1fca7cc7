//! Reports: the judged run, rendered. No network, no clock, no judging.

mod answer;
mod as_if_serial;
mod causes;
mod compared;
mod comparison;
mod diagram;
mod document;
mod explore;
#[cfg(test)]
mod external;
mod faults;
mod files;
mod finding;
mod fit;
mod format;
mod github;
mod hlog;
mod hlog_read;
mod html;
mod json;
mod junit;
mod key_history;
mod limit;
mod model;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
mod selftest;
mod several;
mod shards;
mod stages;
mod summary;
mod terminal;
mod trend;

pub use crate::lint::LintFinding;
pub use as_if_serial::{AsIfSerialReport, FieldDifference, PairResult};
pub use compared::{comparison_summary, write_comparison};
pub use comparison::{Comparison, InvariantChange, Side};
pub use diagram::render as render_diagram;
pub(crate) use document::shell;
pub use explore::{
    Diagram, DiagramStep, ExploreReport, FaultTally, Lane, Repeated, ScheduleResult, Smallest, TogetherResult,
};
pub use faults::FaultReport;
pub use files::{WriteError, write_all, write_atomic};
pub use finding::{ActionKind, Finding, FindingKind, RepairAction};
pub use fit::{Fit, FitRow};
pub(crate) use format::{count, plural};
pub use github::{MOST_ANNOTATIONS, annotations};
pub use hlog::{HlogError, hgrm, hgrm_of_log, hlog};
pub use hlog_read::{HlogReadError, read_hlog};
pub use html::{HtmlError, html, page_policy};
pub use json::{JsonError, from_json, to_json};
pub use junit::junit;
pub use key_history::{KeyHistory, MissingElement, SentRequest, StoredElement, StoredList};
pub use limit::{LIMIT_FORMAT_VERSION, LimitReport, LimitStep, LimitedBy, limit_to_json};
pub use model::{ExpectationResult, FORMAT_VERSION, Origin, Report, SerialControl};
pub use schema::schema;
pub use selftest::{SelftestBug, SelftestKinds, SelftestNotPlanted, SelftestReport, SelftestTwin};
pub use several::{Ended, Row, junit_of_all, several};
pub use shards::ShardReport;
pub use summary::{summary, summary_within};
pub use terminal::{Terminal, compared, terminal, terminal_of_limit};
pub use trend::{TrendRow, trend_row, trend_table};
