//! Random documents of each profile: few different values, so that much of it meets.

use mongodb::bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::oracle::Contents;

/// The documents of one random database.
pub(crate) fn database(kind: u64, seed: u64) -> Contents {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let all = 2 + dice.below(11);
    let owners: Vec<Document> = (0..all).map(|number| dice.owner(kind, number)).collect();
    let ids: Vec<Bson> = owners.iter().map(|owner| owner.get("_id").unwrap().clone()).collect();
    let referring: &[&str] = match kind {
        0 => &["messages"],
        1 => &["chat_messages", "chat_participants"],
        4 | 6 => &["loans", "circles", "seats"],
        5 => &["readings"],
        _ => &[],
    };
    let mut contents = Contents::new();
    for (place, name) in (1_u8..).zip(referring) {
        let some = dice.below(14);
        let documents = (0..some).map(|number| dice.referring(name, id(place, number), &ids)).collect();
        contents.insert((*name).to_owned(), documents);
    }
    let collection = ["chats", "chat_threads", "conversations", "userChat", "people", "meters", "people"];
    contents.insert(collection[usize::try_from(kind).unwrap()].to_owned(), owners);
    contents
}

/// Its second is its number, so that it tells an age.
fn id(place: u8, number: u32) -> ObjectId {
    let mut bytes = [place; 12];
    bytes[..4].copy_from_slice(&(1_700_000_000 + number / 2).to_be_bytes());
    bytes[11] = u8::try_from(number).unwrap();
    ObjectId::from_bytes(bytes)
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0.random_range(0..limit)
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.0.random_range(0..of.len())].clone()
    }

    fn in_hundred(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    fn date(&mut self) -> Bson {
        DateTime::from_millis(1_700_000_000_000 + i64::from(self.below(8)) * 500).into()
    }

    /// A number of any of the four types.
    fn number(&mut self, below: u32) -> Bson {
        let number = i32::try_from(self.below(below)).unwrap();
        match self.below(5) {
            0 | 1 => number.into(),
            2 => i64::from(number).into(),
            3 => (f64::from(number) + self.one(&[0.0, 0.0, 0.5])).into(),
            _ => Bson::Decimal128(self.one(&[format!("{number}"), format!("{number}.0")]).parse().unwrap()),
        }
    }

    /// A number of a type that can be summed.
    fn binary(&mut self) -> Bson {
        let number = i32::try_from(self.below(9)).unwrap();
        self.one(&[number.into(), i64::from(number).into(), (f64::from(number) + 0.5).into()])
    }

    /// Anything.
    fn any(&mut self) -> Bson {
        match self.below(8) {
            0 => Bson::Null,
            1 | 2 => self.number(4),
            3 | 4 => self.one(&["ann", "Ann", "", "7"]).into(),
            5 => vec![self.number(3), "x".into()].into(),
            6 => self.one(&[doc! { "a": 1, "b": 2 }, doc! { "b": 2, "a": 1 }, doc! { "a": 1.0, "b": 2_i64 }]).into(),
            _ => self.one(&[true, false]).into(),
        }
    }

    fn set(&mut self, document: &mut Document, chance: u32, field: &str, value: impl FnOnce(&mut Self) -> Bson) {
        if self.in_hundred(chance) {
            let value = if self.in_hundred(10) { Bson::Null } else { value(self) };
            document.insert(field, value);
        }
    }

    fn owner(&mut self, kind: u64, number: u32) -> Document {
        let mut document = doc! { "_id": id(0, number) };
        match kind {
            0 => self.chat(&mut document),
            1 => self.thread(&mut document),
            2 => self.conversation(&mut document),
            3 => self.merged(&mut document),
            4 | 6 => self.person(&mut document),
            _ => self.meter(&mut document, number),
        }
        document
    }

    /// Two people or so, and their key as it should be or otherwise.
    fn people(&mut self, document: &mut Document, prefix: Option<&str>) {
        let pool: Vec<Bson> = vec![
            "ann".into(),
            "Bob".into(),
            "cy_d".into(),
            "cy".into(),
            "d".into(),
            7.into(),
            7_i64.into(),
            id(9, 1).into(),
        ];
        let many = self.one(&[2, 2, 2, 3]);
        let mut people: Vec<Bson> = (0..many).map(|_| self.one(&pool[..])).collect();
        if self.in_hundred(40) {
            people = vec!["ann".into(), "Bob".into()];
        }
        if self.in_hundred(30) {
            people.reverse();
        }
        let mut names: Vec<String> = people
            .iter()
            .map(|one| {
                one.as_object_id()
                    .map_or_else(|| one.as_str().map_or_else(|| one.to_string(), str::to_owned), ObjectId::to_hex)
            })
            .collect();
        names.sort();
        let key = prefix.map(str::to_owned).into_iter().chain(names.clone()).collect::<Vec<_>>().join("_");
        names.reverse();
        let wrong = names.join("_");
        match self.below(10) {
            0 => {}
            1 => {
                drop(document.insert(
                    "participantsKey",
                    self.one(&[Bson::Null, "".into(), "ann_Bob".into(), 7.into(), 7.0.into()]),
                ))
            }
            2 => drop(document.insert("participantsKey", self.one(&[wrong, key.to_uppercase()]))),
            _ => drop(document.insert("participantsKey", key)),
        }
        match self.below(14) {
            0 => {}
            1 => drop(
                document.insert("participants", self.one(&[Bson::Null, Bson::Array(vec![]), vec![Bson::Null].into()])),
            ),
            _ => drop(document.insert("participants", people)),
        }
    }

    fn chat(&mut self, document: &mut Document) {
        self.people(document, None);
        self.set(document, 80, "createdAt", Self::date);
        self.set(document, 60, "updatedAt", Self::date);
        self.set(document, 50, "title", Self::any);
        self.set(document, 80, "messages", |dice| dice.messages("createdAt", None));
        if self.in_hundred(3) {
            document.insert("messages", "none");
        }
    }

    fn thread(&mut self, document: &mut Document) {
        let kind = self.one(&["direct", "direct", "group"]);
        self.set(document, 95, "thread_type", |_| kind.into());
        self.people(document, Some(kind));
        self.set(document, 80, "created_at", Self::date);
        self.set(document, 60, "updated_at", Self::date);
        self.set(document, 60, "admins", |dice| (0..dice.below(4)).map(|_| dice.number(3)).collect::<Vec<_>>().into());
        self.set(document, 30, "topic", Self::any);
        if self.in_hundred(4) {
            document.insert("admins", "ann");
        }
    }

    fn conversation(&mut self, document: &mut Document) {
        self.set(document, 95, "sessionId", |dice| match dice.below(6) {
            0 | 1 => dice.number(3),
            2 => dice.one(&["", "1", "s-1", "S-1"]).into(),
            _ => dice.one(&["s-1", "s-2", "s-3"]).into(),
        });
        self.set(document, 80, "createdAt", Self::date);
        self.set(document, 60, "updatedAt", Self::date);
        self.set(document, 50, "subject", Self::any);
        self.set(document, 80, "messages", |dice| dice.messages("timestamp", Some(["bot", "assistant", "user"])));
    }

    /// Elements some of which repeat others, not always with the same content.
    fn messages(&mut self, time: &str, roles: Option<[&str; 3]>) -> Bson {
        let mut elements = Vec::new();
        for number in 0..self.below(6) {
            let mut element = Document::new();
            match self.below(4) {
                0 => drop(element.insert("_id", self.number(4))),
                1 => drop(element.insert("messageId", self.one(&["m1", "m2", "M1"]))),
                2 => drop(element.insert("messageId", self.one(&[Bson::Null, "".into()]))),
                _ => {}
            }
            self.set(&mut element, 80, time, Self::date);
            self.set(&mut element, 70, "text", |dice| dice.one(&["hi", "ho"]).into());
            if let Some(roles) = roles.filter(|_| number > 0) {
                element.insert("role", self.one(&roles));
            }
            elements.push(element.into());
        }
        if self.in_hundred(10) {
            elements.push("a bare text".into());
        }
        Bson::Array(elements)
    }

    fn merged(&mut self, document: &mut Document) {
        self.set(document, 90, "messages", |dice| {
            let mut elements = Vec::new();
            for _ in 0..dice.below(12) {
                let mut element = Document::new();
                for field in ["mergeId", "batchId", "batchIndex", "imageId", "videoId", "imageUrl"] {
                    dice.set(&mut element, 30, field, |dice| {
                        let number = dice.number(2);
                        dice.one(&[number, "a".into(), "".into()])
                    });
                }
                dice.set(&mut element, 40, "caption", Self::any);
                elements.push(element.into());
            }
            Bson::Array(elements)
        });
    }

    fn person(&mut self, document: &mut Document) {
        self.set(document, 92, "mail", |dice| match dice.below(12) {
            0 => "".into(),
            1 => dice.number(2),
            _ => dice
                .one(&[
                    "ann@x.org",
                    "Ann@x.org",
                    "ANN@X.ORG",
                    "bo@x.org",
                    "\u{e9}va@x.org",
                    "\u{c9}VA@x.org",
                    "eva@x.org",
                ])
                .into(),
        });
        self.set(document, 20, "leftAt", Self::date);
        self.set(document, 85, "joined", Self::date);
        self.set(document, 60, "seenAt", Self::date);
        self.set(document, 60, "tags", |dice| (0..dice.below(4)).map(|_| dice.any()).collect::<Vec<_>>().into());
        self.set(document, 60, "fees", |dice| if dice.in_hundred(85) { dice.binary() } else { dice.number(5) });
        self.set(document, 50, "phone", Self::any);
        self.set(document, 50, "score", |dice| if dice.in_hundred(97) { dice.number(5) } else { "high".into() });
        self.set(document, 40, "about", |dice| dice.one(&["a", "b"]).into());
        self.set(document, 50, "nick", Self::any);
        self.set(document, 50, "colour", Self::any);
    }

    fn meter(&mut self, document: &mut Document, number: u32) {
        if self.in_hundred(50) {
            let number = i32::try_from(number).unwrap();
            document
                .insert("_id", self.one(&[Bson::Int32(number), i64::from(number).into(), f64::from(number).into()]));
        }
        self.set(document, 90, "place", |dice| {
            let mut place = Document::new();
            dice.set(&mut place, 90, "site", |dice| dice.one(&["north", "North"]).into());
            place.into()
        });
        self.set(document, 90, "number", |dice| dice.number(3));
        document.insert("built", self.date());
        for field in ["model", "owner", "note"] {
            self.set(document, 50, field, Self::any);
        }
    }

    /// A reference to one of the owners, in one of its forms; or to none, or to one that is gone.
    fn reference(&mut self, ids: &[Bson]) -> Bson {
        let owner = self.one(ids);
        match (self.below(14), owner) {
            (0, _) => id(8, 1).into(),
            (1, _) => "".into(),
            (2..=5, Bson::ObjectId(id)) => id.to_hex().into(),
            (2, Bson::Int32(number)) => i64::from(number).into(),
            (_, owner) => owner,
        }
    }

    fn referring(&mut self, collection: &str, own: ObjectId, ids: &[Bson]) -> Document {
        let mut document = doc! { "_id": own };
        let each = |dice: &mut Self, also: &str| {
            let some = dice.below(4);
            let element = |dice: &mut Self| {
                let mut element = Document::new();
                dice.set(&mut element, 95, "who", |dice| dice.reference(ids));
                dice.set(&mut element, 80, also, |dice| dice.one(&["host", "guest"]).into());
                Bson::from(element)
            };
            Bson::Array((0..some).map(|_| element(dice)).collect())
        };
        match collection {
            "loans" => {
                self.set(&mut document, 85, "person", |dice| dice.reference(ids));
                self.set(&mut document, 40, "seen", |dice| {
                    doc! { "by": dice.reference(ids), "on": dice.date() }.into()
                });
                self.set(&mut document, 50, "book", Self::any);
            }
            "circles" => {
                self.set(&mut document, 70, "readers", |dice| {
                    (0..dice.below(5)).map(|_| dice.reference(ids)).collect::<Vec<_>>().into()
                });
                self.set(&mut document, 40, "roles", |dice| each(dice, "as"));
                self.set(&mut document, 60, "posts", |dice| each(dice, "at"));
            }
            "seats" => {
                self.set(&mut document, 95, "person", |dice| dice.reference(ids));
                self.set(
                    &mut document,
                    80,
                    "room",
                    |dice| if dice.in_hundred(60) { "red".into() } else { dice.number(2) },
                );
                self.set(
                    &mut document,
                    60,
                    "visits",
                    |dice| if dice.in_hundred(90) { dice.binary() } else { "two".into() },
                );
                self.set(&mut document, 50, "note", |dice| dice.one(&["x", "y"]).into());
                self.set(&mut document, 50, "row", |dice| dice.number(3));
            }
            "chat_participants" => {
                self.set(&mut document, 95, "thread_id", |dice| dice.reference(ids));
                self.set(&mut document, 90, "user_id", |dice| {
                    dice.one(&["ann".into(), "Bob".into(), 7.into(), 7.0.into()])
                });
                self.set(&mut document, 50, "role", Self::any);
            }
            _ => {
                let field = match collection {
                    "messages" => "chat",
                    "readings" => "meter",
                    _ => "thread_id",
                };
                self.set(&mut document, 90, field, |dice| dice.reference(ids));
                self.set(&mut document, 50, "text", Self::any);
            }
        }
        document
    }
}
