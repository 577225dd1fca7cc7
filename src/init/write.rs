//! What was found out, as a scenario file with comments. Main function: [`scenario_text`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::auth::log_in;
use super::elements::Added;
use super::finding::{Finding, Kind};
use super::fresh::Fresh;
use super::login::Login;
use super::made::Made;
use super::probe::LED_ON;
use super::request::{Values, key, literal, quoted, request, template};
use crate::import::Sample;

/// Where the service comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The harness starts it.
    Command {
        /// Program and arguments.
        command: Vec<String>,
        /// Its folder.
        dir: String,
        /// Variables that are set to the database's address.
        variables: Vec<String>,
        /// It uses what a standalone server has not: transactions or change streams.
        replica_set: bool,
    },
    /// It runs already.
    Running {
        /// Its base URL.
        url: String,
        /// The database that it keeps its data in, where that is known to be reachable: an environment variable's name.
        database: Option<String>,
    },
}

/// What to write down.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Name of the scenario.
    pub name: String,
    /// Where the service comes from.
    pub origin: Origin,
    /// The log-in.
    pub login: Option<Login>,
    /// The requests. One that creates or gets is a workload of its own, unless `custom`.
    pub findings: Vec<Finding>,
    /// Operations of one's own, whatever they are.
    pub custom: bool,
    /// Requests that are not in it, and why, for people.
    pub left_out: Vec<String>,
}

impl Plan {
    /// Whether it is a request by which users come to be, as somebody is whom others log in as.
    fn signs_up(&self, finding: &Finding) -> bool {
        let is_user = |fresh: &Fresh| self.login.as_ref().is_some_and(|login| login.user.literal == fresh.literal);
        matches!(finding.kind, Kind::Unique(_)) && finding.fresh.iter().any(is_user)
    }

    /// Values that stand beside another one in some request: each is the same in all of them, and another one than the others.
    fn side_by_side(&self) -> BTreeMap<&str, &Fresh> {
        let several = self.findings.iter().filter(|finding| finding.fresh.len() > 1);
        let mut known = BTreeMap::new();
        for fresh in several.flat_map(|finding| &finding.fresh) {
            known.entry(fresh.literal.as_str()).or_insert(fresh);
        }
        known
    }

    /// The request with its values apart from those of others; where users are called after the key, one that signs up somebody signs up
    /// somebody else: they are there before it.
    fn apart<'f>(&self, finding: &'f Finding, caller: Caller) -> Cow<'f, Finding> {
        let known = self.side_by_side();
        if !known.is_empty() && !self.signs_up(finding) {
            let own = |fresh: &Fresh| match known.get(fresh.literal.as_str()) {
                Some(known) => (*known).clone().beside_the_key(),
                None => fresh.clone(),
            };
            return Cow::Owned(Finding { fresh: finding.fresh.iter().map(own).collect(), ..finding.clone() });
        }
        if caller != Caller::Key || !self.signs_up(finding) {
            return Cow::Borrowed(finding);
        }
        let fresh = finding.fresh.iter().map(|fresh| Fresh::new(&format!("new{}", fresh.name), &fresh.literal));
        // Two of them are never called like the key alone.
        let fresh: Vec<Fresh> = fresh.map(Fresh::beside_the_key).collect();
        Cow::Owned(Finding { fresh, ..finding.clone() })
    }

    /// Whether the value by which all requests of a key know it is called like somebody who sends one of them.
    fn names_a_caller(&self, finding: &Finding) -> bool {
        if self.signs_up(finding) {
            return false;
        }
        let by_header = |other: &Finding| {
            let own = other.caller.as_ref()?;
            other.sample.headers.iter().find(|(name, _)| name == own).map(|(_, value)| value.clone())
        };
        let by_log_in = self.login.iter().filter(|login| !login.once).map(|login| login.user.literal.clone());
        let callers: BTreeSet<String> = self.findings.iter().filter_map(by_header).chain(by_log_in).collect();
        let several = finding.fresh.len() > 1;
        let is_key = |fresh: &&Fresh| fresh.template(several) == Caller::Key.template();
        let known = self.side_by_side();
        let stands_alone = |fresh: &&Fresh| !known.contains_key(fresh.literal.as_str());
        finding.fresh.iter().filter(is_key).filter(stands_alone).any(|fresh| callers.contains(&fresh.literal))
    }
}

/// The scenario as TOML.
pub fn scenario_text(plan: &Plan) -> String {
    let workload = Workload::of(plan);
    let mut text = String::from("#:schema onlyone.schema.json\n");
    add(
        &mut text,
        format_args!(
            "# Written by `onlyone`: what it found out by sending the requests one after another is in comments.\n# The schema, for editors: onlyone schema scenario > onlyone.schema.json\n"
        ),
    );
    left_out(&mut text, plan);
    add(&mut text, format_args!("\nname = {}\nworkload = {}\n", quoted(&plan.name), quoted(workload.name())));
    add(&mut text, format_args!("\n[target.http]\n"));
    if let Origin::Running { url, .. } = &plan.origin {
        add(&mut text, format_args!("base_urls = [{}]\n", quoted(url)));
    }
    text.push_str("timeout = \"10s\"\n");
    let caller = Caller::of(plan, matches!(workload, Workload::CreateOrGet(_)));
    if let Some(login) = &plan.login {
        text.push_str(&log_in(login, caller.template()));
    }
    match workload {
        Workload::CreateOrGet(finding) => {
            operation(&mut text, "create-or-get", &plan.apart(finding, caller), caller);
            observed(&mut text, plan, finding);
        }
        Workload::Unique(finding) => {
            operation(&mut text, "create", &plan.apart(finding, caller), caller);
            observed(&mut text, plan, finding);
        }
        Workload::Elements(finding) => {
            let names = operation_names(&plan.findings);
            operation(&mut text, &names[0], &plan.apart(finding, caller), caller);
            observed(&mut text, plan, finding);
        }
        Workload::Custom => {
            let names = operation_names(&plan.findings);
            for (finding, name) in plan.findings.iter().zip(&names) {
                operation(&mut text, name, &plan.apart(finding, caller), caller);
            }
            service(&mut text, &plan.origin);
            invariants(&mut text, plan);
            let listed: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            add(&mut text, format_args!("\n[explore]\noperations = [{}]\n", listed.join(", ")));
            text.push_str(lanes(plan));
            text.push_str("judge = \"both\"\n");
        }
    }
    text.push_str("\n# All clients together, round after round, a fresh key each round.\n[load.burst]\nclients = [2, 8]\nrounds = 40\n");
    text
}

/// Requests that were tried, and are not in the scenario.
fn left_out(text: &mut String, plan: &Plan) {
    if plan.left_out.is_empty() {
        return;
    }
    text.push_str("#\n# Left out:\n");
    for line in &plan.left_out {
        add(text, format_args!("#   {line}\n"));
    }
}

/// What the scenario holds the service to, for its name.
pub fn promise(plan: &Plan) -> &'static str {
    match Workload::of(plan) {
        Workload::Unique(_) => "one is served, the others are refused",
        Workload::Elements(_) => "what was acknowledged is kept",
        Workload::CreateOrGet(_) => "one document, however many ask",
        Workload::Custom if plan.findings.iter().any(|finding| of_one(finding, &plan.origin).is_some()) => {
            "one document, however many ask"
        }
        Workload::Custom => "as if one after another",
    }
}

/// Several operations: every choice of them meets. Two at a time, on a fresh key and on what others left, which nobody has to ask for.
fn lanes(plan: &Plan) -> &'static str {
    if plan.findings.len() > 1 { "pairs = true\n" } else { "" }
}

/// What the requests are taken for.
#[derive(Clone, Copy)]
enum Workload<'p> {
    CreateOrGet(&'p Finding),
    /// One is served, the others are refused.
    Unique(&'p Finding),
    /// Each leaves an element in a list.
    Elements(&'p Finding),
    Custom,
}

impl<'p> Workload<'p> {
    fn of(plan: &'p Plan) -> Self {
        let ([one], false) = (plan.findings.as_slice(), plan.custom) else { return Workload::Custom };
        // A document whose key lies deep is judged by a rule of its own.
        let is_observed = one.made.as_ref().is_some_and(|made| !made.field.contains('.'))
            && !matches!(plan.origin, Origin::Running { database: None, .. });
        match &one.kind {
            Kind::CreateOrGet if one.id.is_some() => Workload::CreateOrGet(one),
            Kind::Unique(_) if is_observed => Workload::Unique(one),
            Kind::Upsert | Kind::Change if is_observed && one.added.is_some() => Workload::Elements(one),
            _ => Workload::Custom,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Workload::CreateOrGet(_) => "create-or-get",
            Workload::Unique(_) => "unique",
            Workload::Elements(_) | Workload::Custom => "custom",
        }
    }
}

/// Who sends the requests of a key.
#[derive(Clone, Copy, PartialEq)]
enum Caller {
    /// Each client as itself.
    Client,
    /// One of the two people of the key's pair, who the client is.
    OneOfPair,
    /// One user, named by the key: what is made belongs to a caller, and two callers would not meet.
    Key,
}

impl Caller {
    /// Only create-or-get knows pairs of people.
    fn of(plan: &Plan, create_or_get: bool) -> Self {
        let findings = &plan.findings;
        match findings.iter().any(|finding| finding.pair) {
            true if create_or_get => Caller::OneOfPair,
            pair if pair || findings.iter().any(|finding| finding.per_caller) => Caller::Key,
            // Who sends one request is what another one names.
            _ if findings.iter().any(|finding| plan.names_a_caller(finding)) => Caller::Key,
            _ => Caller::Client,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Caller::Key => "{{ key }}",
            Caller::Client | Caller::OneOfPair => "{{ client.user }}",
        }
    }
}

/// Writing to a string does not fail.
fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).ok();
}

/// Values of the scenario by the literals of the source.
fn values_of(finding: &Finding, caller: Caller) -> Values {
    // The other one of a pair must not be called like the caller.
    let several = finding.fresh.len() > 1 || finding.pair;
    let pair = finding.pair && caller == Caller::OneOfPair;
    let value = |template: String| if pair { "{{ pair.b }}".to_owned() } else { template };
    let mut values: Values =
        finding.fresh.iter().map(|fresh| (fresh.literal.clone(), value(fresh.template(several)))).collect();
    let captured =
        finding.before.iter().filter_map(|prior| Some((prior.capture.as_ref()?.0.clone(), prior.template())));
    values.extend(captured);
    values.extend(finding.added.iter().map(|added| (added.literal.clone(), Added::template())));
    values
}

fn operation(text: &mut String, name: &str, finding: &Finding, caller: Caller) {
    let Finding { sample, kind, statuses, .. } = finding;
    let said = kind.in_words();
    add(text, format_args!("\n# {}: {said}.\n[target.http.operations.{}]\n", sample.route(), key(name)));
    let values = values_of(finding, caller);
    let headers = |sample: &Sample| -> Vec<(String, String)> {
        let headers = sample.headers.iter().map(|(name, value)| match finding.caller.as_ref() {
            Some(own) if own == name => (name.clone(), caller.template().to_owned()),
            _ => (name.clone(), template(value, &values)),
        });
        headers.collect()
    };
    let priors = finding.before.iter().filter(|prior| !prior.stands_before).map(|prior| {
        let mut keys = request(&prior.sample, &headers(&prior.sample), &values);
        let capture = prior.capture.iter();
        keys.extend(capture.map(|(_, path)| format!("capture = {{ {} = {} }}", prior.name(), quoted(path))));
        format!("{{ {} }}", keys.join(", "))
    });
    match priors.collect::<Vec<_>>().as_slice() {
        [] => {}
        [one] => add(text, format_args!("# It works on what this one makes.\nbefore = {one}\n")),
        all => {
            let all = all.join(",\n    ");
            add(text, format_args!("# It works on what these make, one after the other.\nbefore = [\n    {all},\n]\n"));
        }
    }
    for line in request(sample, &headers(sample), &values) {
        add(text, format_args!("{line}\n"));
    }
    let mut outcome: Vec<String> = finding.id.iter().map(|path| format!("id = {}", quoted(path))).collect();
    if let Some((name, path)) = finding.flag.as_ref().filter(|_| *kind == Kind::CreateOrGet) {
        outcome.push(format!("{name} = {}", quoted(path)));
    }
    outcome.extend(finding.refused.iter().map(|path| format!("refused = {}", quoted(path))));
    if !outcome.is_empty() && (*kind == Kind::CreateOrGet || finding.refused.is_some()) {
        add(text, format_args!("outcome = {{ {} }}\n", outcome.join(", ")));
    }
    add(text, format_args!("{}", status(kind, statuses)));
}

fn status(kind: &Kind, statuses: &[u16]) -> String {
    let good: BTreeSet<u16> = [200, 201, 202, 204]
        .into_iter()
        .chain(statuses.iter().copied().filter(|status| (200..300).contains(status)))
        .chain(statuses.first().copied().filter(|status| LED_ON.contains(status)))
        .collect();
    let (first, again) = (statuses.first().copied(), statuses.get(1).copied());
    let told = *kind == Kind::CreateOrGet && first == Some(201) && again != Some(201);
    let ok: Vec<String> = good.iter().filter(|status| !told || **status != 201).map(ToString::to_string).collect();
    let created = if told { ", created = [201]" } else { "" };
    let refused = match kind {
        Kind::Unique(status) if !good.contains(status) => format!(", refused = [{status}]"),
        _ => String::new(),
    };
    format!("status = {{ ok = [{}]{created}{refused} }}\n", ok.join(", "))
}

/// A name for each operation, from its method and path.
fn operation_names(findings: &[Finding]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for finding in findings {
        let captured = finding.before.iter().filter_map(|prior| prior.capture.as_ref()).map(|(literal, _)| literal);
        let fresh: Vec<&String> = finding.fresh.iter().map(|fresh| &fresh.literal).chain(captured).collect();
        let plain = |(index, segment): (usize, &String)| {
            let is_value =
                fresh.contains(&segment) || finding.sample.parameters.get(index).is_some_and(Option::is_some);
            (!is_value && !segment.is_empty()).then(|| segment.to_ascii_lowercase())
        };
        let parts: Vec<String> = finding.sample.segments.iter().enumerate().filter_map(plain).collect();
        let word = |text: &str| {
            text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect::<String>()
        };
        let last: Vec<String> = parts.iter().rev().take(2).rev().map(|part| word(part)).collect();
        let base =
            std::iter::once(finding.sample.method.to_ascii_lowercase()).chain(last).collect::<Vec<_>>().join("-");
        let taken = names.iter().filter(|name| **name == base || name.starts_with(&format!("{base}-again"))).count();
        names.push(if taken == 0 { base } else { format!("{base}-again{taken}") });
    }
    names
}

fn service(text: &mut String, origin: &Origin) {
    let Origin::Command { command, dir, variables, replica_set } = origin else { return };
    let words: Vec<String> = command.iter().map(|word| quoted(&literal(word))).collect();
    let mut env: Vec<String> = vec!["PORT = \"{{ service.port }}\"".to_owned()];
    env.extend(variables.iter().map(|name| format!("{} = \"{{{{ mongo.uri }}}}\"", key(name))));
    add(
        text,
        format_args!(
            "\n# The harness starts it, with its own environment and a database of this run.\n[service]\ncommand = [{}]\ndir = {}\nenv = {{ {} }}\ninherit = true\nport = \"found\"                  # wherever its processes listen\n",
            words.join(", "),
            quoted(dir),
            env.join(", "),
        ),
    );
    if *replica_set {
        text.push_str("\n# The service uses transactions or change streams, which a standalone server has not.\n[mongod]\nreplica_set = 1\n");
    }
}

fn observed(text: &mut String, plan: &Plan, finding: &Finding) {
    service(text, &plan.origin);
    let Some(made) = finding.made.as_ref().filter(|made| !made.is_of_the_trial()) else { return };
    let place = match &plan.origin {
        Origin::Running { database: None, .. } => return,
        Origin::Running { database: Some(variable), .. } => {
            format!("uri = \"${{{variable}}}\"\ndatabase = {}\n", quoted(&made.database))
        }
        Origin::Command { .. } if made.database != "run" => format!("database = {}\n", quoted(&made.database)),
        Origin::Command { .. } => String::new(),
    };
    if made.field.contains('.') {
        return invariants(text, plan);
    }
    add(
        text,
        format_args!(
            "\n# Where its document was found.\n[observe.mongo]\n{place}collection = {}\nkey = {}\n",
            quoted(&made.collection),
            quoted(&made.field)
        ),
    );
    if let Some(stored) = &made.stored {
        add(text, format_args!("stored = {}\n", quoted(stored)));
    }
    if let Some(added) = &finding.added {
        if finding.kind == Kind::Upsert && added.single && !finding.begins_another {
            text.push_str(
                "# One after another, one document took them all. `false` if a key may have several.\nsingle = true\n",
            );
        }
        let (place, is) = (quoted(&added.place), quoted(&Added::template()));
        add(
            text,
            format_args!(
                "# Each request adds one to the list; one that was acknowledged must be there, once.\nelements = {{ in = {place}, is = {is}, count = \"exactly-once\" }}\n"
            ),
        );
    }
}

/// What a repetition did not make twice one after another must not be there twice after a race.
fn invariants(text: &mut String, plan: &Plan) {
    // Where another request goes on with what one has made (closes it, revises it), the same may rightly be made once more after it: what
    // happens serially judges.
    let needs_another =
        |finding: &Finding| !finding.before.is_empty() || plan.findings.iter().any(|other| finding.may_need(other));
    if plan.findings.iter().any(needs_another) {
        return;
    }
    let mut written: BTreeSet<(&str, &str)> = BTreeSet::new();
    for finding in &plan.findings {
        let Some(Made { database, collection, field, .. }) = of_one(finding, &plan.origin) else { continue };
        if !written.insert((collection, field)) {
            continue;
        }
        let database = if database == "run" { String::new() } else { format!("database = {}\n", quoted(database)) };
        add(
            text,
            format_args!(
                "\n# One after another, {} made one document of one `{field}`.\n[[invariant]]\nname = {}\n{database}collection = {}\npipeline = '''[\n    {{ \"$match\": {{ \"{field}\": {{ \"$exists\": true }} }} }},\n    {{ \"$group\": {{ \"_id\": \"${field}\", \"documents\": {{ \"$sum\": 1 }} }} }},\n    {{ \"$match\": {{ \"documents\": {{ \"$gt\": 1 }} }} }}\n]'''\nexpect = \"empty\"\n",
                finding.sample.route(),
                quoted(&format!("one document of {collection} per {field}")),
                quoted(collection),
            ),
        );
    }
}

fn is_in_list(field: &str) -> bool {
    field.split('.').any(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The document of which there must be one for each key, where an aggregation can tell.
///
/// The server itself keeps `_id` unique: an invariant that no race can break proves nothing. A number in the path is the place
/// of a list, which an aggregation does not read: every document would be in one group.
fn of_one<'f>(finding: &'f Finding, origin: &Origin) -> Option<&'f Made> {
    let is_seen = !matches!(origin, Origin::Running { database: None, .. });
    let makes_one =
        matches!(finding.kind, Kind::CreateOrGet | Kind::Unique(_) | Kind::Upsert) && !finding.begins_another;
    let tells = |made: &&Made| made.field != "_id" && !is_in_list(&made.field) && !made.is_of_the_trial();
    finding.made.as_ref().filter(|_| is_seen && makes_one).filter(tells)
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
