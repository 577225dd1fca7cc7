//! What the commands of a request say by themselves, whether or not the race struck.
//!
//! Rules look at one request at a time, on what it sent and was told. *Soundness*: a finding is a pattern, not a proof.
//! *Completeness*: patterns across requests, and what a driver does not send over the wire, are not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::execution::{Execution, Step};
use super::wire::Kind;
use super::wire::command::{Change, Field, Filter, Pinned, Statement};
use crate::lint::IndexFact;
use crate::lint::{self as rule, LintFinding};

/// Indexes by namespace, `database.collection`.
#[derive(Debug, Clone, Default)]
pub struct Indexes {
    /// All of them.
    pub facts: BTreeMap<String, Vec<IndexFact>>,
    /// Fields after whose time, and so many seconds, the server removes a document.
    pub expiring: BTreeMap<String, Vec<(String, u64)>>,
    /// Why some are not known.
    pub unread: Option<String>,
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
                    after_read(read, step, statement, (&shown, known), &mut report);
                }
            }
        }
    }
    findings
}

/// Whether a rule is about a read and a write after it, between which another request comes.
pub(super) fn is_of_two(rule: &str) -> bool {
    matches!(rule, "check-then-act" | "read-modify-write")
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
    // Of an `$or` each part must be covered.
    let ways = match filter.alternatives.as_slice() {
        [] => vec![BTreeSet::new()],
        parts => parts.iter().map(|part| part.keys().map(String::as_str).collect()).collect(),
    };
    let weaknesses = ways.into_iter().map(|part: BTreeSet<&str>| {
        let shaped = rule::Upsert {
            pinned: filter.equalities.keys().map(String::as_str).chain(part).collect(),
            other_conditions: !filter.others.is_empty(),
            multi: statement.multi,
            in_transaction: step.command.in_transaction,
        };
        rule::upsert(&shaped, indexes)
    });
    let weaknesses: Vec<_> = weaknesses.flatten().collect();
    let worst = weaknesses.iter().find(|weakness| **weakness == rule::Weakness::NoUniqueIndex);
    if let Some(weakness) = worst.or(weaknesses.first()) {
        let named = format!("`{}` on {namespace} upserts by {}", step.command.name, shape(statement));
        report(weakness.rule(), weakness.explain(&named));
    }
}

fn after_read(
    read: &Step,
    step: &Step,
    statement: &Statement,
    (namespace, indexes): (&str, Option<&Vec<IndexFact>>),
    report: &mut impl FnMut(&str, String),
) {
    let Some(asked) = read.command.statements.first().map(|statement| &statement.filter) else { return };
    let found_none = read.reply.as_ref().is_some_and(|reply| reply.returned == Some(0) || reply.matched == Some(0));
    let checked_only = |field: &&String| {
        !statement.filter.equalities.contains_key(*field)
            && !statement.filter.others.contains(*field)
            && *field != "$or"
    };
    let forgotten = asked.equalities.keys().chain(&asked.others).find(checked_only);
    match &statement.change {
        Change::Insert if found_none && same_key(asked, &statement.filter) => report(
            "check-then-act",
            format!(
                "`{}` on {namespace} finds nothing, then `{}` writes the same key: another request can do the same between \
                 the two. {}",
                read.command.name,
                step.command.name,
                instead_of_insert(asked, indexes)
            ),
        ),
        Change::Update { fields, .. } if same_document(read, &statement.filter) && unguarded(read, step, statement) => {
            if let Some(what) = written_back(read, fields) {
                report("read-modify-write", overwrites(read, step, namespace, what));
            } else if let Some(field) = forgotten.filter(|_| !statement.upsert && same_key(asked, &statement.filter)) {
                report("check-then-act", repeats_not(read, step, namespace, field));
            }
        }
        Change::Replace { .. } if same_document(read, &statement.filter) && unguarded(read, step, statement) => {
            report("read-modify-write", overwrites(read, step, namespace, "the whole document"));
        }
        Change::Update { .. } | Change::Delete if same_key(asked, &statement.filter) && !statement.upsert => {
            if let Some(field) = forgotten {
                report("check-then-act", repeats_not(read, step, namespace, field));
            }
        }
        _ => {}
    }
}

/// Whether a write is about what was asked for: by a field of both, or by one part of an `$or`.
fn same_key(asked: &Filter, written: &Filter) -> bool {
    let agrees = |(field, value): (&String, &Pinned)| {
        written.equalities.get(field).is_some_and(|written| !written.differs(value))
    };
    asked.equalities.iter().any(agrees)
        || asked.alternatives.iter().any(|part| !part.is_empty() && part.iter().all(agrees))
}

/// Whether a write is about the document that was read: by the same key, or by its identifier.
fn same_document(read: &Step, written: &Filter) -> bool {
    let asked = read.command.statements.first().map(|statement| &statement.filter);
    let id = read.reply.as_ref().and_then(|reply| reply.first_id.as_ref());
    let by_id = id.zip(written.equalities.get("_id")).is_some_and(|(id, written)| id == written);
    by_id || asked.is_some_and(|asked| same_key(asked, written))
}

/// Whether nothing in the write notices what others wrote since the read: no condition that the read did not have, as on a
/// version, and no transaction.
fn unguarded(read: &Step, step: &Step, statement: &Statement) -> bool {
    let Some(asked) = read.command.statements.first().map(|statement| &statement.filter) else { return false };
    let known = |field: &String| field == "_id" || asked.equalities.contains_key(field) || asked.others.contains(field);
    let fields = statement.filter.equalities.keys().chain(&statement.filter.others);
    !step.command.in_transaction && fields.into_iter().all(known)
}

/// What an update writes back whole, if it does: an array, or an object that the document had when it was read.
fn written_back(read: &Step, fields: &[Field]) -> Option<&'static str> {
    let set = || fields.iter().filter(|field| field.operator == "$set");
    let had = |field: &Field| read.reply.as_ref().is_some_and(|reply| reply.first_objects.contains(&field.path));
    if set().any(|field| field.array) {
        return Some("a whole array");
    }
    set().any(|field| field.object && had(field)).then_some("a whole object")
}

/// What to do instead of looking and inserting. A unique index that is there already needs no advice to create it.
fn instead_of_insert(asked: &Filter, indexes: Option<&Vec<IndexFact>>) -> String {
    let first_way = asked.alternatives.first().into_iter().flat_map(|part| part.keys());
    let pinned: BTreeSet<&str> = asked.equalities.keys().chain(first_way).map(String::as_str).collect();
    match indexes.into_iter().flatten().find(|index| index.unique && index.is_covered_by(&pinned)) {
        Some(index) => format!(
            "The unique index `{}` refuses the second: catch its error (code 11000) and read, or use one upsert with \
             $setOnInsert.",
            index.name
        ),
        None => "Use one upsert with $setOnInsert, and a unique index.".to_owned(),
    }
}

fn repeats_not(read: &Step, step: &Step, namespace: &str, field: &str) -> String {
    format!(
        "`{}` on {namespace} checks {field}, then `{}` writes without that condition: it may no longer hold. Put the \
         condition into the filter of the write.",
        read.command.name, step.command.name
    )
}

fn overwrites(read: &Step, step: &Step, namespace: &str, what: &str) -> String {
    format!(
        "`{}` on {namespace} reads a document, then `{}` writes {what} back: what others wrote in between is lost. Change \
         only what is new, with $push or $set of single fields.",
        read.command.name, step.command.name
    )
}

/// Requests that push into a list only if what they read before lets them: seen to push after one read, and to hold back
/// after another that found the document as well.
pub fn pushes<'a>(executions: impl Iterator<Item = &'a Execution>, names: &[String]) -> BTreeSet<LintFinding> {
    let (mut pushed, mut held_back) = (BTreeSet::new(), BTreeSet::new());
    for execution in executions.filter(|execution| execution.stuck.is_none()) {
        for (request, name) in names.iter().enumerate() {
            let answered = execution.requests.get(request).is_some_and(|request| request.completion.is_some());
            let steps: Vec<&Step> = execution.steps.iter().filter(|step| step.request == request).collect();
            for (position, read) in steps.iter().enumerate().filter(|(_, step)| step.command.kind == Kind::Read) {
                let later = || steps[position..].iter().filter(|step| namespace(step) == namespace(read));
                let found = read.reply.as_ref().is_some_and(|reply| reply.returned.is_some_and(|count| count > 0));
                if answered && found && later().all(|step| step.command.kind != Kind::Write) {
                    held_back.insert((name.clone(), namespace(read)));
                }
                for (step, list) in
                    later().flat_map(|step| pushed_by(read, step).into_iter().map(move |list| (*step, list)))
                {
                    let place = shown(&namespace(read));
                    let text = format!(
                        "`{}` on {place} reads the document, then `{}` pushes into `{list}`, or does not, by what was read \
                         (find, then push): another request can push between the two. Put the condition into the filter of \
                         the write, as in {{ \"{list}.id\": {{ $ne: … }} }}.",
                        read.command.name, step.command.name
                    );
                    pushed.insert((name.clone(), namespace(read), text));
                }
            }
        }
    }
    let decided =
        pushed.into_iter().filter(|(name, namespace, _)| held_back.contains(&(name.clone(), namespace.clone())));
    let finding =
        |(operation, _, explanation)| LintFinding { rule: "check-then-act".to_owned(), operation, explanation };
    decided.map(finding).collect()
}

/// Lists that a write pushes into without a condition, in the document that was read.
fn pushed_by(read: &Step, step: &Step) -> Vec<String> {
    let lists = |statement: &Statement| match &statement.change {
        Change::Update { fields, .. } if same_document(read, &statement.filter) && unguarded(read, step, statement) => {
            fields.iter().filter(|field| field.operator == "$push").map(|field| field.path.clone()).collect()
        }
        _ => Vec::new(),
    };
    step.command.statements.iter().flat_map(lists).collect()
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
