//! What can be typed of requests without a scenario.

use std::path::PathBuf;

use clap::Args;

use crate::cli::CliError;
use crate::cli::args::MONGO_ENV;
use crate::import::Sample;
use crate::init::Pinned;

/// Requests, and the service that they go to.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "requests_of", multiple = true, args = ["curl", "har", "openapi", "postman"])]
pub struct Sources {
    /// A request as a curl line; the host in it is only a name, where a command starts the service. Repeatable
    #[arg(long, value_name = "LINE")]
    pub curl: Vec<String>,
    /// Requests that a browser recorded, a HAR file
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
    /// Requests of an OpenAPI document, JSON or YAML; also its URL on this machine
    #[arg(long, value_name = "FILE|URL")]
    pub openapi: Option<String>,
    /// Requests of a Postman collection
    #[arg(long, value_name = "FILE")]
    pub postman: Option<PathBuf>,
    /// Variable by which the service is told its database's address, besides the usual ones. Repeatable
    #[arg(long, value_name = "NAME", requires = "requests_of")]
    pub env: Vec<String>,
    /// A value that must be another one each time, as in `email=$.email` (`?name` of the query, `:2` of the path,
    /// `header:NAME`); found by trying when not given. Repeatable
    #[arg(long, value_name = "NAME=PATH", requires = "requests_of")]
    pub fresh: Vec<String>,
    /// The command that starts the service
    #[arg(last = true, value_name = "COMMAND", requires = "requests_of")]
    pub command: Vec<String>,
}

/// Where a value may be.
const PLACES: &str = "`$.email` is a field of the body, `?page` one of the query, `:2` the second part of the path, `header:x-event-id` a header";

impl Sources {
    /// Values that the user says must be fresh; each must be in one of the requests.
    pub(super) fn pins(&self, samples: &[Sample]) -> Result<Vec<Pinned>, CliError> {
        let pin = |text: &String| match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && Pinned::is_place(path) => {
                Ok(Pinned { name: name.to_owned(), path: path.to_owned() })
            }
            _ => Err(CliError::usage(anyhow::anyhow!("`--fresh {text}` does not say where the value is"))
                .hint(format!("write NAME=PATH, as in email='$.email': {PLACES}"))),
        };
        let pins = self.fresh.iter().map(pin).collect::<Result<Vec<_>, CliError>>()?;
        match pins.iter().find(|pin| !samples.iter().any(|sample| pin.fits(sample))) {
            Some(Pinned { name, path }) => {
                Err(CliError::usage(anyhow::anyhow!("`--fresh {name}={path}` names a value that no request has"))
                    .hint(PLACES))
            }
            None => Ok(pins),
        }
    }
}

/// `onlyone init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The requests, and the service
    #[command(flatten)]
    pub sources: Sources,
    /// Take this request, as in `POST /api/chats`; by default the likeliest to have a race
    #[arg(long, value_name = "ROUTE")]
    pub route: Option<String>,
    /// File to write; stdout when not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long)]
    pub force: bool,
    /// MongoDB of the service; `embedded` starts a private one
    #[arg(long, value_name = "URI", env = MONGO_ENV, default_value = "embedded", hide_env_values = true)]
    pub mongo: String,
    /// Nothing on stderr but errors
    #[arg(long)]
    pub quiet: bool,
    /// Allow requests to this host, which is not this machine
    #[arg(long, value_name = "HOST")]
    pub allow_target: Vec<String>,
}
