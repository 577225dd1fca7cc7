//! What the user's own rules ask for besides documents: the value of each key, and the elements that operations left.
//! Main types: [`Left`], which takes note of what each operation leaves, and [`attach`], which reads what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use super::HttpTarget;
use super::observe::{all_answered, forms_of};
use crate::history::{Effects, Elements, KeyElements, NumberRule, Numbers, Observation, OpId};
use crate::scenario::{ElementPlace, ElementsSpec, NumberSpec, OperationSpec, Per, Template};
use crate::target::mongo::Rows;
use crate::target::{MongoUri, TargetError};

/// Time between two reads that are to be equal, and how many there are at most.
const PAUSE: Duration = Duration::from_millis(50);
const READS: u32 = 10;

/// What operations leave, by key.
#[derive(Debug, Default)]
pub(super) struct Left {
    spec: Option<ElementsSpec>,
    by_key: Mutex<FxHashMap<Arc<str>, OfKey>>,
}

/// What each operation on one key leaves.
type OfKey = Vec<(OpId, Arc<str>)>;

impl Left {
    /// Takes note of what these say.
    pub(super) fn new(spec: Option<&ElementsSpec>) -> Self {
        Left { spec: spec.cloned(), by_key: Mutex::default() }
    }

    /// Takes note of what an operation leaves.
    pub(super) fn note(
        &self,
        (key, op, name): (&Arc<str>, OpId, &str),
        operation: &OperationSpec,
        variables: &minijinja::Value,
    ) -> Result<(), String> {
        let Some(spec) = &self.spec else { return Ok(()) };
        let meant = match spec.operations.is_empty() {
            true => !matches!(operation.request.method.as_str(), "GET" | "HEAD" | "OPTIONS"),
            false => spec.operations.iter().any(|other| other == name),
        };
        if meant {
            let text = spec.is.render(variables).map_err(|error| error.to_string())?;
            let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            by_key.entry(Arc::clone(key)).or_default().push((op, Arc::from(text)));
        }
        Ok(())
    }

    /// With what was found.
    fn with(&self, spec: &ElementsSpec, mut found: BTreeMap<Arc<str>, Vec<Vec<Arc<str>>>>) -> Elements {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = BTreeMap::new();
        for (key, left) in by_key.iter() {
            let mut left = left.clone();
            left.sort_unstable_by_key(|(op, _)| *op);
            let found = found.remove(key).unwrap_or_default();
            keys.insert(Arc::clone(key), KeyElements { found, left });
        }
        keys.extend(found.into_iter().map(|(key, found)| (key, KeyElements { found, left: Vec::new() })));
        Elements { count: spec.count, ordered: spec.order, form: form(&spec.is), keys }
    }
}

/// What a text made by this template begins with and ends on.
fn form(is: &Template) -> (Arc<str>, Arc<str>) {
    let text = is.text().expose();
    let first = ["{{", "{%", "{#"].iter().filter_map(|brace| text.find(brace)).min();
    let last = ["}}", "%}", "#}"].iter().filter_map(|brace| text.rfind(brace)).max();
    match (first, last) {
        (Some(first), Some(last)) if first < last => (Arc::from(&text[..first]), Arc::from(&text[last + 2..])),
        _ => (Arc::from(text), Arc::from("")),
    }
}

/// Reads until two reads are equal, and puts what was read beside the documents.
pub(super) async fn attach(
    target: &HttpTarget,
    observed: Option<Observation>,
) -> Result<Option<Observation>, TargetError> {
    let (numbers, elements) = (&target.run.numbers, target.run.observe.elements());
    if numbers.is_empty() && elements.is_none() {
        return Ok(observed);
    }
    let observation = match observed {
        Some(observation) => observation,
        None => Observation { quiescent: all_answered(target).await, ..Observation::default() },
    };
    let asks = numbers.iter().any(NumberSpec::has_query) || elements.is_some_and(|spec| spec.collection.is_some());
    let rows = if asks { Some(open(target).await?) } else { None };
    let mut last = read(target, &observation, rows.as_ref()).await?;
    let mut quiescent = rows.is_none();
    for _ in 1..READS {
        if quiescent {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let next = read(target, &observation, rows.as_ref()).await?;
        quiescent = next == last;
        last = next;
    }
    let quiescent = observation.quiescent && quiescent;
    Ok(Some(Observation { effects: Arc::new(last), quiescent, ..observation }))
}

/// The database that is observed, or the run's.
async fn open(target: &HttpTarget) -> Result<Rows, TargetError> {
    let own = target.run.mongo.as_ref();
    let observed = target.run.observe.mongo.as_ref();
    let named = observed.and_then(|mongo| Some((mongo.uri.as_ref()?, mongo.database.clone())));
    let place = match named {
        Some((uri, database)) => {
            let database = database.or_else(|| own.map(|(_, name)| name.clone()));
            database.map(|database| (MongoUri::new(uri.expose()), database))
        }
        None => own.cloned(),
    };
    let Some((uri, database)) = place else {
        return Err(TargetError::Step {
            step: "reading what the rules ask for".to_owned(),
            source: "no server is known: give `observe.mongo.uri`".into(),
        });
    };
    Rows::open(&uri, &target.guard, &database, &target.run.run_id, target.client.priors.of_setup()).await
}

async fn read(target: &HttpTarget, observation: &Observation, rows: Option<&Rows>) -> Result<Effects, TargetError> {
    let mut numbers = Vec::new();
    for spec in &target.run.numbers {
        numbers.push(numbers_of(target, spec, observation, rows).await?);
    }
    let elements = match target.run.observe.elements() {
        Some(spec) => Some(target.client.left.with(spec, found(target, spec, observation, rows).await?)),
        None => None,
    };
    Ok(Effects { numbers, elements })
}

/// A rule with the values of each key.
async fn numbers_of(
    target: &HttpTarget,
    spec: &NumberSpec,
    observation: &Observation,
    rows: Option<&Rows>,
) -> Result<Numbers, TargetError> {
    let text = |bound: &Option<crate::verdict::Expression>| bound.as_ref().map(|bound| Arc::from(bound.to_string()));
    let asked = spec.has_query() || spec.value.is_some();
    let rule = match (spec.at_most, spec.distinct, &spec.expect) {
        (Some(most), ..) if asked => NumberRule::Bounds { min: None, max: Some(Arc::from(most.to_string())) },
        (Some(most), ..) => NumberRule::AtMost(most),
        (None, Some(_), _) => NumberRule::Distinct { gaps: spec.gaps },
        (None, None, Some(bounds)) => NumberRule::Bounds { min: text(&bounds.min), max: text(&bounds.max) },
        (None, None, None) => NumberRule::Bounds { min: None, max: None },
    };
    let mut numbers = Numbers {
        name: Arc::from(spec.name.as_str()),
        rule,
        operations: spec.operations.iter().map(|name| Arc::from(name.as_str())).collect(),
        per_key: spec.per == Per::Key,
        found: None,
        error: None,
    };
    if let Some(path) = &spec.value {
        let mut found: BTreeMap<Arc<str>, Vec<Json>> = BTreeMap::new();
        for document in &observation.documents {
            let values = path.all(&document.fields).into_iter().filter(|value| !value.is_null()).cloned();
            found.entry(Arc::clone(&document.key)).or_default().extend(values);
        }
        numbers.found = Some(found);
    } else if let (Some(rows), Some(collection), Some(pipeline)) = (rows, &spec.collection, &spec.pipeline) {
        match rows.aggregate(spec.database.as_deref(), collection, pipeline).await {
            Ok(rows) => numbers.found = Some(by_key(&rows, &forms_of(target, spec.key.as_ref())?)),
            Err(error) => numbers.error = Some(format!("the aggregation failed: {error}")),
        }
    }
    Ok(numbers)
}

/// The values of rows, by the key that each row names.
fn by_key(rows: &[Json], forms: &BTreeMap<String, Arc<str>>) -> BTreeMap<Arc<str>, Vec<Json>> {
    let mut found: BTreeMap<Arc<str>, Vec<Json>> = BTreeMap::new();
    for row in rows {
        let mut texts = BTreeSet::new();
        texts_in(row, &mut texts);
        let named: BTreeSet<&Arc<str>> = texts.iter().filter_map(|text| forms.get(*text)).collect();
        let mut named = named.into_iter();
        if let (Some(key), None) = (named.next(), named.next()) {
            found.entry(Arc::clone(key)).or_default().extend(values_of(row, forms));
        }
    }
    found
}

/// Every text in a row.
fn texts_in<'a>(value: &'a Json, texts: &mut BTreeSet<&'a str>) {
    match value {
        Json::String(text) => {
            texts.insert(text);
        }
        Json::Array(items) => items.iter().for_each(|item| texts_in(item, texts)),
        Json::Object(fields) => fields.values().for_each(|field| texts_in(field, texts)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The numbers of a row beside its `_id`; a list of them is several. Texts are numbers of a series, such as `INV-007`, where
/// they name no key.
fn values_of(row: &Json, forms: &BTreeMap<String, Arc<str>>) -> Vec<Json> {
    let fields = row.as_object().into_iter().flatten().filter(|(name, _)| *name != "_id");
    let values: Vec<Json> = fields
        .flat_map(|(_, value)| match value {
            Json::Array(items) => items.clone(),
            other => vec![other.clone()],
        })
        .collect();
    let is_number = |value: &Json| {
        value.is_number()
            || value
                .as_object()
                .is_some_and(|object| object.keys().all(|name| name.starts_with("$number")) && !object.is_empty())
    };
    let numbers: Vec<Json> = values.iter().filter(|value| is_number(value)).cloned().collect();
    if !numbers.is_empty() {
        return numbers;
    }
    values.into_iter().filter(|value| value.as_str().is_some_and(|text| !forms.contains_key(text))).collect()
}

/// The elements of each key, list by list.
async fn found(
    target: &HttpTarget,
    spec: &ElementsSpec,
    observation: &Observation,
    rows: Option<&Rows>,
) -> Result<BTreeMap<Arc<str>, Vec<Vec<Arc<str>>>>, TargetError> {
    let mut found: BTreeMap<Arc<str>, Vec<Vec<Arc<str>>>> = BTreeMap::new();
    if let (Some(collection), Some(key), ElementPlace::Field(field), Some(rows)) =
        (&spec.collection, &spec.key, &spec.place, rows)
    {
        let stored = target.run.observe.mongo.as_ref().and_then(|mongo| match mongo.stored.as_slice() {
            [one] => Some(one),
            _ => None,
        });
        let forms = forms_of(target, stored)?;
        for document in rows.documents(collection).await? {
            let key = leaves(&document, key).into_iter().find_map(|text| forms.get(&text).cloned());
            let Some(key) = key else { continue };
            let lists = found.entry(key).or_insert_with(|| vec![Vec::new()]);
            let elements = leaves(&document, field).into_iter().map(Arc::from);
            lists.iter_mut().for_each(|list| list.extend(elements.clone()));
        }
        return Ok(found);
    }
    for document in &observation.documents {
        let elements: Vec<String> = match &spec.place {
            ElementPlace::Field(field) => leaves(&document.fields, field),
            ElementPlace::Path(path) => path.all(&document.fields).into_iter().flat_map(flat).collect(),
        };
        let list = elements.into_iter().map(Arc::from).collect();
        found.entry(Arc::clone(&document.key)).or_default().push(list);
    }
    Ok(found)
}

/// The elements at a dotted field, through lists.
fn leaves(document: &Json, field: &str) -> Vec<String> {
    let mut values = vec![document];
    for name in field.split('.') {
        values = values
            .into_iter()
            .flat_map(|value| match value {
                Json::Array(items) => items.iter().filter_map(|item| item.get(name)).collect(),
                other => other.get(name).into_iter().collect::<Vec<&Json>>(),
            })
            .collect();
    }
    values.into_iter().flat_map(flat).collect()
}

/// The elements of a list, or the names of an object; one value is an element.
fn flat(value: &Json) -> Vec<String> {
    match value {
        Json::Array(items) => items.iter().filter_map(element).collect(),
        Json::Object(fields) if element_of_object(fields).is_none() => fields.keys().cloned().collect(),
        other => element(other).into_iter().collect(),
    }
}

/// An element as text.
fn element(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(number) => Some(match number.as_f64() {
            // One number, however it is stored.
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => format!("{float:.0}"),
            _ => number.to_string(),
        }),
        Json::Object(fields) => element_of_object(fields).or_else(|| Some(value.to_string())),
        Json::Array(_) => Some(value.to_string()),
    }
}

/// A value in MongoDB's extended JSON: an identifier, a number.
fn element_of_object(fields: &serde_json::Map<String, Json>) -> Option<String> {
    let known = ["$oid", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid"];
    match fields.iter().next() {
        Some((name, Json::String(text))) if fields.len() == 1 && known.contains(&name.as_str()) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scenario::{Scope, SecretText, WorkloadKind};

    #[test]
    fn elements_are_found_wherever_they_are() {
        let cases = [
            (json!({ "tags": ["a", 7, 7.0, null, { "$oid": "f0" }] }), "tags", vec!["a", "7", "7", "f0"]),
            (json!({ "cart": { "items": [{ "op": 1 }, { "op": "x" }, {}] } }), "cart.items.op", vec!["1", "x"]),
            (json!({ "votes": { "ann": true, "bob": true } }), "votes", vec!["ann", "bob"]),
            (json!({ "user": { "$numberLong": "9" } }), "user", vec!["9"]),
            (json!({ "a": [[1, 2]] }), "a", vec!["[1,2]"]),
            (json!({ "a": 1 }), "b", vec![]),
        ];
        for (document, field, expected) in cases {
            assert_eq!(leaves(&document, field), expected, "{document}");
        }
    }

    #[test]
    fn rows_give_their_numbers_to_the_key_that_they_name() {
        let forms = BTreeMap::from([("k1".to_owned(), Arc::from("k1")), ("k2".to_owned(), Arc::from("k2"))]);
        let rows = [
            json!({ "_id": "k1", "n": 3 }),
            json!({ "_id": { "$oid": "f0" }, "slug": "k2", "n": { "$numberLong": "5" } }),
            json!({ "_id": "k2", "numbers": ["INV-1", "INV-2"] }),
            json!({ "_id": "stranger", "n": 1 }),
            json!({ "_id": "k1", "other": "k2", "n": 1 }),
        ];
        let found = by_key(&rows, &forms);
        assert_eq!(found["k1"], [json!(3)]);
        assert_eq!(found["k2"], [json!({ "$numberLong": "5" }), json!("INV-1"), json!("INV-2")]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn the_form_of_elements_is_what_stands_around_the_variables() {
        let cases = [("t{{ op.id }}", "t", ""), ("{{ op.id }}", "", ""), ("a-{{ op.id }}-{{ key }}!", "a-", "!")];
        for (text, before, after) in cases {
            let is = Template::compile(SecretText::plain(text), Scope::Request(WorkloadKind::Custom)).unwrap();
            assert_eq!(form(&is), (Arc::from(before), Arc::from(after)), "{text}");
        }
    }
}
