//! The JSON Schema of `report.json`, from the types that write it.

use serde_json::{Value, json};

use super::{FORMAT_VERSION, Report};

/// The schema. Readers must let unknown members pass: a minor version may add some.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Report).to_value();
    if let Some(Value::Object(version)) = schema.pointer_mut("/properties/format_version") {
        version.insert("const".to_owned(), json!(FORMAT_VERSION));
    }
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), json!("report.json of onlyone"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample, to_json};

    #[test]
    fn the_schema_knows_every_member_of_a_report() {
        let schema = schema();
        let known = schema["properties"].as_object().unwrap();
        for (name, report) in sample::all() {
            let value: Value = serde_json::from_slice(&to_json(&report).unwrap()).unwrap();
            let members = value.as_object().unwrap();
            members.keys().for_each(|member| assert!(known.contains_key(member), "{name}: {member}"));
            for required in schema["required"].as_array().unwrap() {
                assert!(members.contains_key(required.as_str().unwrap()), "{name}: {required}");
            }
        }
        assert_eq!(schema["properties"]["format_version"]["const"], FORMAT_VERSION);
    }
}
