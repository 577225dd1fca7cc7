//! What each form of an id that is referred to becomes.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document};

use crate::audit::forms::other_form;
use crate::audit::repair::merging::value::is_number;

/// Name of an id under which equal ones meet: a number by its value, everything else exactly.
pub(in crate::audit::repair) fn name(id: &Bson) -> String {
    match id {
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => format!("number {number:.0}"),
        Bson::Int32(number) => format!("number {number}"),
        Bson::Int64(number) => format!("number {number}"),
        id if is_number(id) => {
            let text = id.to_string();
            format!("number {}", text.strip_suffix(".0").unwrap_or(&text))
        }
        id => format!("{:?} {id}", id.element_type()),
    }
}

/// What one form of a duplicate's id becomes.
#[derive(Debug, Clone, PartialEq)]
struct Target {
    duplicate: Bson,
    keeper: Bson,
    /// What is written; `None` where the kept id has no such form.
    written: Option<Bson>,
}

/// The references that a merge redirects: every form of the duplicates' ids, and what each becomes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::audit::repair) struct Targets {
    by_form: BTreeMap<String, Target>,
    /// What each form, of duplicates and kept ones, stands for.
    meanings: BTreeMap<String, String>,
    forms: Vec<Bson>,
    /// The database and the collection of the documents that are referred to: a DBRef names them.
    owners: Option<(String, String)>,
}

impl Targets {
    /// The targets of duplicates, each with what it is merged into. `taken` are ids of other documents: a text that is
    /// itself the id of a document refers to that one.
    pub(in crate::audit::repair) fn new<'a>(
        merges: impl IntoIterator<Item = (&'a Bson, &'a Bson)>,
        taken: &[Bson],
    ) -> Self {
        let taken: BTreeSet<String> = taken.iter().map(name).collect();
        let mut targets = Targets::default();
        for (duplicate, keeper) in merges {
            targets.add_form(duplicate, duplicate, keeper, Some(keeper.clone()));
            if let Some(form) = other_form(duplicate).filter(|form| !taken.contains(&name(form))) {
                // A whole number is one whatever its type.
                let same_kind = |written: &Bson| {
                    written.element_type() == form.element_type() || (is_number(written) && is_number(&form))
                };
                let written = std::iter::once(keeper.clone()).chain(other_form(keeper)).find(same_kind);
                targets.add_form(&form, duplicate, keeper, written);
            }
            targets.mean(keeper, keeper);
            if let Some(form) = other_form(keeper).filter(|form| !taken.contains(&name(form))) {
                targets.mean(&form, keeper);
            }
        }
        targets
    }

    /// The same, of documents of this database and collection.
    pub(in crate::audit::repair) fn of(mut self, database: &str, collection: &str) -> Self {
        self.owners = Some((database.to_owned(), collection.to_owned()));
        self
    }

    /// Whether what stands in this field of a document may refer to them: the id within a DBRef refers to a document of the
    /// collection that the DBRef names.
    pub(super) fn may_be_in(&self, document: &Document, field: &str) -> bool {
        let Some((database, collection)) = &self.owners else { return true };
        let names = |field: &str, own: &str| match document.get(field) {
            None | Some(Bson::Null) => true,
            Some(name) => name.as_str() == Some(own),
        };
        field != "$id" || (names("$ref", collection) && names("$db", database))
    }

    fn add_form(&mut self, form: &Bson, duplicate: &Bson, keeper: &Bson, written: Option<Bson>) {
        self.mean(form, duplicate);
        self.forms.push(form.clone());
        let target = Target { duplicate: duplicate.clone(), keeper: keeper.clone(), written };
        self.by_form.insert(name(form), target);
    }

    fn mean(&mut self, form: &Bson, id: &Bson) {
        self.meanings.entry(name(form)).or_insert_with(|| name(id));
    }

    /// Every form under which a duplicate is referred to.
    pub(in crate::audit::repair) fn forms(&self) -> &[Bson] {
        &self.forms
    }

    /// What a value stands for: the id that it is a form of, or itself.
    pub(super) fn meaning(&self, value: &Bson) -> String {
        let name = name(value);
        self.meanings.get(&name).cloned().unwrap_or(name)
    }

    /// The duplicate that a value refers to.
    pub(super) fn duplicate(&self, value: &Bson) -> Option<&Bson> {
        self.by_form.get(&name(value)).map(|target| &target.duplicate)
    }

    /// The duplicate that a value refers to, and what it becomes. `Err` is a sentence: the kept id has no such form.
    pub(super) fn target(&self, value: &Bson) -> Result<Option<(&Bson, &Bson, &Bson)>, String> {
        let Some(target) = self.by_form.get(&name(value)) else { return Ok(None) };
        match &target.written {
            Some(written) => Ok(Some((&target.duplicate, &target.keeper, written))),
            None => Err(format!("it is referred to as {value}, and {} has no such form", target.keeper)),
        }
    }
}

/// Every form of some ids, for a query.
pub(super) fn all_forms<'a>(ids: impl IntoIterator<Item = &'a Bson>) -> Vec<Bson> {
    ids.into_iter().flat_map(|id| std::iter::once(id.clone()).chain(other_form(id))).collect()
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;

    use super::*;

    #[test]
    fn a_reference_keeps_its_form() {
        let (a, b) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
        let targets = Targets::new([(&a.into(), &b.into())], &[]);
        let becomes = |value: Bson| targets.target(&value).unwrap().map(|(_, _, written)| written.clone());
        assert_eq!(becomes(a.into()), Some(b.into()));
        assert_eq!(becomes(a.to_hex().into()), Some(b.to_hex().into()));
        assert_eq!(becomes(b.into()), None);
        assert_eq!(targets.meaning(&b.to_hex().into()), targets.meaning(&b.into()));
    }

    #[test]
    fn numbers_are_referred_to_by_value_and_as_text() {
        let targets = Targets::new([(&Bson::Int32(7), &Bson::Int64(3))], &[]);
        let becomes = |value: Bson| targets.target(&value).unwrap().map(|(_, _, written)| written.clone());
        assert_eq!(becomes(7_i64.into()), Some(Bson::Int64(3)));
        assert_eq!(becomes(7.0.into()), Some(Bson::Int64(3)));
        assert_eq!(becomes(Bson::Decimal128("7".parse().unwrap())), Some(Bson::Int64(3)));
        assert_eq!(becomes("7".into()), Some("3".into()));
        assert_eq!(becomes(7.5.into()), None);
    }

    #[test]
    fn a_text_is_referred_to_as_the_number_or_uuid_that_it_writes() {
        let uuid = |byte: u8| mongodb::bson::Uuid::from_bytes([byte; 16]);
        for (duplicate, keeper, reference, expected) in [
            (Bson::from("7"), Bson::from("3"), Bson::Int32(7), Bson::Int64(3)),
            ("7".into(), Bson::Int32(3), Bson::Int64(7), Bson::Int32(3)),
            (uuid(7).to_string().into(), uuid(3).to_string().into(), uuid(7).into(), uuid(3).into()),
        ] {
            let targets = Targets::new([(&duplicate, &keeper)], &[]);
            let becomes = targets.target(&reference).unwrap().map(|(_, _, written)| written.clone());
            assert_eq!(becomes, Some(expected), "{duplicate} {reference}");
        }
    }

    #[test]
    fn a_text_that_is_an_id_of_its_own_is_no_form_of_another() {
        let (a, b) = (ObjectId::from_bytes([1; 12]), ObjectId::from_bytes([2; 12]));
        let targets = Targets::new([(&a.into(), &b.into())], &[a.to_hex().into()]);
        assert_eq!(targets.target(&a.to_hex().into()), Ok(None));
        assert_eq!(targets.forms(), [a.into()]);
    }

    #[test]
    fn a_form_that_the_kept_id_does_not_have_is_an_error() {
        let a = ObjectId::from_bytes([1; 12]);
        let targets = Targets::new([(&a.into(), &Bson::Boolean(true))], &[]);
        assert!(targets.target(&a.to_hex().into()).unwrap_err().contains("no such form"));
        assert_eq!(other_form(&"NOT-HEX".into()), None);
    }
}
