//! A curl line → a [`Sample`]: what curl would send, and nothing of how it would send it.

use super::options::{Meaning, long_name, meaning};
use super::parts::{basic, body, encoded_query, follows_from, is_own_header, pairs, set_url};
use super::sample::{Body, ImportError, Sample};
use super::shell::words;

/// What the options have said so far.
#[derive(Default)]
struct Request {
    method: Option<String>,
    urls: Vec<String>,
    query: Vec<String>,
    headers: Vec<(String, String)>,
    data: Vec<String>,
    json: Option<String>,
    fields: Vec<(String, String)>,
    in_query: bool,
    head: bool,
}

/// The request of a curl line, as it stands in a terminal or as a browser copies it.
pub fn from_curl(line: &str) -> Result<Sample, ImportError> {
    let words = words(line)?;
    let mut words = words.into_iter().skip_while(|word| matches!(word.as_str(), "$" | "%" | "sudo" | "time"));
    let program = words.next().unwrap_or_default();
    if program.rsplit('/').next() != Some("curl") {
        let begins = if program.is_empty() { "it is empty".to_owned() } else { format!("it begins with `{program}`") };
        return Err(ImportError::new(format!("not a curl line: {begins}"))
            .hint("give the whole line as one argument: --curl 'curl -X POST http://localhost:3000/api/things -d …'"));
    }
    let mut request = Request::default();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        match word.strip_prefix('-').filter(|rest| !rest.is_empty() && !only_urls) {
            None => request.urls.push(word),
            Some("-") => only_urls = true,
            Some(rest) => option(&mut request, rest, &mut words)?,
        }
    }
    request.sample()
}

/// One word that begins with a dash: a long option, or letters that may be followed by a value.
fn option(request: &mut Request, rest: &str, words: &mut impl Iterator<Item = String>) -> Result<(), ImportError> {
    let missing = |name: &str| ImportError::new(format!("the value of curl's `{name}` is missing"));
    if let Some(long) = rest.strip_prefix('-') {
        let (name, own) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let meant = known(name, &format!("--{name}"))?;
        let value = match (meant.takes_value(), own) {
            (false, _) => String::new(),
            (true, Some(value)) => value,
            (true, None) => words.next().ok_or_else(|| missing(&format!("--{name}")))?,
        };
        return request.take(meant, &format!("--{name}"), value);
    }
    for (at, letter) in rest.char_indices() {
        let shown = format!("-{letter}");
        let meant = match long_name(letter) {
            Some(name) => known(name, &shown)?,
            None => return Err(unknown(&shown)),
        };
        if !meant.takes_value() {
            request.take(meant, &shown, String::new())?;
            continue;
        }
        let own = &rest[at + letter.len_utf8()..];
        let value = if own.is_empty() { words.next().ok_or_else(|| missing(&shown))? } else { own.to_owned() };
        return request.take(meant, &shown, value);
    }
    Ok(())
}

fn known(name: &str, shown: &str) -> Result<Meaning, ImportError> {
    // `--no-OPTION` turns one off that says nothing of the request.
    let positive = name.strip_prefix("no-").unwrap_or(name);
    let off = meaning(positive).filter(|meant| positive != name && *meant == Meaning::Ignored { value: false });
    meaning(name).or(off).ok_or_else(|| unknown(shown))
}

fn unknown(shown: &str) -> ImportError {
    ImportError::new(format!("curl's option `{shown}` is not known here, nor whether a value follows it"))
        .hint("leave it out of the line, if the request is the same without it")
}

fn reads_a_file(shown: &str, value: &str) -> ImportError {
    ImportError::new(format!("curl's `{shown} {value}` reads a file, and only the line itself is read"))
        .hint("put the content into the line, or take a scenario file: docs/your-service.md")
}

impl Request {
    fn take(&mut self, meant: Meaning, shown: &str, value: String) -> Result<(), ImportError> {
        match meant {
            Meaning::Method => self.method = Some(value.to_ascii_uppercase()),
            Meaning::Header => self.header(&value)?,
            Meaning::Data { files: true } if value.starts_with('@') => return Err(reads_a_file(shown, &value)),
            Meaning::Data { .. } => self.data.push(value),
            Meaning::Encoded => self.data.push(encoded_data(shown, &value)?),
            Meaning::Json if value.starts_with('@') => return Err(reads_a_file(shown, &value)),
            Meaning::Json => self.json.get_or_insert_default().push_str(&value),
            Meaning::Field { files } => self.fields.push(field(shown, &value, files)?),
            Meaning::User => self.headers.push(("authorization".to_owned(), basic(&pair(&value)))),
            Meaning::Bearer => self.headers.push(("authorization".to_owned(), format!("Bearer {value}"))),
            Meaning::Cookie if !value.contains('=') => return Err(reads_a_file(shown, &value)),
            Meaning::Cookie => self.cookie(value),
            Meaning::Url => self.urls.push(value),
            Meaning::Query => self.query.push(encoded_data(shown, &value)?),
            Meaning::Get => self.in_query = true,
            Meaning::Head => self.head = true,
            Meaning::Ignored { .. } => {}
            Meaning::Impossible(why) => {
                return Err(ImportError::new(format!("curl's `{shown}` cannot be taken over: {why}")));
            }
        }
        Ok(())
    }

    /// All cookies are sent in one header.
    fn cookie(&mut self, pairs: String) {
        match self.headers.iter_mut().find(|(name, _)| name == "cookie") {
            Some((_, cookies)) => cookies.push_str(&format!("; {pairs}")),
            None => self.headers.push(("cookie".to_owned(), pairs)),
        }
    }

    fn header(&mut self, text: &str) -> Result<(), ImportError> {
        match text.split_once(':') {
            // `Name:` takes away what curl would send by itself.
            Some((_, value)) if value.trim().is_empty() => Ok(()),
            Some((name, value)) => {
                self.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                Ok(())
            }
            // `Name;` sends an empty one.
            None if text.ends_with(';') => {
                self.headers.push((text.trim_end_matches(';').to_ascii_lowercase(), String::new()));
                Ok(())
            }
            None if text.starts_with('@') => Err(reads_a_file("-H", text)),
            None => Err(ImportError::new(format!("`{text}` is not a header")).hint("write `-H 'Name: value'`")),
        }
    }

    fn content_type(&self) -> Option<&str> {
        self.headers.iter().rfind(|(name, _)| name == "content-type").map(|(_, value)| value.as_str())
    }

    fn sample(mut self) -> Result<Sample, ImportError> {
        let mut sample = Sample::default();
        match self.urls.as_slice() {
            [url] => set_url(&mut sample, url)?,
            [] => {
                return Err(
                    ImportError::new("the curl line has no URL").hint("for example http://localhost:3000/api/things")
                );
            }
            [_, other, ..] => {
                return Err(ImportError::new(format!("the curl line has a second URL, `{other}`"))
                    .hint("give each request a `--curl` of its own; a body that is not quoted falls into words, too"));
            }
        }
        for part in &self.query {
            sample.query.extend(pairs(part));
        }
        if self.in_query {
            sample.query.extend(self.data.drain(..).flat_map(|data| pairs(&data)));
        }
        let kind = match (&self.json, self.content_type()) {
            // With a border of its own, whatever the line says.
            _ if !self.fields.is_empty() => "multipart/form-data".to_owned(),
            (_, Some(kind)) => kind.to_owned(),
            (Some(_), None) => "application/json".to_owned(),
            (None, None) => "application/x-www-form-urlencoded".to_owned(),
        };
        let sends = self.json.is_some() || !self.data.is_empty() || !self.fields.is_empty();
        sample.body = self.body(&kind)?;
        let usual = match (self.head, sends) {
            (true, _) => "HEAD",
            (false, true) => "POST",
            (false, false) => "GET",
        };
        sample.method = self.method.take().unwrap_or_else(|| usual.to_owned());
        let given = self.headers.drain(..).filter(|(name, _)| name != "content-type" && is_own_header(name));
        sample.headers.extend(given);
        // What follows from the body is written with it.
        if sends && !follows_from(&sample.body, &kind) {
            sample.headers.push(("content-type".to_owned(), kind));
        }
        Ok(sample)
    }

    fn body(&mut self, kind: &str) -> Result<Body, ImportError> {
        if !self.fields.is_empty() {
            return Ok(Body::Multipart(std::mem::take(&mut self.fields)));
        }
        match &self.json {
            Some(json) => body(Some("application/json"), json),
            None => body(Some(kind), &self.data.join("&")),
        }
    }
}

/// `name=text` or `text`, with the text encoded.
fn encoded_data(shown: &str, value: &str) -> Result<String, ImportError> {
    match value.split_once('=') {
        Some(("", text)) => Ok(encoded_query(text)),
        Some((name, text)) => Ok(format!("{name}={}", encoded_query(text))),
        None if value.contains('@') => Err(reads_a_file(shown, value)),
        None => Ok(encoded_query(value)),
    }
}

/// A field of a multipart form; what curl says of its type is left out.
fn field(shown: &str, value: &str, files: bool) -> Result<(String, String), ImportError> {
    let (name, text) = value.split_once('=').ok_or_else(|| {
        ImportError::new(format!("`{value}` is not a field of a form")).hint(format!("write `{shown} name=value`"))
    })?;
    if files && text.starts_with(['@', '<']) {
        return Err(reads_a_file(shown, value));
    }
    let text = if files { text.split(";type=").next().unwrap_or_default() } else { text };
    Ok((name.to_owned(), text.to_owned()))
}

/// A user without a password has an empty one.
fn pair(user: &str) -> String {
    if user.contains(':') { user.to_owned() } else { format!("{user}:") }
}

#[cfg(test)]
#[path = "curl_tests.rs"]
mod tests;
