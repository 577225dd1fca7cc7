//! `[key]`: what is unique, among which documents, and how keys are compared.

use std::borrow::Cow;

use mongodb::bson::{Bson, Document, doc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::Filter;

/// The unique key, and what it is made of.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The field, a dotted path; or several, whose combination is unique.
    pub field: Fields,
    /// The array whose elements, as text, sorted and joined, are the key. Without it the key is taken as stored.
    pub participants: Option<String>,
    /// The field of each element that identifies the participant, where elements are documents.
    pub member: Option<String>,
    /// Fields whose values come before the participants.
    #[serde(default)]
    pub prefix: Vec<String>,
    /// What joins the parts.
    #[serde(default = "underscore")]
    pub separator: String,
    /// A participant named twice counts once.
    #[serde(default)]
    pub distinct: bool,
    /// The unique index leaves out documents without the key.
    #[serde(default = "yes")]
    pub sparse: bool,
    /// Each document must have the key: one without is a finding.
    #[serde(default = "yes")]
    pub required: bool,
    /// Fields of the key where null, nothing or an empty text is a value like any other: two documents without it are one thing.
    #[serde(default)]
    pub blank: Vec<String>,
    /// Only documents that match it are judged: the key is unique among them. An empty one means that it is unique among
    /// all, whatever the indexes say.
    pub r#where: Option<Filter>,
    /// How texts are compared, as the unique index would.
    pub collation: Option<CollationSpec>,
    /// Texts that differ in case are one: short for `collation = { locale = "en", strength = 2 }`.
    #[serde(default)]
    pub ignore_case: bool,
}

/// The fields of a key, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<String>);

/// A collation with the names that MongoDB gives its options.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CollationSpec {
    /// The language, as in `en`; `simple` compares bytes.
    pub locale: String,
    /// 1 compares letters only, 2 accents too, 3 (the default) case too.
    #[serde(alias = "level")]
    pub strength: Option<i32>,
    /// Whether case counts at strength 1 and 2.
    pub case_level: Option<bool>,
    /// Which case comes first.
    pub case_first: Option<String>,
    /// Digits are compared as numbers.
    pub numeric_ordering: Option<bool>,
    /// Whether spaces and punctuation count: `non-ignorable` or `shifted`.
    pub alternate: Option<String>,
    /// What `shifted` ignores: `punct` or `space`.
    pub max_variable: Option<String>,
    /// Whether to normalise to NFD first.
    pub normalization: Option<bool>,
    /// Whether accents are compared from the end.
    pub backwards: Option<bool>,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let fields = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(field) => vec![field],
            toml::Value::Array(fields) => {
                let text = |field: toml::Value| match field {
                    toml::Value::String(field) => Ok(field),
                    other => Err(Error::custom(format!("key.field: {other} is not the name of a field"))),
                };
                fields.into_iter().map(text).collect::<Result<_, _>>()?
            }
            _ => return Err(Error::custom("key.field: write the name of a field, or a list of names")),
        };
        if fields.is_empty() {
            return Err(Error::custom("key.field: the list is empty"));
        }
        Ok(Fields(fields))
    }
}

impl JsonSchema for Fields {
    fn schema_name() -> Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "oneOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] })
    }
}

impl Fields {
    /// All of them, in order.
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The only or first one.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl std::fmt::Display for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl CollationSpec {
    /// As a command takes it.
    pub fn document(&self) -> Document {
        let mut document = doc! { "locale": &self.locale };
        let options: [(&str, Option<Bson>); 8] = [
            ("strength", self.strength.map(Bson::from)),
            ("caseLevel", self.case_level.map(Bson::from)),
            ("caseFirst", self.case_first.clone().map(Bson::from)),
            ("numericOrdering", self.numeric_ordering.map(Bson::from)),
            ("alternate", self.alternate.clone().map(Bson::from)),
            ("maxVariable", self.max_variable.clone().map(Bson::from)),
            ("normalization", self.normalization.map(Bson::from)),
            ("backwards", self.backwards.map(Bson::from)),
        ];
        document.extend(options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        document
    }
}

impl KeySpec {
    /// The collation by which texts are compared; `None` compares bytes.
    pub fn collation(&self) -> Option<Document> {
        if self.ignore_case {
            return Some(doc! { "locale": "en", "strength": 2 });
        }
        self.collation.as_ref().filter(|collation| collation.locale != "simple").map(CollationSpec::document)
    }

    /// The filter that documents must match to be judged; `None` if all are.
    pub fn filter(&self) -> Option<&Document> {
        self.r#where.as_ref().map(|filter| &filter.0).filter(|filter| !filter.is_empty())
    }

    /// What a query takes to find the documents that are judged and also match this one.
    pub fn among(&self, also: Document) -> Document {
        match self.filter() {
            None => also,
            Some(filter) if also.is_empty() => filter.clone(),
            Some(filter) => doc! { "$and": [also, filter.clone()] },
        }
    }

    /// Name of the unique index that MongoDB would give it.
    pub fn index_name(&self) -> String {
        self.field.all().iter().map(|field| format!("{field}_1")).collect::<Vec<_>>().join("_")
    }

    /// The unique index that would keep the key, as `createIndexes` takes it, but for its name.
    pub fn index(&self) -> Document {
        let fields: Document = self.field.all().iter().map(|field| (field.clone(), Bson::Int32(1))).collect();
        let mut index = doc! { "key": fields, "unique": true };
        match self.filter() {
            // An index cannot be both; documents without the key are left out by one more condition.
            Some(filter) if self.sparse && self.field.all().len() == 1 => {
                let there = doc! { self.field.first(): { "$exists": true } };
                index.insert("partialFilterExpression", doc! { "$and": [filter.clone(), there] });
            }
            Some(filter) => {
                index.insert("partialFilterExpression", filter.clone());
            }
            None => {
                index.insert("sparse", self.sparse);
            }
        }
        // Said even if it is the simple one: the collection may have another by default.
        index.insert("collation", self.collation().unwrap_or_else(|| doc! { "locale": "simple" }));
        index
    }

    /// What makes it unusable, if anything does.
    pub(super) fn problem(&self) -> Option<String> {
        let without = |what: &str| Some(format!("key.{what} needs key.participants, from which the key is made"));
        let fields = self.field.all();
        let twice = fields.iter().enumerate().find(|(at, field)| fields[..*at].contains(field));
        if let Some((_, field)) = twice {
            return Some(format!("key.field names `{field}` twice"));
        }
        if let Some(field) = self.blank.iter().find(|field| !fields.contains(field)) {
            return Some(format!("key.blank names `{field}`, which is no field of the key"));
        }
        if !self.blank.is_empty() && self.participants.is_some() {
            return Some("key.blank is for keys as they are stored, not for ones made of participants".to_owned());
        }
        if self.ignore_case && self.collation.is_some() {
            return Some("key.ignore_case and key.collation say the same thing twice; leave one out".to_owned());
        }
        if self
            .collation
            .as_ref()
            .and_then(|collation| collation.strength)
            .is_some_and(|level| !(1..=5).contains(&level))
        {
            return Some("key.collation.strength is a number from 1 to 5".to_owned());
        }
        let is_position = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let by_position = fields.iter().find(|field| field.split('.').any(is_position));
        if let (Some(field), Some(collation)) = (by_position, self.collation()) {
            let locale = collation.get_str("locale").unwrap_or_default();
            return Some(format!(
                "key.field = \"{field}\" is a position in an array, where the collation `{locale}` cannot be applied"
            ));
        }
        if let Some(Err(error)) =
            self.collation().map(mongodb::bson::deserialize_from_document::<mongodb::options::Collation>)
        {
            return Some(format!("key.collation: {error}"));
        }
        let Some(participants) = &self.participants else {
            return match () {
                () if self.member.is_some() => without("member"),
                () if !self.prefix.is_empty() => without("prefix"),
                () if self.distinct => without("distinct"),
                () => None,
            };
        };
        if fields.len() > 1 {
            return Some("a key that is made of key.participants is one field, not several".to_owned());
        }
        if fields.contains(participants) {
            return Some("key.participants and key.field are the same field".to_owned());
        }
        self.collation().map(|_| {
            "key.collation and key.ignore_case are for keys as they are stored, not for ones made of key.participants"
                .to_owned()
        })
    }
}

fn underscore() -> String {
    "_".to_owned()
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Profile;

    fn key(lines: &str) -> KeySpec {
        Profile::parse(&format!("name='x'\ncollection='c'\n[key]\n{lines}"), "p.toml").unwrap().key.unwrap()
    }

    #[test]
    fn the_index_says_what_the_profile_says() {
        let simple = doc! { "locale": "simple" };
        let same_case = doc! { "locale": "en", "strength": 2 };
        for (lines, expected) in [
            ("field='k'", doc! { "key": { "k": 1 }, "unique": true, "sparse": true, "collation": &simple }),
            (
                "field=['a','b.c']\nsparse=false\nignore_case=true",
                doc! { "key": { "a": 1, "b.c": 1 }, "unique": true, "sparse": false, "collation": &same_case },
            ),
            (
                "field='k'\nsparse=false\nwhere={ gone = null }",
                doc! { "key": { "k": 1 }, "unique": true, "partialFilterExpression": { "gone": null }, "collation": &simple },
            ),
            (
                "field='k'\ncollation={ locale='fr', strength=1 }\nwhere={}",
                doc! { "key": { "k": 1 }, "unique": true, "sparse": true, "collation": { "locale": "fr", "strength": 1 } },
            ),
        ] {
            assert_eq!(key(lines).index(), expected, "{lines}");
        }
        assert_eq!(key("field=['a','b.c']").index_name(), "a_1_b.c_1");
    }
}
