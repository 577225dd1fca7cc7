//! Keys by number: [`Keys`].

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Numbers keys in the order in which they are first met.
#[derive(Default)]
pub(super) struct Keys<'a> {
    pub(super) numbers: FxHashMap<&'a str, u32>,
    pub(super) names: Vec<&'a str>,
    last: Option<(&'a Arc<str>, u32)>,
    /// Where names lie, most of which are shared by many operations: then none has to be hashed again.
    places: FxHashMap<*const u8, u32>,
}

impl<'a> Keys<'a> {
    /// The number of one; there are fewer than `u32::MAX`.
    pub(super) fn number(&mut self, key: &'a Arc<str>) -> u32 {
        // The operations of a burst share one key, mostly even one allocation: no need to hash it again.
        if let Some((last, number)) = self.last
            && Arc::ptr_eq(last, key)
        {
            return number;
        }
        let place = key.as_ptr();
        if let Some(number) = self.places.get(&place) {
            self.last = Some((key, *number));
            return *number;
        }
        let names = &mut self.names;
        let number = *self.numbers.entry(key).or_insert_with(|| {
            names.push(key);
            u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
        });
        // Where each operation has a name of its own, their places help nobody.
        if self.places.len() <= 2 * self.names.len() {
            self.places.insert(place, number);
        }
        self.last = Some((key, number));
        number
    }
}
