//! `onlyone serve`: runs the reference service in the foreground, in this process or as several instances.

use std::ffi::OsString;

use anyhow::Context;

use super::args::{MONGO_ENV, PASSWORD_ENV, ServeArgs, TOKENS_ENV};
use super::interrupt::Interrupt;
use super::options::log;
use super::{CliError, Io};
use crate::scenario::MongodSpec;
use crate::service::{
    Fleet, FleetSpec, Listening, Planted, Secret, Service, ServiceError, Settings, Strategies, planted_route,
};
use crate::session::{MongoLocation, Server};
use crate::strategy::InjectedDelay;
use crate::target::Guard;
use crate::verdict::ExitStatus;

/// Runs until it is interrupted, or its server or an instance is lost.
pub(super) async fn serve(args: ServeArgs, io: &mut Io) -> Result<ExitStatus, CliError> {
    let settings = settings(&args)?;
    let interrupt = Interrupt::listen(|_| {})?;
    let spec = MongodSpec { replica_set: args.replica_set, test_commands: false };
    let (mongo, log) = (MongoLocation::of(&args.mongo), log(args.quiet));
    let server = tokio::select! {
        server = Server::start(&mongo, spec, &log) => server?,
        () = interrupt.stop.cancelled() => return Ok(ExitStatus::Holds),
    };
    let result = if args.instances == 1 {
        alone(&args, settings, &server, &interrupt, io).await
    } else {
        several(&args, &settings, &server, &interrupt, io).await
    };
    server.stop().await?;
    result.map(|()| ExitStatus::Holds)
}

fn settings(args: &ServeArgs) -> Result<Settings, CliError> {
    let mut strategies = Strategies::default();
    for choice in &args.strategy {
        strategies
            .choose(choice)
            .map_err(|error| CliError::usage(anyhow::Error::new(error).context("`--strategy` cannot be followed")))?;
    }
    Ok(Settings {
        database: args.database.clone(),
        strategies,
        unique_index: args.unique_index && !args.no_unique_index,
        pool: args.pool,
        delay: args.delay.unwrap_or_default(),
        password: args.password.clone().map(Secret::new),
        planted: planted(args)?,
        token_secret: args.tokens.clone().map_or_else(Secret::random, Secret::new),
    })
}

/// What is planted, if anything is.
fn planted(args: &ServeArgs) -> Result<Option<Planted>, CliError> {
    let Some(id) = &args.planted else { return Ok(None) };
    let unknown = || {
        CliError::usage(anyhow::anyhow!("no planted route is called `{id}`"))
            .hint("`onlyone selftest --faults --dry-run` lists them")
    };
    let mutant = planted_route(id).ok_or_else(unknown)?;
    Ok(Some(Planted { mutant, correct: args.planted_control }))
}

async fn alone(
    args: &ServeArgs,
    settings: Settings,
    server: &Server,
    interrupt: &Interrupt,
    io: &mut Io,
) -> Result<(), CliError> {
    let banner = banner(&settings, server);
    let service = Service::connect(&server.uri(), &guard(args), settings).await?;
    let listening = Listening::bind(service, args.port).await?;
    announce(args, &banner, [listening.url().as_str()], io)?;
    let stop = interrupt.stop.clone();
    let running = listening.run(async move { stop.cancelled().await });
    tokio::select! {
        ended = running => Ok(ended?),
        lost = lost(server) => Err(lost),
        () = interrupt.kill.cancelled() => Ok(()),
    }
}

async fn several(
    args: &ServeArgs,
    settings: &Settings,
    server: &Server,
    interrupt: &Interrupt,
    io: &mut Io,
) -> Result<(), CliError> {
    // Once before the instances, so that a mistake is reported by this process and once.
    drop(Service::connect(&server.uri(), &guard(args), Settings { pool: 1, ..settings.clone() }).await?);
    let program = std::env::current_exe().context("cannot find this program").map_err(CliError::setup)?;
    let mut env =
        vec![(MONGO_ENV, server.uri().expose().to_owned()), (TOKENS_ENV, settings.token_secret.expose().to_owned())];
    env.extend(settings.password.as_ref().map(|password| (PASSWORD_ENV, password.expose().to_owned())));
    let spec = FleetSpec {
        program: program.into_os_string(),
        args: instance_arguments(args),
        env: env.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        port: args.port,
        instances: args.instances,
    };
    let fleet = tokio::select! {
        fleet = Fleet::start(&spec) => fleet?,
        () = interrupt.stop.cancelled() => return Ok(()),
    };
    announce(args, &banner(settings, server), fleet.urls(), io)?;
    let result = tokio::select! {
        () = interrupt.stop.cancelled() => Ok(()),
        ended = fleet.ended() => Err(CliError::from(ended)),
        lost = lost(server) => Err(lost),
    };
    fleet.stop().await?;
    result
}

/// Only the embedded server is watched: a service outlives the absence of a server of others, and answers 500.
async fn lost(server: &Server) -> CliError {
    match server {
        Server::Embedded(_) => CliError::setup(anyhow::anyhow!(server.lost().await)),
        Server::Named(_) => std::future::pending().await,
    }
}

/// What an instance is told; secrets are told through its environment.
fn instance_arguments(args: &ServeArgs) -> Vec<OsString> {
    let mut words: Vec<String> = vec!["serve".into(), "--quiet".into(), "--database".into(), args.database.clone()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    flag("--pool", args.pool.to_string());
    flag("--unique-index", (args.unique_index && !args.no_unique_index).to_string());
    if let Some(id) = &args.planted {
        flag("--planted", id.clone());
    }
    for choice in &args.strategy {
        flag("--strategy", choice.clone());
    }
    if let Some(InjectedDelay { read, write }) = args.delay {
        flag("--delay", format!("read={}us,write={}us", read.as_micros(), write.as_micros()));
    }
    for host in &args.allow_target {
        flag("--allow-target", host.clone());
    }
    for name in &args.allow_database {
        flag("--allow-database", name.clone());
    }
    if args.planted_control {
        words.push("--planted-control".to_owned());
    }
    words.into_iter().map(OsString::from).collect()
}

fn guard(args: &ServeArgs) -> Guard {
    Guard { hosts: args.allow_target.clone(), databases: args.allow_database.clone() }
}

fn banner(settings: &Settings, server: &Server) -> String {
    let chosen: Vec<String> =
        settings.strategies.chosen().into_iter().map(|(workload, name)| format!("{workload}={name}")).collect();
    let index = if settings.unique_index { "with" } else { "without" };
    let data = match server {
        Server::Embedded(_) => "is gone when it ends",
        Server::Named(_) => "stays",
    };
    format!(
        "onlyone serve: a practice target, not a service to deploy; on loopback only, API in /openapi.json\n\
         strategies: {}, {index} unique indexes\n\
         data: database {} on {}; it {data}\n",
        chosen.join(", "),
        settings.database,
        server.uri(),
    )
}

fn announce<'a>(
    args: &ServeArgs,
    banner: &str,
    urls: impl IntoIterator<Item = &'a str>,
    io: &mut Io,
) -> Result<(), CliError> {
    if !args.quiet {
        io.note(banner);
    }
    let lines: String = urls.into_iter().map(|url| format!("{url}\n")).collect();
    io.result(&lines).context("cannot write to stdout").map_err(CliError::setup)
}

impl From<ServiceError> for CliError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Target(error) => CliError::from(error),
            ServiceError::UniqueIndex { .. } => CliError::setup(error).hint(
                "nothing that exists is dropped: name another database with --database, or drop the index yourself",
            ),
            ServiceError::Listen { .. } => {
                CliError::setup(error).hint("name another port with --port, or leave it out for any free one")
            }
            other => CliError::setup(other),
        }
    }
}
