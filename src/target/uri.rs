//! A MongoDB connection string that never shows its secrets.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

/// A connection string. `Display` and `Debug` show hosts and database only.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoUri(String);

impl MongoUri {
    /// Holds a connection string.
    pub fn new(uri: impl Into<String>) -> Self {
        MongoUri(uri.into())
    }

    /// Whether a text looks like a connection string.
    pub fn is_one(text: &str) -> bool {
        ["mongodb://", "mongodb+srv://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// The string with its secrets, for the driver and for a service under test; never for an output.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// An error about this connection, as text without the string's secrets: drivers quote what they could not parse.
    /// Also without the parts of the driver's text that say nothing.
    pub fn redact(&self, error: mongodb::error::Error) -> Box<dyn std::error::Error + Send + Sync> {
        let mut text = error.kind.to_string().replace(", source: None", "").replace(", server response: None", "");
        while let Some(start) = text.find(", labels: {") {
            let length = text[start..].find('}').map_or(text.len() - start, |end| end + 1);
            text.replace_range(start..start + length, "");
        }
        self.redact_text(&text).into()
    }

    /// Text in which the string and its secret parts are blanked.
    pub fn redact_text(&self, text: &str) -> String {
        let mut text = text.replace(&self.0, &self.to_string());
        for secret in self.secrets() {
            text = text.replace(&secret, "***");
        }
        text
    }

    /// Everything before the host, and all options but harmless ones: as written, and each part on its own.
    fn secrets(&self) -> Vec<String> {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut secrets = Vec::new();
        if let Some((user_info, _)) = before_query.rsplit_once('@') {
            secrets.push(user_info.to_owned());
            if let Some((_, password)) = user_info.split_once(':') {
                secrets.push(password.to_owned());
                secrets.extend(percent_decoded(password));
            }
        }
        for option in query.split('&') {
            if let Some((name, value)) = option.split_once('=')
                && is_secret_option(name)
            {
                secrets.push(value.to_owned());
                secrets.extend(percent_decoded(value));
            }
        }
        // A very short secret would blank half of every message; the parser never quotes values on their own.
        secrets.retain(|secret| secret.len() >= 3);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// A connection string of the server, with this database as the default one, secrets included: for a service under test. Credentials
    /// stay those of the database that held them.
    pub fn with_database(&self, database: &str) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("mongodb", &self.0));
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may hold a slash where the driver lets it pass: the hosts begin after the last `@`.
        let hosts_at = before.rfind('@').map_or(0, |at| at + 1);
        let slash = before[hosts_at..].find('/').map(|at| hosts_at + at);
        let (authority, own) = match slash {
            Some(at) => (&before[..at], &before[at + 1..]),
            None => (before, ""),
        };
        let mut options: Vec<String> = query.split('&').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let source_given = options.iter().any(|option| option.to_ascii_lowercase().starts_with("authsource="));
        if hosts_at > 0 && !source_given {
            options.push(format!("authSource={}", if own.is_empty() { "admin" } else { own }));
        }
        let options = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
        format!("{scheme}://{authority}/{database}{options}")
    }

    /// Hosts with ports, as written.
    pub fn hosts(&self) -> Vec<String> {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let authority = rest.split(['?']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let authority = authority.split('/').next().unwrap_or_default();
        authority.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect()
    }
}

fn is_secret_option(name: &str) -> bool {
    ["authMechanismProperties", "tlsCertificateKeyFilePassword", "proxyPassword", "proxyUsername", "password"]
        .iter()
        .any(|secret| secret.eq_ignore_ascii_case(name))
}

/// The decoded form, if it differs.
fn percent_decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned).filter(|decoded| decoded != text)
}

impl fmt::Display for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split_once("://").map_or("mongodb", |(scheme, _)| scheme);
        let scheme = if scheme == "mongodb+srv" { scheme } else { "mongodb" };
        write!(f, "{scheme}://{}", self.hosts().join(","))
    }
}

impl fmt::Debug for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MongoUri({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_shown() {
        let cases = [
            ("mongodb://127.0.0.1:27017", "mongodb://127.0.0.1:27017"),
            ("mongodb://u:p@ss/w0rd@h1:1,h2:2/db?x=y", "mongodb://h1:1,h2:2"),
            ("mongodb+srv://u:secret@cluster.example.net/", "mongodb+srv://cluster.example.net"),
            ("not a uri", "mongodb://not a uri"),
            ("u:secret@host", "mongodb://host"),
        ];
        for (uri, shown) in cases {
            assert_eq!(MongoUri::new(uri).to_string(), shown);
            assert!(!format!("{:?}", MongoUri::new(uri)).contains("secret"));
        }
    }

    #[test]
    fn a_service_is_given_the_runs_database() {
        let cases = [
            ("mongodb://127.0.0.1:1", "mongodb://127.0.0.1:1/db"),
            ("mongodb://127.0.0.1:1/?replicaSet=r", "mongodb://127.0.0.1:1/db?replicaSet=r"),
            ("mongodb://u:p@h:1,i:2/", "mongodb://u:p@h:1,i:2/db?authSource=admin"),
            ("mongodb://u:p@h/own?w=1", "mongodb://u:p@h/db?w=1&authSource=own"),
            ("mongodb+srv://u:p@h/?authSource=x", "mongodb+srv://u:p@h/db?authSource=x"),
        ];
        for (uri, expected) in cases {
            assert_eq!(MongoUri::new(uri).with_database("db"), expected);
        }
    }

    #[test]
    fn secrets_are_blanked_in_any_text() {
        let uri = MongoUri::new("mongodb://ann:p%40ssw0rd@h:1/?authMechanismProperties=AWS_SESSION_TOKEN:tok123");
        let text = "bad mongodb://ann:p%40ssw0rd@h:1/?authMechanismProperties=AWS_SESSION_TOKEN:tok123, p@ssw0rd p%40ssw0rd tok123x";
        let blanked = uri.redact_text(text);
        for secret in ["p%40ssw0rd", "p@ssw0rd", "AWS_SESSION_TOKEN:tok123"] {
            assert!(!blanked.contains(secret), "{blanked}");
        }
    }
}
