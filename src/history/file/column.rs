//! One column of a segment: [`Column`].

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Numbers, one after another; one alone where all are equal, which is read in no time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Column<T> {
    /// Each of them.
    Each(Vec<T>),
    /// What all of them are, however many there are.
    All(T),
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Column::Each(Vec::new())
    }
}

impl<T: Copy + PartialEq> From<Vec<T>> for Column<T> {
    fn from(numbers: Vec<T>) -> Self {
        match numbers.split_first() {
            Some((first, rest)) if !rest.is_empty() && rest.iter().all(|other| other == first) => Column::All(*first),
            _ => Column::Each(numbers),
        }
    }
}

impl<T: Copy> Column<T> {
    /// The one at this position.
    pub(super) fn get(&self, at: usize) -> Option<T> {
        match self {
            Column::Each(numbers) => numbers.get(at).copied(),
            Column::All(number) => Some(*number),
        }
    }

    /// Whether it is one of so many.
    pub(super) fn has(&self, count: usize) -> bool {
        !matches!(self, Column::Each(numbers) if numbers.len() != count)
    }
}

impl<'de, T: Deserialize<'de> + TryFrom<i64> + TryFrom<u64>> Deserialize<'de> for Column<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrEach(PhantomData))
    }
}

struct OneOrEach<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + TryFrom<i64> + TryFrom<u64>> Visitor<'de> for OneOrEach<T> {
    type Value = Column<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, or a list of numbers")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        T::try_from(number).map(Column::All).map_err(|_| E::custom("a number out of range"))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        T::try_from(number).map(Column::All).map_err(|_| E::custom("a number out of range"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        // The longest there are; what follows is found to be too much by whoever knows the number.
        let mut numbers = Vec::with_capacity(list.size_hint().unwrap_or(512));
        while let Some(number) = list.next_element()? {
            numbers.push(number);
        }
        Ok(Column::Each(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_one_number_where_all_are_equal() {
        let written = |numbers: &[i64]| serde_json::to_string(&Column::from(numbers.to_vec())).unwrap();
        for (numbers, text) in [
            (&[][..], "[]"),
            (&[7], "[7]"),
            (&[7, 7, 7], "7"),
            (&[-7, -7], "-7"),
            (&[7, 7, 8], "[7,7,8]"),
            (&[8, 7, 7], "[8,7,7]"),
        ] {
            assert_eq!(written(numbers), text);
            let read: Column<i64> = serde_json::from_str(text).unwrap();
            assert!((0..numbers.len()).all(|at| read.get(at) == Some(numbers[at])), "{text}");
            assert_eq!((read.has(numbers.len()), serde_json::to_string(&read).unwrap().as_str()), (true, text));
        }
        let read: Column<u32> = serde_json::from_str("[1,2]").unwrap();
        assert!(!read.has(1) && !read.has(3) && read.get(2).is_none());
        for damaged in ["-1", "[-1]", "5000000000", "[5000000000]", "\"1\"", "null", "[1", "{}", "1.5"] {
            assert!(serde_json::from_str::<Column<u32>>(damaged).is_err(), "{damaged}");
        }
    }
}
