//! What `audit`, `repair` and `seed` share: the database, the profile, and reports of what was found.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use mongodb::Database;
use mongodb::bson::doc;
use mongodb::options::ClientOptions;

use super::show::{show, with_unwritten};
use super::values::{Format, parse_database, parse_duration};
use super::{CliError, Io};
use crate::audit::{AuditError, AuditOptions, Audited, Circumstances, Profile, report, status};
use crate::report::{RepairAction, Report, write_all};
use crate::session::commit::origin;
use crate::session::store::{Store, check_run_id, fresh_run_id};
use crate::strategy::server_answer;
use crate::target::{Guard, MongoUri, TargetError};
use crate::verdict::ExitStatus;

/// What the server answers to a query that it cannot read: a bad value, what cannot be parsed, a wrong type, regular expressions.
const MALFORMED: [i32; 7] = [2, 9, 14, 51075, 51091, 51108, 51109];

/// The database and the profile.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// The server
    #[arg(long, value_name = "URI", env = "ONLYONE_MONGO_URI", hide_env_values = true, required = true)]
    pub mongo: String,
    /// The database
    #[arg(long, value_name = "NAME", value_parser = parse_database)]
    pub database: String,
    /// chats, conversations, messages, threads, or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: String,
    /// Another collection than the profile names
    #[arg(long, value_name = "NAME")]
    pub collection: Option<String>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// How to read.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    /// Examples of each kind of finding
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub examples: usize,
    /// Documents in a batch
    #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
    pub batch_size: u32,
    /// The server gives up on a command after this time
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    pub max_time: Duration,
    /// Rest between two batches, to stay out of the service's way
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub pause: Duration,
}

/// Where reports go.
#[derive(Debug, Clone, Args)]
pub struct OutArgs {
    /// Folder of the reports
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub out: PathBuf,
    /// Name of the run, its folder and a repair's backup; made from the time when not given
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
}

/// What must be named before something is written.
#[derive(Debug, Clone, Default, Args)]
pub struct AllowArgs {
    /// Allow writing to this host, which is not this machine
    #[arg(long, value_name = "HOST")]
    pub allow_target: Vec<String>,
    /// Allow writing to a database whose name does not begin with `onlyone_`
    #[arg(long, value_name = "NAME")]
    pub allow_database: Vec<String>,
}

impl ReadArgs {
    /// The options of an audit.
    pub(super) fn options(&self) -> AuditOptions {
        AuditOptions {
            examples: self.examples,
            batch_size: self.batch_size.max(1),
            max_time: self.max_time,
            pause: self.pause,
            ..AuditOptions::default()
        }
    }
}

/// A connected database and the profile for it.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) profile: Profile,
    uri: MongoUri,
}

impl DatabaseArgs {
    /// The command line that does the same again; the connection string is left to the environment.
    pub(super) fn reproduce(&self, command: &str) -> String {
        let DatabaseArgs { database, profile, collection, .. } = self;
        let collection = collection.iter().map(|name| format!(" --collection {name}")).collect::<String>();
        format!(
            "onlyone {command} --mongo \"$ONLYONE_MONGO_URI\" --database {database} --profile {profile}{collection}"
        )
    }

    /// Reads the profile and connects. With `allow`, refuses what was not allowed, before and after resolving the hosts.
    pub(super) async fn open(&self, allow: Option<&AllowArgs>) -> Result<Opened, CliError> {
        let mut profile = Profile::load(&self.profile).map_err(CliError::usage)?;
        if let Some(collection) = &self.collection {
            profile.collection.clone_from(collection);
        }
        let uri = MongoUri::new(self.mongo.as_str());
        if !MongoUri::is_one(&self.mongo) {
            // It is not quoted: it may hold a password.
            return Err(CliError::usage(anyhow::anyhow!("--mongo is not a MongoDB connection string"))
                .hint("it begins with mongodb:// or mongodb+srv://"));
        }
        let unreachable = |error| TargetError::Unreachable { target: uri.to_string(), source: uri.redact(error) };
        let guard =
            allow.map(|allow| Guard { hosts: allow.allow_target.clone(), databases: allow.allow_database.clone() });
        if let Some(guard) = &guard {
            guard.check_database(&self.database).map_err(TargetError::from)?;
        }
        let mut options = ClientOptions::parse(uri.expose()).await.map_err(unreachable)?;
        for host in guard.iter().flat_map(|_| &options.hosts) {
            guard.as_ref().map_or(Ok(()), |guard| guard.check_host(&host.to_string())).map_err(TargetError::from)?;
        }
        options.app_name = Some("onlyone".to_owned());
        options.server_selection_timeout.get_or_insert(Duration::from_secs(10));
        let client = mongodb::Client::with_options(options).map_err(unreachable)?;
        let database = client.database(&self.database);
        database.run_command(doc! { "ping": 1 }).await.map_err(unreachable)?;
        self.check_key(&database, &profile, &uri).await?;
        Ok(Opened { database, profile, uri })
    }
}

impl DatabaseArgs {
    /// Refuses what the server can carry out nowhere: a filter with a regular expression that is none, a collation that it does not
    /// have. It is asked to plan a query and to read nothing; whatever else it answers is told where it matters.
    async fn check_key(&self, database: &Database, profile: &Profile, uri: &MongoUri) -> Result<(), CliError> {
        let Some(key) = &profile.key else { return Ok(()) };
        let filter = key.filter().map(|filter| ("where", doc! { "filter": filter.clone() }));
        let collation = key.collation().map(|collation| ("collation", doc! { "collation": collation }));
        for (name, given) in filter.into_iter().chain(collation) {
            let mut find = doc! { "find": &profile.collection };
            find.extend(given);
            let explained = database.run_command(doc! { "explain": find, "verbosity": "queryPlanner" }).await;
            let Err(error) = explained else { continue };
            if let Some((code, message)) = server_answer(&error).filter(|(code, _)| MALFORMED.contains(code)) {
                let message = uri.redact_text(message);
                return Err(CliError::usage(anyhow::anyhow!(
                    "the server does not understand `key.{name}` of the profile `{}`: {message} (code {code})",
                    self.profile
                )));
            }
        }
        Ok(())
    }
}

impl Opened {
    /// The error for the user: its causes without what the connection string hides.
    pub(super) fn error(&self, error: AuditError) -> CliError {
        let usage = matches!(error, AuditError::Usage(_) | AuditError::Backup(_));
        let hint = error.code().and_then(hint);
        let error = anyhow::Error::new(error);
        let mut chain: Vec<String> = error.chain().map(|cause| self.uri.redact_text(&cause.to_string())).collect();
        let last = chain.pop().unwrap_or_default();
        let error = chain.into_iter().rev().fold(anyhow::anyhow!(last), anyhow::Error::context);
        let error = if usage { CliError::usage(error) } else { CliError::setup(error) };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Ends the connections. Left to the end of the process, the driver's own tasks may complain of each other's end.
    pub(super) async fn close(self) {
        crate::mongod::close(self.database.client().clone()).await;
    }
}

/// What to do about an answer of the server.
fn hint(code: i32) -> Option<&'static str> {
    match code {
        13 => Some("name a user with that role in the connection string, with `authSource` where its users are kept"),
        50 => Some("give the server more time with --max-time, or smaller batches with --batch-size"),
        14031 => Some("the server's disk is full: make room and run the same command again, it goes on where it was"),
        _ => None,
    }
}

/// A run in progress: its name and its start.
pub(super) struct Session {
    pub(super) run_id: String,
    started: Instant,
    date: String,
}

impl Session {
    /// Begins.
    pub(super) fn begin(out: &OutArgs) -> Result<Self, CliError> {
        if let Some(id) = &out.run_id {
            check_run_id(id)?;
            // Before anything is done, not when its report cannot be written.
            let folder = out.out.join(id);
            if folder.exists() {
                return Err(CliError::usage(anyhow::anyhow!("{} exists", folder.display()))
                    .hint("that run exists: give another --run-id"));
            }
        }
        Ok(Session {
            run_id: out.run_id.clone().unwrap_or_else(fresh_run_id),
            started: Instant::now(),
            date: jiff::Timestamp::now().to_string(),
        })
    }

    /// Writes the reports and shows the result.
    pub(super) fn conclude(
        &self,
        audited: &Audited,
        (name, reproduce): (String, String),
        (actions, left): (Option<Vec<RepairAction>>, Vec<String>),
        (out, format): (&OutArgs, Format),
        io: &mut Io,
    ) -> Result<ExitStatus, CliError> {
        let circumstances = Circumstances {
            run_id: self.run_id.clone(),
            name,
            reproduce,
            duration_s: self.started.elapsed().as_secs_f64(),
            generator: crate::stats::usage().map_err(CliError::setup)?,
            actions,
            left,
        };
        let report = Report { origin: Some(origin(self.date.clone())), ..report(audited, circumstances) };
        let store = Store::create(&out.out, &self.run_id);
        let directory = store.as_ref().ok().map(|store| store.directory.display().to_string());
        let written =
            store.and_then(|store| write_all(&store.directory, &report, None).map(drop).map_err(CliError::setup));
        let shown = show(&report, directory.as_deref(), format, io);
        Ok(with_unwritten(status(report.verdict), [written, shown], io))
    }
}
