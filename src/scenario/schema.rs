//! The JSON Schema of the scenario file, from which editors complete. Main function: [`schema`].
//!
//! The shape comes from the types that read the file; the words that a value may be are added here, because the types take
//! any text and leave the choice to `validate`.

use serde_json::{Value, json};

use super::file::File;
use super::load::Fresh;
use super::load_fault::LoadFault;
use super::model::{FaultKind, WriteConcern};
use super::validate::KnownStrategies;
use super::workloads::WorkloadKind;
use crate::verdict::Invariant;

/// What the schema is called, wherever it is kept.
const ID: &str = "urn:onlyone:schema:scenario";

/// The schema; `known` names the strategies.
pub fn schema(known: KnownStrategies<'_>) -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    let mut strategies: Vec<&str> =
        WorkloadKind::ALL.into_iter().flat_map(|kind| known(kind).iter().copied()).collect();
    strategies.sort_unstable();
    strategies.dedup();
    let verdicts = words(&["holds", "violated", "inconclusive"]);
    let named: serde_json::Map<String, Value> =
        Invariant::NAMED.iter().map(|name| (name.to_string(), verdicts.clone())).collect();
    let choices = [
        ("/properties/workload", words(&WorkloadKind::ALL.map(WorkloadKind::as_str))),
        ("/$defs/Mongo/properties/strategy", words(&strategies)),
        ("/$defs/Mongo/properties/write_concern", words(&WriteConcern::ALL.map(|(name, _)| name))),
        ("/$defs/Explore/properties/faults", json!({ "items": words(&FaultKind::ALL.map(|(name, _)| name)) })),
        ("/$defs/Fault/properties/kind", words(&LoadFault::ALL.map(|(name, _)| name))),
        ("/$defs/Fault/properties/target", words(&["primary", "secondary", "one", "all"])),
        ("/$defs/Loads/properties/fresh", words(&Fresh::ALL.map(|(name, _)| name))),
        ("/$defs/Open/properties/arrivals", words(&["constant", "poisson"])),
        ("/$defs/Stages/properties/arrivals", words(&["constant", "poisson"])),
        ("/$defs/Mongod/properties/replica_set", json!({ "enum": [0, 1, 3] })),
        ("/$defs/Expect/properties/verdict", verdicts.clone()),
        (
            "/$defs/Expect/properties/invariants",
            json!({
                "type": "object",
                "properties": named,
                "patternProperties": { "^custom:": verdicts },
                "additionalProperties": false,
            }),
        ),
    ];
    for (place, choice) in choices {
        if let (Some(Value::Object(property)), Value::Object(choice)) = (schema.pointer_mut(place), choice) {
            // The choice replaces the type, which may also be null: TOML has none.
            property.remove("type");
            property.extend(choice);
        }
    }
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), json!("Scenario of onlyone"));
        root.insert("$id".to_owned(), json!(ID));
    }
    schema
}

/// One of these words, or a text that the environment completes.
fn words(words: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": "\\$\\{" }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_found_its_place() {
        let schema = schema(&crate::strategy::names);
        let strategies = schema.pointer("/$defs/Mongo/properties/strategy/anyOf/0/enum").unwrap().as_array().unwrap();
        assert!(strategies.contains(&json!("upsert-retry")), "{strategies:?}");
        for place in [
            "/properties/workload/anyOf/0/enum/0",
            "/$defs/Fault/properties/kind/anyOf/0/enum/0",
            "/$defs/Open/properties/arrivals/anyOf",
            "/$defs/Stages/properties/arrivals/anyOf",
            "/$defs/Mongod/properties/replica_set/enum",
            "/$defs/Expect/properties/verdict/anyOf",
            "/$defs/Expect/properties/invariants/properties/single-document",
        ] {
            assert!(schema.pointer(place).is_some(), "{place} in {schema:#}");
        }
        assert_eq!(schema["required"], json!(["name", "workload", "target", "load"]));
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn every_key_says_what_it_is() {
        let schema = schema(&crate::strategy::names);
        let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        for (name, property) in tables.filter_map(|table| table["properties"].as_object()).flatten() {
            assert!(property.get("description").is_some(), "{name}: {property}");
        }
    }
}
