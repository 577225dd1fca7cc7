//! Reads the text of a block: nearly all of it are lists of numbers, which are read here as they are written, several times as fast
//! as by whoever has to be ready for any JSON.

use serde::de::DeserializeOwned;

use super::{Block, Column};

/// The block that a text is; `None` where it is not written as this version writes it, which does not mean that it is none.
pub(super) fn block(text: &[u8]) -> Option<Block> {
    let mut text = Text { rest: text };
    let mut block = Block::default();
    text.expect(b'{')?;
    loop {
        match text.name()? {
            b"op" => block.op = text.list()?,
            b"client" => block.client = text.column()?,
            b"round" => block.round = text.column()?,
            b"keys" => block.keys = text.json()?,
            b"key" => block.key = text.column()?,
            b"actions" => block.actions = text.json()?,
            b"action" => block.action = text.column()?,
            b"invoked_ns" => block.invoked_ns = text.column()?,
            b"intended_ns" => block.intended_ns = text.column()?,
            b"connected_ns" => block.connected_ns = text.json()?,
            b"completed_ns" => block.completed_ns = text.column()?,
            b"outcomes" => block.outcomes = text.json()?,
            b"outcome" => block.outcome = text.column()?,
            b"control" => block.control = text.list()?,
            b"attempts" => block.attempts = text.json()?,
            b"late" => block.late = text.json()?,
            b"lates" => block.lates = text.json()?,
            _ => return None,
        }
        match text.byte()? {
            b',' => {}
            b'}' => return (text.rest == b"\n").then_some(block),
            _ => return None,
        }
    }
}

/// What is still to be read.
struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then_some(())
    }

    /// The name of a field, up to what it is.
    fn name(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let end = self.rest.iter().take(32).position(|byte| *byte == b'"')?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.expect(b'"')?;
        self.expect(b':')?;
        Some(name)
    }

    fn number(&mut self) -> Option<i64> {
        /// So many digits are less than any number has room for.
        const DIGITS: usize = 18;
        let (negative, digits) = match self.rest {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let (mut value, mut read) = (0_i64, 0_usize);
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
            read += 1;
        }
        let padded = read > 1 && digits.first() == Some(&b'0');
        if read == 0 || read > DIGITS || padded {
            return None;
        }
        self.rest = &digits[read..];
        Some(if negative { -value } else { value })
    }

    fn list<T: TryFrom<i64>>(&mut self) -> Option<Vec<T>> {
        self.expect(b'[')?;
        if self.rest.first() == Some(&b']') {
            return self.byte().map(|_| Vec::new());
        }
        let mut list = Vec::with_capacity(512);
        loop {
            list.push(T::try_from(self.number()?).ok()?);
            match self.byte()? {
                b',' => {}
                b']' => return Some(list),
                _ => return None,
            }
        }
    }

    fn column<T: TryFrom<i64>>(&mut self) -> Option<Column<T>> {
        match self.rest.first()? {
            b'[' => self.list().map(Column::Each),
            _ => T::try_from(self.number()?).ok().map(Column::All),
        }
    }

    /// Anything else.
    fn json<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter::<T>();
        let value = values.next()?.ok()?;
        self.rest = self.rest.get(values.byte_offset()..)?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written_and_anything_else_is_left_to_others() {
        fn list<T: TryFrom<i64>>(text: &str) -> Option<Vec<T>> {
            let mut text = Text { rest: text.as_bytes() };
            text.list().filter(|_| text.rest.is_empty())
        }
        for numbers in [vec![], vec![0], vec![7, -7, 0, 10, 123_456_789_012_345_678, -999_999_999_999_999_999]] {
            assert_eq!(list::<i64>(&serde_json::to_string(&numbers).unwrap()), Some(numbers));
        }
        for text in [
            "",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "[1 ]",
            "[01]",
            "[1.5]",
            "[1e3]",
            "[-]",
            "[null]",
            "[9999999999999999999]",
        ] {
            assert_eq!(list::<i64>(text), None, "{text}");
        }
        assert_eq!(
            (list::<u32>("[4294967295]"), list::<u32>("[4294967296]"), list::<u32>("[-1]")),
            (Some(vec![u32::MAX]), None, None)
        );
    }
}
