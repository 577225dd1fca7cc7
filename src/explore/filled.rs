//! Documents that are filled until they are full, which MongoDB calls the bucket pattern: an upsert looks for one that has room, adds to it,
//! and begins another where there is none.
//!
//! Two of them that come at once may each begin one, and one after the other fill the same: how many there are is no effect of the requests,
//! what is in them is. *Soundness*: a collection counts only where an upsert that adds to a list asks for more than equality; where one
//! document was all that there may be, the first one that is full would be the last, and a unique index would refuse the next. *Completeness*:
//! what else differs in these documents is not accused either, and the verdict stays open.

use std::collections::BTreeSet;

use super::execution::Execution;
use super::explorer::Explorer;
use super::lint::own_name;
use super::wire::{Change, Command, Statement};
use crate::serial::{Judged, Judgement};

/// Operators that add to a list.
const ADDS: [&str; 2] = ["$push", "$addToSet"];

/// Why nothing is concluded from documents of which two may be begun at once.
const WHY: &str = "schedules differ from every serial run in documents that are filled until they are full (an upsert that asks for room and \
                   adds to a list): several may be begun at once, which is no harm; say in `[[invariant]]` what must be so of all of them";

/// Why a guess about how many there are is none.
pub(super) const NO_RULE: &str = "its documents are filled until they are full, and several may be begun at once";

/// Whether a statement adds to a document that has room, and begins one where there is none.
fn fills(statement: &Statement) -> bool {
    let adds = match &statement.change {
        Change::Update { fields, .. } => fields.iter().any(|field| ADDS.contains(&&*field.operator)),
        Change::None | Change::Insert | Change::Replace { .. } | Change::Delete => false,
    };
    let filter = &statement.filter;
    statement.upsert && adds && !filter.others.is_empty() && !filter.equalities.is_empty()
}

/// Collections whose documents the requests of an execution fill, without their database.
pub(super) fn filled(execution: &Execution) -> BTreeSet<String> {
    let filling = |command: &Command| command.statements.iter().any(fills);
    let commands = execution.steps.iter().map(|step| &step.command);
    let collections = commands.filter(|command| filling(command)).filter_map(|command| command.collection.clone());
    collections.map(|collection| own_name(&collection).to_owned()).collect()
}

impl Explorer<'_> {
    /// Anomalies that differ nowhere but in documents that are filled.
    pub(super) fn differing_where_filled(&mut self, positions: &[usize], judgement: &Judgement) -> BTreeSet<usize> {
        let strict = self.is_strict();
        let executions = &self.found.executions;
        let is_there = |place: &str, collection: &String| {
            place.strip_prefix(collection.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let only_there = |position: usize, one: &Judged| {
            let collections = filled(&executions[position].0);
            let stands_there = |place: &str| collections.iter().any(|collection| is_there(own_name(place), collection));
            !one.differences.is_empty() && one.differences.iter().all(|difference| stands_there(&difference.place))
        };
        let judged = positions.iter().zip(&judgement.executions).filter(|(_, one)| one.class.violates(strict));
        let found: BTreeSet<usize> =
            judged.filter(|(position, one)| only_there(**position, one)).map(|(position, _)| *position).collect();
        if !found.is_empty() && !self.found.reasons.iter().any(|reason| reason == WHY) {
            self.found.reasons.push(WHY.to_owned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::explore::wire::Message;
    use crate::explore::wire::message::tests::msg;

    fn update(filter: RawDocumentBuf, change: RawDocumentBuf, upsert: bool) -> Statement {
        let update = rawdoc! { "q": filter, "u": change, "upsert": upsert };
        let frame = msg(0, &rawdoc! { "update": "series", "updates": [update], "$db": "app" }, &[]);
        Command::parse(&Message::parse(&frame).unwrap()).unwrap().statements[0].clone()
    }

    #[test]
    fn only_an_upsert_that_asks_for_room_and_adds_to_a_list_fills() {
        let room = || rawdoc! { "sensor": "s1", "count": { "$lt": 20 } };
        let push = || rawdoc! { "$push": { "values": 1 }, "$inc": { "count": 1 } };
        for (statement, expected) in [
            (update(room(), push(), true), true),
            (update(rawdoc! { "sensor": "s1", "values.19": { "$exists": false } }, push(), true), true),
            (update(room(), push(), false), false),
            (update(room(), rawdoc! { "$inc": { "count": 1 } }, true), false),
            (update(rawdoc! { "sensor": "s1" }, push(), true), false),
            (update(rawdoc! { "count": { "$lt": 20 } }, push(), true), false),
        ] {
            assert_eq!(fills(&statement), expected, "{statement:?}");
        }
    }
}
