//! What a request is found to be. Main types: [`Finding`], and [`Subject`], which the requests are sent to.

use futures::future::BoxFuture;
use serde_json::Value as Json;

use super::documents::{State, json_path, leaves, path_of, plain};
use super::elements::Added;
use super::fresh::Fresh;
use super::made::Made;
use crate::import::Sample;
use crate::scenario::Capture;

/// Headers that say who asks, where nobody logs in.
const CALLERS: [&str; 6] = ["x-user", "x-user-id", "x-userid", "x-username", "user-id", "x-client-id"];

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, where it is JSON.
    pub json: Option<Json>,
    /// Cookies that were set, as `name=value`.
    pub cookies: Vec<String>,
    /// The parts of the path in its header `location`.
    pub location: Vec<String>,
}

/// Letters of a value that stands in few places by chance.
pub(super) const TELLING: usize = 6;
/// Characters of a body that are quoted.
const LONGEST: usize = 200;

impl Reply {
    /// Where it has this value, as a scenario captures it.
    pub(super) fn capture_of(&self, value: &str) -> Option<String> {
        let in_body = self.json.as_ref().and_then(|json| path_of(json, value));
        let part = || self.location.iter().position(|part| part == value);
        in_body.or_else(|| part().map(|at| Capture::Part(at + 1).to_string()))
    }

    /// Its fields that hold a value which names something, and where they are.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let all = self.json.as_ref().map(leaves).unwrap_or_default();
        let field = |(path, leaf): &(Vec<String>, &Json)| {
            let is_telling = plain(leaf).is_some_and(|value| value.len() >= TELLING);
            let name = path.iter().rev().find(|name| !name.bytes().all(|byte| byte.is_ascii_digit()))?;
            is_telling.then(|| (name.clone(), json_path(path)))
        };
        all.iter().filter_map(field).collect()
    }

    /// The value that is captured there.
    pub(super) fn captured(&self, capture: &str) -> Option<String> {
        match Capture::part(capture) {
            Some(part) => self.location.get(part - 1).cloned(),
            None => {
                let leaves = leaves(self.json.as_ref()?);
                leaves.into_iter().find(|(at, _)| json_path(at) == capture).and_then(|(_, leaf)| plain(leaf))
            }
        }
    }

    /// What a request was answered, for people.
    pub fn in_words(&self) -> String {
        let is_empty = |json: &&Json| match json {
            Json::Null => true,
            Json::Object(fields) => fields.is_empty(),
            Json::Array(items) => items.is_empty(),
            _ => false,
        };
        let body = self.json.as_ref().filter(|json| !is_empty(json)).map(Json::to_string).unwrap_or_default();
        let quoted = match body.char_indices().nth(LONGEST) {
            Some((end, _)) => format!(": {}…", &body[..end]),
            None if body.is_empty() => body,
            None => format!(": {body}"),
        };
        format!("it was answered with HTTP {}{quoted}", self.status)
    }
}

/// A service, and its database.
pub trait Subject: Sync {
    /// Sends a request; an error where no answer came.
    fn send<'a>(&'a self, sample: &'a Sample) -> BoxFuture<'a, Result<Reply, String>>;

    /// All documents; none at all where the database is out of reach.
    fn state(&self) -> BoxFuture<'_, Result<State, String>>;
}

/// What a request is, by its effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It creates, or gives back what is there.
    CreateOrGet,
    /// It creates, and is refused when it is there already, by this status.
    Unique(u16),
    /// It creates, and changes what is there already.
    Upsert,
    /// It creates something each time.
    Insert,
    /// It changes what is there.
    Change,
    /// It changes nothing.
    Nothing,
    /// It is refused on what was just made, by this status: another request comes in between.
    NotYet(u16),
    /// It was not answered well; why.
    Failed(String),
}

impl Kind {
    /// Whether something new comes of it.
    pub(super) fn makes(&self) -> bool {
        matches!(self, Kind::CreateOrGet | Kind::Unique(_) | Kind::Upsert | Kind::Insert)
    }

    /// For people.
    pub fn in_words(&self) -> String {
        match self {
            Kind::CreateOrGet => "creates, or gives back what is there".to_owned(),
            Kind::Unique(status) => format!("creates, and is refused with {status} when it is there already"),
            Kind::Upsert => "creates, and changes what is there already".to_owned(),
            Kind::Insert => "creates something each time".to_owned(),
            Kind::Change => "changes what is there".to_owned(),
            Kind::Nothing => "changes nothing that can be seen".to_owned(),
            Kind::NotYet(status) => format!("is refused with {status} until another request was served"),
            Kind::Failed(why) => why.clone(),
        }
    }
}

/// A request that comes first, once per key, whichever operation of the key is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// The request; its fresh values are among those of the request that it comes before.
    pub sample: Sample,
    /// A literal of the later request, and where the answer has what takes its place.
    pub capture: Option<(String, String)>,
    /// Which of the scenario's captured identifiers it is, from 0; 0 while it is tried.
    pub number: usize,
    /// An operation before has it already: it is sent once per key.
    pub stands_before: bool,
}

impl Prior {
    /// A request, with what is captured of its answer.
    pub fn new(sample: Sample, capture: Option<(String, String)>) -> Self {
        Prior { sample, capture, number: 0, stands_before: false }
    }

    /// Whether the answer to it has what takes the place of this literal.
    pub(super) fn captures(&self, literal: &str) -> bool {
        self.capture.as_ref().is_some_and(|(captured, _)| captured == literal)
    }

    /// The name of what is captured.
    pub(super) fn name(&self) -> String {
        if self.number == 0 { "id".to_owned() } else { format!("id_{}", self.number + 1) }
    }

    /// What was captured, in a scenario.
    pub(super) fn template(&self) -> String {
        format!("{{{{ before.{} }}}}", self.name())
    }

    /// Whether a template is of something that was captured.
    pub(super) fn is_captured(template: &str) -> bool {
        template.starts_with("{{ before.")
    }
}

/// What was found out about a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The request.
    pub sample: Sample,
    /// What it is.
    pub kind: Kind,
    /// Values that must be other ones each time.
    pub fresh: Vec<Fresh>,
    /// What other requests must have made before, the first of them first: what the last one makes may itself be made of something.
    pub before: Vec<Prior>,
    /// The two people of a pair: the caller, and the value that names the other one.
    pub pair: bool,
    /// Each caller has documents of their own.
    pub per_caller: bool,
    /// The header that says who asks.
    pub caller: Option<String>,
    /// The document that came into being, or to whose list something is added.
    pub made: Option<Made>,
    /// A second document came into being when the first one had taken some.
    pub begins_another: bool,
    /// What each request adds to a list of it.
    pub added: Option<Added>,
    /// What it adds to a list of it if that is not there yet: two requests that say the same never show whether both are kept.
    pub varied: Option<Added>,
    /// Where the answer has the document's identifier.
    pub id: Option<String>,
    /// Where the answer has the identifier of anything that it made, be it another document than that of its values, and be it
    /// but in its header `location`.
    pub names: Option<String>,
    /// Fields of the answer, and where they are.
    pub fields: Vec<(String, String)>,
    /// Where the answer says that the request was refused, whatever its status is.
    pub refused: Option<String>,
    /// Where the answer says that it was created, or that it was there.
    pub flag: Option<(&'static str, String)>,
    /// Statuses of a first request and of its repetition.
    pub statuses: Vec<u16>,
    /// No value was found that can be fresh, and this one was refused for its form, by this status.
    pub invalid: Option<(String, u16)>,
}

impl Finding {
    /// Whether it found nothing to work on, which the other request makes: both name the same thing.
    pub fn may_need(&self, other: &Finding) -> bool {
        let found_nothing = matches!(self.statuses.first(), Some(404 | 409 | 410 | 412 | 422));
        let is_named_by = |fresh: &Fresh| other.fresh.iter().any(|theirs| theirs.literal == fresh.literal);
        matches!(self.kind, Kind::Failed(_))
            && found_nothing
            && other.kind.makes()
            && self.fresh.iter().any(is_named_by)
    }

    /// A request that was not tried.
    pub fn untried(sample: Sample) -> Self {
        Finding {
            caller: caller_of(&sample),
            sample,
            kind: Kind::Nothing,
            fresh: Vec::new(),
            before: Vec::new(),
            pair: false,
            per_caller: false,
            made: None,
            begins_another: false,
            added: None,
            varied: None,
            id: None,
            names: None,
            fields: Vec::new(),
            refused: None,
            flag: None,
            statuses: Vec::new(),
            invalid: None,
        }
    }
}

/// The header that says who asks.
pub(super) fn caller_of(sample: &Sample) -> Option<String> {
    sample.headers.iter().map(|(name, _)| name).find(|name| is_caller(name)).cloned()
}

/// Whether a header says who asks.
pub(super) fn is_caller(name: &str) -> bool {
    CALLERS.contains(&name)
}
