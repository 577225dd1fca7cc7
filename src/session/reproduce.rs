//! The command that runs a scenario again, as a shell takes it.

use super::Options;
use crate::scenario::{self, Scenario};
use crate::shard::Shard;
use crate::target::MongoUri;

/// The command that runs it again; of a shard, with the place where it met the others, if one was named. Connection strings stay
/// in the environment: they may hold a password.
pub(crate) fn reproduce(
    scenario: &Scenario,
    options: &Options,
    seed: u64,
    shard: Option<(Shard, Option<&str>)>,
) -> String {
    let mut words = variables(scenario);
    words.extend(["onlyone run".to_owned(), quoted(&scenario.file.display().to_string())]);
    words.extend(options.overrides.iter().map(|set| set_words(set)));
    words.push(format!("--seed {seed}"));
    if !options.mongo.is_embedded() {
        words.push("--mongo \"$ONLYONE_MONGO_URI\"".to_owned());
    }
    words.extend(options.guard.hosts.iter().map(|host| format!("--allow-target {}", quoted(host))));
    words.extend(options.guard.databases.iter().map(|name| format!("--allow-database {}", quoted(name))));
    // Last, so that a merged run can leave it out.
    if let Some((shard, place)) = shard {
        words.push(format!("--shard {shard}"));
        words.extend(place.map(|place| match MongoUri::is_one(place) {
            true => "--rendezvous \"$ONLYONE_RUN_RENDEZVOUS\"".to_owned(),
            false => format!("--rendezvous {}", quoted(place)),
        }));
    }
    words.join(" ")
}

/// An override as it was given, but for what may be a secret: a password of a connection string is in no report.
pub(crate) fn set_words(set: &str) -> String {
    let secret = set.split_once('=').filter(|(key, value)| {
        let named = key.rsplit('.').next().is_some_and(|name| scenario::names_a_secret(name.trim()));
        named || (value.contains("://") && value.contains('@'))
    });
    let shown = secret.map_or_else(|| set.to_owned(), |(key, _)| format!("{key}=***"));
    format!("--set {}", quoted(&shown))
}

/// The variables that chose the variant; what may be a secret stays in the environment.
pub(crate) fn variables(scenario: &Scenario) -> Vec<String> {
    let set = |variable: &scenario::Variable| match &variable.shown {
        Some(value) => format!("{}={}", variable.name, quoted(value)),
        None => format!("{0}=\"${0}\"", variable.name),
    };
    scenario.variables.iter().map(set).collect()
}

/// A word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_shown_unless_it_may_hold_a_password() {
        for (set, shown) in [
            ("load.burst.clients=8", "--set load.burst.clients=8"),
            ("observe.mongo.uri=mongodb://h/", "--set observe.mongo.uri=mongodb://h/"),
            ("observe.mongo.uri=mongodb://u:hunter2@h/", "--set 'observe.mongo.uri=***'"),
            ("service.env.PASSWORD=hunter2", "--set 'service.env.PASSWORD=***'"),
        ] {
            assert_eq!(set_words(set), shown);
        }
    }
}
