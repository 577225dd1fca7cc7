//! What requests are made of: texts with secrets, templates, JSONPaths, bodies.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;

use super::super::diagnostic::Problem;
use super::super::file_json::Json;
use super::super::file_request::{Request, Texts};
use super::super::http::{BodySpec, RequestSpec};
use super::super::json_path::JsonPath;
use super::super::secret::SecretText;
use super::super::template::{JsonTemplate, Scope, Template};
use super::Check;

/// What HTTP knows to do.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// What stands for a secret that was written into the file itself.
const HIDDEN: &str = "***";

/// What a text is by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text to be shown, but for what came from the environment.
    Open,
    /// A credential.
    Credential,
}

/// Whether what has this name is a credential, which no output may show.
pub fn names_a_secret(name: &str) -> bool {
    kind_of(name) == Kind::Credential
}

/// Whether a field of this name holds a credential.
pub(super) fn kind_of(name: &str) -> Kind {
    /// As they stand within a name, without its case and marks.
    const WORDS: [&str; 16] = [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "token",
        "apikey",
        "accesskey",
        "privatekey",
        "authkey",
        "credential",
        "authorization",
        "signature",
        "cookie",
        "session",
        "csrf",
    ];
    /// Too short to be looked for within other names, as in `author`.
    const WHOLE: [&str; 4] = ["auth", "xauth", "jwt", "pin"];
    let plain: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let secret = WORDS.iter().any(|word| plain.contains(word)) || WHOLE.contains(&plain.as_str());
    if secret { Kind::Credential } else { Kind::Open }
}

/// Words before a credential, which are none.
const SCHEMES: [&str; 4] = ["bearer", "basic", "token", "digest"];

/// Whether the text has anything of its own beside variables and the name of a scheme.
fn has_literal(text: &str) -> bool {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("{{") {
        plain.push_str(before);
        rest = after.split_once("}}").map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    let plain = plain.trim().to_ascii_lowercase();
    !plain.is_empty() && !SCHEMES.contains(&plain.as_str())
}

/// Whether a value says by itself that it is a credential, whatever the name of the field.
fn is_credential(text: &str) -> bool {
    let scheme = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    scheme.is_some_and(|(_, rest)| !rest.trim().contains(' ') && has_literal(rest))
}

impl Check<'_> {
    /// A text with what of it no output may show.
    pub(super) fn text(&self, text: &Spanned<String>, kind: Kind) -> SecretText {
        let (value, span) = (text.get_ref(), text.span());
        let mut shown = value.clone();
        let mut secrets: Vec<Arc<str>> = Vec::new();
        for expansion in self.expansions.iter().filter(|expansion| expansion.span == span) {
            if !expansion.value.is_empty() {
                shown = shown.replace(&expansion.value, &format!("${{{}}}", expansion.name));
                secrets.push(Arc::from(expansion.value.as_str()));
            }
        }
        // A credential that is only variables of the run, as `{{ client.user }}`, hides nothing; nor does one that is
        // read back from the resolved scenario.
        let literal = secrets.is_empty() && !value.starts_with("${") && has_literal(value);
        if literal && (kind == Kind::Credential || is_credential(value)) {
            HIDDEN.clone_into(&mut shown);
            if value != HIDDEN {
                secrets.push(Arc::from(value.as_str()));
            }
        }
        SecretText::masked(value.as_str(), shown, secrets)
    }

    /// A template, compiled.
    pub(super) fn template(&mut self, text: &Spanned<String>, scope: Scope, kind: Kind) -> Option<Template> {
        let captured: Vec<String> = self.captured.iter().filter(|name| scope.takes(name)).cloned().collect();
        match Template::compile_with(self.text(text, kind), scope, &captured) {
            Ok(template) => Some(template),
            Err(mistake) => {
                let place = self.sources.inside(&text.span(), text.get_ref(), &mistake.part);
                match &mistake.variable {
                    Some(name) => {
                        let mut known: Vec<&str> = scope.variables().collect();
                        known.extend(captured.iter().map(String::as_str));
                        self.note(Problem::unknown(place, "variable", name, known))
                    }
                    None => self.note(
                        Problem::at(place, format!("not a template: {}", mistake.message))
                            .help("a variable is written `{{ name }}`, as in Jinja"),
                    ),
                }
            }
        }
    }

    /// A text that is taken as it is: a variable in it would stay unseen.
    pub(super) fn no_template(&mut self, text: &Spanned<String>) {
        if text.get_ref().contains("{{") || text.get_ref().contains("{%") {
            let problem = Problem::at(text.span(), "no variables are filled in here");
            self.problems.push(problem.help("write the value itself; `${NAME}` takes it from the environment"));
        }
    }

    /// A JSONPath, compiled.
    pub(super) fn json_path(&mut self, text: &Spanned<String>) -> Option<JsonPath> {
        if let Some(at) = text.get_ref().find("{{") {
            let place = self.sources.inside(&text.span(), text.get_ref(), &(at..text.get_ref().len()));
            return self.note(
                Problem::at(place, "variables are not filled in here: a JSONPath is the same for every answer").help(
                    "have the request ask for the key: `path = \"/items?key={{ key }}\"`, `documents = \"$[*]\"`",
                ),
            );
        }
        match JsonPath::compile(text.get_ref()) {
            Ok(path) => Some(path),
            Err((at, message)) => {
                let place = self.sources.inside(&text.span(), text.get_ref(), &(at..text.get_ref().len()));
                self.note(
                    Problem::at(place, format!("not a JSONPath: {message}"))
                        .help("write `$.chat._id`, `$.items[0].id`, `$[*]._id` (RFC 9535)"),
                )
            }
        }
    }

    /// Templates by name.
    pub(super) fn templates(
        &mut self,
        texts: &Texts,
        scope: Scope,
        kind: Option<Kind>,
    ) -> Option<BTreeMap<String, Template>> {
        let mut templates = BTreeMap::new();
        let mut whole = true;
        for (name, text) in texts {
            match self.template(text, scope, kind.unwrap_or_else(|| kind_of(name.get_ref()))) {
                Some(template) => {
                    templates.insert(name.get_ref().clone(), template);
                }
                None => whole = false,
            }
        }
        whole.then_some(templates)
    }

    /// Headers: their names must be names.
    pub(super) fn headers(
        &mut self,
        texts: &Texts,
        scope: Scope,
        kind: Option<Kind>,
    ) -> Option<BTreeMap<String, Template>> {
        for name in texts.keys() {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.get_ref().is_empty() || !name.get_ref().bytes().all(token) {
                return self.note(Problem::at(name.span(), format!("`{}` is no name of a header", name.get_ref())));
            }
            let given = ["host", "content-length", "transfer-encoding", "connection"];
            if given.iter().any(|given| name.get_ref().eq_ignore_ascii_case(given)) {
                return self.note(
                    Problem::at(name.span(), format!("the header `{}` is the harness's own", name.get_ref()))
                        .help("leave it out: it follows from the URL and the body"),
                );
            }
        }
        self.templates(texts, scope, kind)
    }

    /// A request; `table` is where it stands, `method` what it does if it does not say.
    pub(super) fn request(
        &mut self,
        request: Request,
        table: (&str, &std::ops::Range<usize>),
        scope: Scope,
        method: &str,
    ) -> Option<RequestSpec> {
        let (name, place) = table;
        let path = self.required(request.path, "path", name, Some(place));
        let path = path.and_then(|path| self.path(&path, scope));
        let method = match &request.method {
            Some(word) => self.word(word, "method", &METHODS.map(|method| (method, method))).map(str::to_owned),
            None => Some(method.to_owned()),
        };
        let headers = self.headers(&request.headers, scope, None);
        let bodies = [
            request.json.as_ref().map(Spanned::span),
            request.body.as_ref().map(Spanned::span),
            request.form.as_ref().map(Spanned::span),
        ];
        let mut bodies = bodies.into_iter().flatten();
        if let (Some(one), Some(other)) = (bodies.next(), bodies.next()) {
            return self.note(
                Problem::at(other, "a request has one body")
                    .related(one, "the other one")
                    .help("keep `json`, `body` or `form`"),
            );
        }
        let json = match request.json {
            Some(json) => self.json(json, scope, Kind::Open).map(Some),
            None => Some(None),
        };
        let body = match &request.body {
            Some(text) => self.template(text, scope, Kind::Open).map(Some),
            None => Some(None),
        };
        let form = match &request.form {
            Some(texts) => self.templates(texts.get_ref(), scope, None),
            None => Some(BTreeMap::new()),
        };
        let body = BodySpec { json: json?, body: body?, form: form? };
        Some(RequestSpec { method: method?, path: path?, headers: headers?, body })
    }

    /// A path on the service.
    pub(super) fn path(&mut self, text: &Spanned<String>, scope: Scope) -> Option<Template> {
        if !text.get_ref().starts_with('/') {
            return self.note(
                Problem::at(text.span(), "a path begins with `/`").help("the host and the port come from `base_urls`"),
            );
        }
        self.template(text, scope, Kind::Open)
    }

    fn json(&mut self, json: Spanned<Json>, scope: Scope, kind: Kind) -> Option<JsonTemplate> {
        let span = json.span();
        match json.into_inner() {
            Json::Plain(value) => Some(JsonTemplate::Plain(value)),
            Json::Text(text) => self.template(&Spanned::new(span, text), scope, kind).map(JsonTemplate::Text),
            Json::List(items) => {
                let items: Vec<Option<JsonTemplate>> =
                    items.into_iter().map(|item| self.json(item, scope, kind)).collect();
                items.into_iter().collect::<Option<_>>().map(JsonTemplate::List)
            }
            Json::Object(entries) => {
                let mut object = Vec::new();
                let mut whole = true;
                for (name, value) in entries {
                    let of_name = kind_of(name.get_ref());
                    let kind = if of_name == Kind::Credential { Kind::Credential } else { kind };
                    // A name is a template like a value.
                    let name = self.template(&name, scope, Kind::Open);
                    match name.zip(self.json(value, scope, kind)) {
                        Some(entry) => object.push(entry),
                        None => whole = false,
                    }
                }
                whole.then_some(JsonTemplate::Object(object))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_tell_a_credential() {
        for name in
            ["X-Api-Key", "x-access-key", "X-Auth", "Set-Cookie", "X-Session-Id", "clientSecret", "userPassword"]
        {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["author", "X-User", "pinned", "key", "passenger", "content-type"] {
            assert!(!names_a_secret(name), "{name}");
        }
        assert!(is_credential("Bearer abc"));
        assert!(!is_credential("Bearer {{ setup.token }}") && !is_credential("Bearer of good news"));
    }

    #[test]
    fn variables_and_schemes_hide_nothing() {
        for text in ["", "{{ client.user }}", "Bearer {{ setup.token }}", "{{ a }}{{ b }}", "{{ open"] {
            assert!(!has_literal(text), "{text}");
        }
        for text in ["abc", "{{ client.user }}:s3cret", "Bearer s3cret"] {
            assert!(has_literal(text), "{text}");
        }
    }
}
