//! Templates in a scenario: text with `{{ variables }}`, compiled once when the scenario is read. Main types:
//! [`Template`] and [`JsonTemplate`]. Which variables exist is the [`Scope`]'s business; their values are made by the target.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::secret::SecretText;
use super::workloads::WorkloadKind;

/// Name of the one template of an environment.
const NAME: &str = "value";

/// Where a template is used: which variables it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The command and the environment of the service under test.
    Service,
    /// A request: of an operation, a log-in, or an observation.
    Request(WorkloadKind),
    /// A request of the set-up, before anything else.
    Setup,
    /// A custom invariant.
    Run,
    /// How an answer names a document.
    Identifier,
}

impl Scope {
    /// Every variable that may be named.
    pub fn variables(self) -> impl Iterator<Item = &'static str> {
        let common: &[&str] = match self {
            Scope::Service => &[
                "mongo.uri",
                "mongo.database",
                "service.host",
                "service.port",
                "service.instance",
                "run.id",
                "onlyone",
            ],
            Scope::Run => &["run.id", "mongo.database"],
            Scope::Identifier => &["id"],
            Scope::Setup => &["run.id", "client.id", "client.user"],
            Scope::Request(_) => &["run.id", "op.id", "op.name", "client.id", "client.user", "key"],
        };
        let own = if let Scope::Request(workload) = self { workload.variables() } else { &[] };
        common.iter().chain(own).copied()
    }
}

impl Scope {
    /// Whether what was captured under this name, `setup.token`, can be named here.
    pub fn takes(self, captured: &str) -> bool {
        let group = captured.split('.').next().unwrap_or_default();
        match self {
            Scope::Service => group == "services",
            Scope::Run | Scope::Setup => group == "setup",
            Scope::Identifier => false,
            Scope::Request(_) => group != "services",
        }
    }

    /// Some value for every variable.
    fn sample(self, further: &[String]) -> Value {
        let mut groups: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        let mut variables: BTreeMap<&str, Value> = BTreeMap::new();
        let mut names: Vec<&str> = self.variables().collect();
        names.extend(further.iter().map(String::as_str));
        for name in names {
            match name.split_once('.') {
                Some((group, field)) => {
                    let number = matches!(
                        (group, field),
                        ("op" | "client", "id") | (_, "port" | "instance" | "n" | "sender" | "number")
                    );
                    let value = if number { Value::from(1) } else { Value::from("x") };
                    groups.entry(group).or_default().insert(field, value);
                }
                None => {
                    variables.insert(name, Value::from("x"));
                }
            }
        }
        variables.extend(groups.into_iter().map(|(group, fields)| (group, Value::from_pairs(fields))));
        Value::from_pairs(variables)
    }
}

/// Text with variables. It compares and shows as it was written, without what came from the environment.
#[derive(Clone)]
pub struct Template {
    text: SecretText,
    compiled: Option<Arc<Environment<'static>>>,
    /// The variable, where the text is nothing but one.
    variable: Option<Arc<str>>,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateMistake {
    /// Which part of the text.
    pub part: Range<usize>,
    /// What is wrong with it.
    pub message: String,
    /// The variable that does not exist, if that is it.
    pub variable: Option<String>,
}

/// A template could not be filled in. It quotes no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template `{template}` cannot be filled in: {reason}")]
pub struct RenderError {
    template: String,
    reason: String,
}

impl Template {
    /// Compiles a text and checks that every variable exists.
    pub fn compile(text: SecretText, scope: Scope) -> Result<Self, TemplateMistake> {
        Self::compile_with(text, scope, &[])
    }

    /// Compiles a text where further variables exist, such as what earlier requests captured.
    pub fn compile_with(text: SecretText, scope: Scope, further: &[String]) -> Result<Self, TemplateMistake> {
        let source = text.expose();
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            return Ok(Template { text, compiled: None, variable: None });
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        super::filters::add(&mut environment);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let whole = 0..source.len();
        let mistake = |error: minijinja::Error| TemplateMistake {
            part: error.range().filter(|range| range.end <= source.len()).unwrap_or_else(|| whole.clone()),
            message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            variable: None,
        };
        environment.add_template_owned(NAME, source.to_owned()).map_err(mistake)?;
        let compiled = environment.get_template(NAME).map_err(mistake)?;
        let mut named: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        named.sort();
        for name in named {
            let known: Vec<&str> = scope.variables().collect();
            if !known.contains(&name.as_str()) && !further.contains(&name) {
                let part = source.find(&name).map_or(whole, |start| start..start + name.len());
                return Err(TemplateMistake {
                    part,
                    message: format!("unknown variable `{name}`"),
                    variable: Some(name),
                });
            }
        }
        if let Err(error) = compiled.render(scope.sample(further)) {
            use minijinja::ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
            // Any other error may be the sample's, not the template's.
            if matches!(error.kind(), UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest) {
                return Err(mistake(error));
            }
        }
        let inner = source.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
        let path = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        let variable = inner.filter(path).map(Arc::from);
        Ok(Template { text, compiled: Some(Arc::new(environment)), variable })
    }

    /// The text with these variables filled in.
    pub fn render(&self, variables: &Value) -> Result<String, RenderError> {
        let Some(compiled) = &self.compiled else { return Ok(self.text.expose().to_owned()) };
        let template = compiled.get_template(NAME).map_err(|error| self.error(&error))?;
        template.render(variables).map_err(|error| self.error(&error))
    }

    /// The text with these variables filled in, as JSON: one that is nothing but a variable keeps the variable's type.
    pub fn render_json(&self, variables: &Value) -> Result<serde_json::Value, RenderError> {
        if let Some(path) = &self.variable {
            let mut value = variables.clone();
            for name in path.split('.') {
                value = value.get_attr(name).map_err(|error| self.error(&error))?;
            }
            return serde_json::to_value(&value)
                .map_err(|error| RenderError { template: self.to_string(), reason: error.to_string() });
        }
        self.render(variables).map(serde_json::Value::String)
    }

    /// The text as it was written.
    pub fn text(&self) -> &SecretText {
        &self.text
    }

    /// Whether it names a variable that begins with this word.
    pub fn names(&self, word: &str) -> bool {
        self.compiled.as_ref().and_then(|compiled| compiled.get_template(NAME).ok()).is_some_and(|template| {
            template.undeclared_variables(true).iter().any(|name| name == word || name.starts_with(&format!("{word}.")))
        })
    }

    fn error(&self, error: &minijinja::Error) -> RenderError {
        RenderError { template: self.to_string(), reason: error.kind().to_string() }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

/// JSON whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// A number or a truth value.
    Plain(serde_json::Value),
    /// A text.
    Text(Template),
    /// A list.
    List(Vec<JsonTemplate>),
    /// An object, in the order of its keys.
    Object(Vec<(Template, JsonTemplate)>),
}

impl JsonTemplate {
    /// The JSON with these variables filled in.
    pub fn render(&self, variables: &Value) -> Result<serde_json::Value, RenderError> {
        Ok(match self {
            JsonTemplate::Plain(value) => value.clone(),
            JsonTemplate::Text(template) => template.render_json(variables)?,
            JsonTemplate::List(items) => {
                serde_json::Value::Array(items.iter().map(|item| item.render(variables)).collect::<Result<_, _>>()?)
            }
            JsonTemplate::Object(entries) => {
                let entry =
                    |(name, value): &(Template, JsonTemplate)| Ok((name.render(variables)?, value.render(variables)?));
                serde_json::Value::Object(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
        })
    }

    /// Every template in it.
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            JsonTemplate::Plain(_) => Vec::new(),
            JsonTemplate::Text(template) => vec![template],
            JsonTemplate::List(items) => items.iter().flat_map(JsonTemplate::templates).collect(),
            JsonTemplate::Object(entries) => {
                entries.iter().flat_map(|(name, value)| std::iter::once(name).chain(value.templates())).collect()
            }
        }
    }
}

impl Serialize for JsonTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            JsonTemplate::Plain(value) => value.serialize(serializer),
            JsonTemplate::Text(template) => template.serialize(serializer),
            JsonTemplate::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            JsonTemplate::Object(entries) => {
                let mut object = serializer.serialize_map(Some(entries.len()))?;
                for (name, value) in entries {
                    object.serialize_entry(name, value)?;
                }
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn compiled(text: &str) -> Result<Template, TemplateMistake> {
        Template::compile(SecretText::plain(text), Scope::Request(WorkloadKind::CreateOrGet))
    }

    #[test]
    fn variables_are_filled_in_and_a_lone_one_keeps_its_type() {
        let variables = context! { op => context! { id => 7 }, pair => context! { a => "x", b => "y" } };
        let cases = [
            ("/plain", serde_json::json!("/plain")),
            ("/{{ pair.a }}/{{ pair.b }}?o={{ op.id }}", serde_json::json!("/x/y?o=7")),
            ("{{ op.id }}", serde_json::json!(7)),
            ("{{op.id}} ", serde_json::json!("7 ")),
            ("{{ op.id + 1 }}", serde_json::json!("8")),
            ("{{ pair.a|upper }}", serde_json::json!("X")),
            ("<{{ pair.a }}>", serde_json::json!("<x>")),
        ];
        for (text, expected) in cases {
            assert_eq!(compiled(text).unwrap().render_json(&variables), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_found_before_the_run_at_their_place() {
        let cases = [
            ("a {{ pair.c }}", "pair.c"),
            ("{{ pear.a }}", "pear.a"),
            ("{% if op.id %}{{ pair.x }}{% endif %}", "pair.x"),
            ("{{ mongo.uri }}", "mongo.uri"),
            ("{{ pair.a.b }}", "pair.a.b"),
            ("{{ pair.a | uper }}", "uper"),
            ("{{ pair.a", "{{ pair.a"),
        ];
        for (text, part) in cases {
            let mistake = compiled(text).unwrap_err();
            let found = &text[mistake.part.clone()];
            assert!(found.contains(part) || part.contains(found), "{text}: {mistake:?}");
        }
    }
}
