//! Every value of every document is in the result, as it was stored, or the plan names it.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};
use onlyone::report::RepairAction;
use serde_json::{Value, json};

use super::id;
use crate::oracle::{Contents, Expected, Rule, Shape, Spec, as_text, exactly, is_none, text as id_text};

/// An id in a report, as the oracle calls it.
pub(super) fn text(shown: &Value) -> String {
    match shown {
        Value::String(text) => text.clone(),
        Value::Number(number) => format!("number {}", number.as_f64().unwrap()),
        other => other.to_string(),
    }
}

/// All values that a plan names as lost.
fn lost(actions: &[RepairAction]) -> impl Iterator<Item = &Value> {
    actions.iter().flat_map(|action| &action.details).flat_map(|detail| detail["lost"].as_array().into_iter().flatten())
}

pub(super) fn count(actions: &[RepairAction]) -> usize {
    lost(actions).count()
}

/// A value as reports show it, and the same with the types of its numbers.
fn shown(value: &Bson) -> [Value; 2] {
    [plain(value), typed(value)]
}

fn plain(value: &Bson) -> Value {
    match value {
        Bson::ObjectId(id) => id.to_hex().into(),
        other => serde_json::to_value(other).unwrap(),
    }
}

fn typed(value: &Bson) -> Value {
    match value {
        Bson::Int32(number) => json!({ "$numberInt": number.to_string() }),
        Bson::Int64(number) => json!({ "$numberLong": number.to_string() }),
        Bson::Double(number) => json!({ "$numberDouble": format!("{number:?}") }),
        Bson::Document(fields) => fields.iter().map(|(name, value)| (name.clone(), typed(value))).collect(),
        Bson::Array(elements) => elements.iter().map(typed).collect(),
        other => plain(other),
    }
}

struct Names<'a> {
    spec: &'a Spec,
    expected: &'a Expected,
    actions: &'a [RepairAction],
}

pub(super) fn nothing_is_lost(
    spec: &Spec,
    before: &Contents,
    expected: &Expected,
    actions: &[RepairAction],
) -> Result<(), String> {
    let names = Names { spec, expected, actions };
    for (collection, documents) in before {
        let after: BTreeMap<String, &Document> =
            expected.contents[collection].iter().map(|document| (id(document), document)).collect();
        for document in documents {
            let own = id(document);
            let into = if collection == spec.collection {
                expected.merged.get(&own)
            } else {
                expected.twins.get(&(collection.clone(), own.clone()))
            };
            let result = after.get(into.unwrap_or(&own)).ok_or_else(|| format!("{document} is nowhere"))?;
            for (field, value) in document.iter().filter(|(field, value)| *field != "_id" && !is_none(Some(value))) {
                if !names.accounts_for(collection, document, result, (field, value)) {
                    return Err(format!(
                        "`{field}` = {value:?} of {document} in `{collection}` is lost and not named: {actions:#?}"
                    ));
                }
            }
        }
    }
    Ok(())
}

impl Names<'_> {
    fn accounts_for(
        &self,
        collection: &str,
        document: &Document,
        result: &Document,
        (field, value): (&str, &Bson),
    ) -> bool {
        let own = id(document);
        let there = result.get(field);
        if there.is_some_and(|there| exactly(there, value)) || self.is_lost(&own, field, value) {
            return true;
        }
        if collection == self.spec.collection {
            let rule = self.spec.rules.fields.get(field);
            return match (value, there) {
                (Bson::Array(elements), Some(Bson::Array(there))) => elements.iter().all(|element| {
                    there.iter().any(|there| exactly(there, element))
                        || self.is_lost_element(&own, &id(result), field, element)
                }),
                (Bson::String(text), Some(Bson::String(all))) if rule == Some(&Rule::Concatenate) => {
                    all.contains(text.as_str())
                }
                _ => rule == Some(&Rule::Sum) || self.was_key(&id(result), value),
            };
        }
        let reference = self.spec.references.iter().find(|one| one.collection == collection && one.field == field);
        match (reference, value, there) {
            (Some(reference), Bson::Array(elements), Some(Bson::Array(there))) => elements.iter().all(|element| {
                let moved = self.moved(reference.shape, element);
                there.iter().any(|there| exactly(there, &moved)) || self.is_removed(collection, &own, &moved)
            }),
            (Some(reference), value, Some(there)) if exactly(&self.moved(reference.shape, value), there) => {
                self.is_redirected(collection, &reference.path(), reference.shape, value)
            }
            (None, Bson::String(text), Some(Bson::String(all)))
                if self.has_rule(collection, field, Rule::Concatenate) =>
            {
                all.contains(text.as_str())
            }
            (None, _, Some(_)) => self.has_rule(collection, field, Rule::Sum),
            _ => false,
        }
    }

    /// Whether what goes beside another in this collection leaves it the field by this rule.
    fn has_rule(&self, collection: &str, field: &str, rule: Rule) -> bool {
        let references = self.spec.references.iter().filter(|one| one.collection == collection);
        references.filter_map(|one| one.unique_with.as_ref()).any(|(_, rules)| rules.fields.get(field) == Some(&rule))
    }

    fn is_lost(&self, own: &str, field: &str, value: &Bson) -> bool {
        let forms = shown(value);
        lost(self.actions).any(|lost| {
            text(&lost["document"]) == own
                && lost["field"].as_str().is_some_and(|named| named == field)
                && (forms.contains(&lost["value"]) || text(&lost["value"]) == id_text(value))
        })
    }

    fn is_lost_element(&self, own: &str, result: &str, field: &str, element: &Bson) -> bool {
        let forms = shown(element);
        lost(self.actions).any(|lost| {
            [own, result].contains(&text(&lost["document"]).as_str())
                && lost["field"] == field
                && forms.contains(&lost["value"])
        })
    }

    fn was_key(&self, own: &str, value: &Bson) -> bool {
        let forms = shown(value);
        let details = self.actions.iter().flat_map(|action| &action.details);
        details
            .filter(|detail| text(&detail["document"]) == own)
            .any(|detail| detail.get("was").is_some_and(|was| forms.contains(was)))
    }

    /// An element or a value as it is after redirecting.
    fn moved(&self, shape: Shape, value: &Bson) -> Bson {
        match (shape, value) {
            (Shape::Each(name, _) | Shape::Within(name), Bson::Document(inner)) => {
                let mut inner = inner.clone();
                if let Some(value) = inner.get_mut(name) {
                    *value = self.moved(Shape::One, value);
                }
                inner.into()
            }
            (_, value) => match self.expected.merged.get(&id_text(value)) {
                Some(keeper) => {
                    let keeper = self.id_of(keeper);
                    let written = if value.as_str().is_some() { keeper.as_ref().and_then(as_text) } else { keeper };
                    written.unwrap_or_else(|| value.clone())
                }
                None => value.clone(),
            },
        }
    }

    /// The id of this name.
    fn id_of(&self, name: &str) -> Option<Bson> {
        let owners = &self.expected.contents[self.spec.collection];
        owners.iter().find(|owner| id(owner) == name)?.get("_id").cloned()
    }

    fn is_redirected(&self, collection: &str, path: &str, shape: Shape, value: &Bson) -> bool {
        let value = match (shape, value) {
            (Shape::Within(name), Bson::Document(inner)) => inner.get(name),
            (_, value) => Some(value),
        };
        self.actions.iter().flat_map(|action| &action.details).any(|detail| {
            detail["collection"] == collection
                && detail["field"].as_str() == Some(path)
                && value.is_some_and(|value| text(&detail["from"]) == id_text(value))
        })
    }

    /// An element of a list that was redirected and repeats another.
    fn is_removed(&self, collection: &str, own: &str, element: &Bson) -> bool {
        let forms = shown(element);
        let details = self.actions.iter().flat_map(|action| &action.details);
        details.filter(|detail| detail["collection"] == collection).any(|detail| {
            detail["lost"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|lost| text(&lost["document"]) == own && forms.contains(&lost["removed"]["element"]))
        })
    }
}
