//! `[target.*]` and `[mongod]`.

use std::ops::Range;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file;
use super::super::model::{MongoSpec, MongodSpec, TargetSpec, WriteConcern};
use super::super::workloads::WorkloadKind;
use super::{Check, KnownStrategies};

/// Where a run puts its data if the scenario does not say.
const DEFAULT_DATABASE: &str = "onlyone_run";
/// MongoDB's own limit on the name of a database, in bytes.
const LONGEST_DATABASE: usize = 63;

impl Check<'_> {
    /// The one target.
    pub(super) fn target(
        &mut self,
        target: Option<Spanned<file::Target>>,
        workload: Option<WorkloadKind>,
        own_service: bool,
        known: KnownStrategies<'_>,
    ) -> Option<TargetSpec> {
        let Some(target) = target else {
            return self.note(Problem::whole("`[target]` is missing").help("add `[target.mongo]` with its `strategy`"));
        };
        let span = target.span();
        let target = target.into_inner();
        match (target.mongo, target.http) {
            (Some(mongo), None) if matches!(workload, Some(WorkloadKind::Custom | WorkloadKind::Unique)) => self.note(
                Problem::at(mongo.span(), "this workload has no strategies")
                    .help("its operations are those of `[target.http.operations]`"),
            ),
            (Some(mongo), None) => self.mongo(mongo, workload, known).map(TargetSpec::Mongo),
            (None, Some(http)) => self.http(http, workload, own_service).map(|http| TargetSpec::Http(Box::new(http))),
            (Some(mongo), Some(http)) => self.note(
                Problem::at(http.span(), "two targets are named")
                    .related(mongo.span(), "the other one")
                    .help("keep `[target.mongo]` or `[target.http]`"),
            ),
            (None, None) => {
                self.note(Problem::at(span, "no target is named").help("add `[target.mongo]` with its `strategy`"))
            }
        }
    }

    fn mongo(
        &mut self,
        mongo: Spanned<file::Mongo>,
        workload: Option<WorkloadKind>,
        known: KnownStrategies<'_>,
    ) -> Option<MongoSpec> {
        let span = mongo.span();
        let mongo = mongo.into_inner();
        let strategy = self.strategy(mongo.strategy, &span, workload, known);
        let database = match mongo.database {
            Some(database) => self.database(database),
            None => Some(DEFAULT_DATABASE.to_owned()),
        };
        let pool = match &mongo.pool {
            Some(count) => self.clients(count, "pool").map(Some),
            None => Some(None),
        };
        let delay = match &mongo.delay {
            Some(text) => self.duration(text, "delay", true),
            None => Some(std::time::Duration::ZERO),
        };
        let write_concern = mongo
            .write_concern
            .as_ref()
            .map_or(Some(None), |word| self.word(word, "write concern", &WriteConcern::ALL).map(Some));
        Some(MongoSpec {
            write_concern: write_concern?,
            strategy: strategy?,
            unique_index: mongo.unique_index,
            database: database?,
            pool: pool?,
            retry_writes: mongo.retry_writes,
            retry_reads: mongo.retry_reads,
            delay: delay?,
        })
    }

    fn strategy(
        &mut self,
        strategy: Option<Spanned<String>>,
        table: &Range<usize>,
        workload: Option<WorkloadKind>,
        known: KnownStrategies<'_>,
    ) -> Option<String> {
        let strategy = self.required(strategy, "strategy", "target.mongo", Some(table))?;
        // Of an unknown workload nothing more can be said: its own mistake is reported.
        let workload = workload?;
        let names = known(workload);
        match names.contains(&strategy.get_ref().as_str()) {
            true => Some(strategy.into_inner()),
            false => {
                let kind = format!("strategy of {}", workload.as_str());
                let problem = Problem::unknown(strategy.span(), &kind, strategy.get_ref(), names.iter().copied());
                self.note(problem)
            }
        }
    }

    /// A name that a database can have.
    pub(super) fn database(&mut self, database: Spanned<String>) -> Option<String> {
        let name = database.get_ref();
        let span = database.span();
        if name.is_empty() {
            return self.note(Problem::at(span, "the database name is empty"));
        }
        if name.len() > LONGEST_DATABASE {
            let message = format!("a database name has at most {LONGEST_DATABASE} bytes, this one has {}", name.len());
            return self.note(Problem::at(span, message));
        }
        match name.char_indices().find(|(_, letter)| r#"/\. "$*<>:|?"#.contains(*letter) || letter.is_control()) {
            Some((at, letter)) => {
                let place = self.sources.inside(&span, name, &(at..at + letter.len_utf8()));
                self.note(
                    Problem::at(place, format!("a database name cannot have {letter:?} in it"))
                        .help("use letters, digits, `_` and `-`"),
                )
            }
            None => Some(database.into_inner()),
        }
    }

    /// The embedded server.
    pub(super) fn mongod(&mut self, mongod: file::Mongod) -> Option<MongodSpec> {
        let replica_set = match &mongod.replica_set {
            None => 0,
            Some(count) => match count.get_ref().0 {
                0 => 0,
                1 => 1,
                3 => 3,
                _ => {
                    return self.note(
                        Problem::at(count.span(), "`replica_set` must be 0, 1 or 3")
                            .help("0 is a standalone server, 1 and 3 are the members of a replica set"),
                    );
                }
            },
        };
        Some(MongodSpec { replica_set, test_commands: mongod.test_commands })
    }
}
