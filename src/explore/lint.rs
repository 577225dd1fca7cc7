//! What the commands of a request say by themselves, whether or not the race struck.
//!
//! Rules look at one request at a time, on what it sent and was told. *Soundness*: a finding is a pattern, not a proof.
//! *Completeness*: patterns across requests, and what a driver does not send over the wire, are not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::execution::{Execution, Step};
use super::wire::Kind;
use super::wire::command::{Change, Statement};
use crate::lint::IndexFact;
use crate::lint::{self as rule, LintFinding};

/// Indexes by namespace, `database.collection`.
#[derive(Debug, Clone, Default)]
pub struct Indexes {
    /// All of them.
    pub facts: BTreeMap<String, Vec<IndexFact>>,
    /// Fields after whose time, and so many seconds, the server removes a document.
    pub expiring: BTreeMap<String, Vec<(String, u64)>>,
}

impl Indexes {
    /// None are known.
    pub fn new() -> Self {
        Indexes::default()
    }
}

/// What one execution says. `names` has the operation of each request.
pub fn lint(execution: &Execution, names: &[String], indexes: &Indexes) -> BTreeSet<LintFinding> {
    let mut findings = BTreeSet::new();
    for (request, name) in names.iter().enumerate() {
        let steps: Vec<&Step> = execution.steps.iter().filter(|step| step.request == request).collect();
        let mut report = |rule: &str, explanation: String| {
            findings.insert(LintFinding { rule: rule.to_owned(), operation: name.clone(), explanation });
        };
        for (position, step) in steps.iter().enumerate() {
            let namespace = namespace(step);
            let known = indexes.facts.get(&namespace);
            let shown = shown(&namespace);
            for statement in &step.command.statements {
                if statement.upsert {
                    upsert(step, statement, &shown, known, &mut report);
                }
                let reads = steps[..position]
                    .iter()
                    .filter(|read| read.command.kind == Kind::Read && self::namespace(read) == namespace);
                for read in reads {
                    after_read(read, step, statement, &shown, &mut report);
                }
            }
        }
    }
    findings
}

/// Collections that the executions touched, as `database` and `collection`.
pub fn namespaces<'a>(executions: impl Iterator<Item = &'a Execution>) -> BTreeSet<(String, String)> {
    executions
        .flat_map(|execution| &execution.steps)
        .filter_map(|step| Some((step.command.database.clone(), step.command.collection.clone()?)))
        .collect()
}

pub(super) fn namespace(step: &Step) -> String {
    format!("{}.{}", step.command.database, step.command.collection.as_deref().unwrap_or_default())
}

/// A namespace for people: collections that a run makes for itself have its id in front, which says nothing here.
pub(super) fn shown(namespace: &str) -> String {
    match namespace.split_once('.') {
        Some((database, collection)) => format!("{database}.{}", own_name(collection)),
        None => own_name(namespace).to_owned(),
    }
}

/// The name of a collection without the id of the run that made it.
pub(super) fn own_name(collection: &str) -> &str {
    let own = collection.strip_prefix("onlyone_").and_then(|rest| rest.split_once('_'));
    own.map_or(collection, |(_, name)| name)
}

fn upsert(
    step: &Step,
    statement: &Statement,
    namespace: &str,
    indexes: Option<&Vec<IndexFact>>,
    report: &mut impl FnMut(&str, String),
) {
    let Some(indexes) = indexes else { return };
    let filter = &statement.filter;
    let shaped = rule::Upsert {
        pinned: filter.equalities.keys().map(String::as_str).collect(),
        other_conditions: !filter.others.is_empty(),
        multi: statement.multi,
        in_transaction: step.command.in_transaction,
    };
    if let Some(weakness) = rule::upsert(&shaped, indexes) {
        let named = format!("`{}` on {namespace} upserts by {}", step.command.name, shape(statement));
        report(weakness.rule(), weakness.explain(&named));
    }
}

fn after_read(read: &Step, step: &Step, statement: &Statement, namespace: &str, report: &mut impl FnMut(&str, String)) {
    let Some(asked) = read.command.statements.first().map(|statement| &statement.filter) else { return };
    let found_none = read.reply.as_ref().is_some_and(|reply| reply.returned == Some(0) || reply.matched == Some(0));
    let same_key = asked
        .equalities
        .iter()
        .any(|(field, value)| statement.filter.equalities.get(field).is_some_and(|written| !written.differs(value)));
    let checked_only = |field: &&String| {
        !statement.filter.equalities.contains_key(*field) && !statement.filter.others.contains(*field)
    };
    let forgotten = asked.equalities.keys().chain(&asked.others).find(checked_only);
    match &statement.change {
        Change::Insert if found_none && same_key => report(
            "check-then-act",
            format!(
                "`{}` on {namespace} finds nothing, then `{}` writes the same key: another request can do the same between \
                 the two. Use one upsert with $setOnInsert, and a unique index.",
                read.command.name, step.command.name
            ),
        ),
        Change::Update { fields, .. }
            if fields.iter().any(|field| field.array && field.operator == "$set") && same_key =>
        {
            report("read-modify-write", overwrites(read, step, namespace, "a whole array"));
        }
        Change::Replace { .. } if same_key => {
            report("read-modify-write", overwrites(read, step, namespace, "the whole document"));
        }
        Change::Update { .. } | Change::Delete if same_key && forgotten.is_some() && !statement.upsert => report(
            "check-then-act",
            format!(
                "`{}` on {namespace} checks {}, then `{}` writes without that condition: it may no longer hold. Put the \
                 condition into the filter of the write.",
                read.command.name,
                forgotten.map_or("", |field| field.as_str()),
                step.command.name
            ),
        ),
        _ => {}
    }
}

fn overwrites(read: &Step, step: &Step, namespace: &str, what: &str) -> String {
    format!(
        "`{}` on {namespace} reads a document, then `{}` writes {what} back: what others wrote in between is lost. Change \
         only what is new, with $push or $set of single fields.",
        read.command.name, step.command.name
    )
}

/// The fields of a filter, without values.
fn shape(statement: &Statement) -> String {
    let fields: Vec<&str> =
        statement.filter.equalities.keys().chain(&statement.filter.others).map(String::as_str).collect();
    format!("{{ {} }}", fields.join(", "))
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
