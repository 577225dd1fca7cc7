//! Filters of templates beyond those of Jinja itself: digests and encodings that services ask for.

use minijinja::{Environment, Error, ErrorKind};
use sha2::{Digest, Sha256};

/// Adds them.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("sha256", |text: String| hex(&Sha256::digest(text.as_bytes())));
    environment.add_filter("hex", |text: String| hex(text.as_bytes()));
    environment.add_filter("b64encode", |text: String| encode(text.as_bytes()));
    environment.add_filter("b64decode", |text: String| {
        decode(&text).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "not a text in base64"))
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let number = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            let index = (number >> (18 - 6 * place)) & 63;
            let letter = if place > chunk.len() { '=' } else { char::from(ALPHABET[index as usize]) };
            text.push(letter);
        }
    }
    text
}

fn decode(text: &str) -> Option<String> {
    let letters = text.trim().trim_end_matches('=').replace('-', "+").replace('_', "/");
    let mut bytes = Vec::new();
    for chunk in letters.as_bytes().chunks(4) {
        let mut number = 0_u32;
        for place in 0..4 {
            let value = match chunk.get(place) {
                Some(letter) => ALPHABET.iter().position(|known| known == letter)?,
                None => 0,
            };
            number = number << 6 | u32::try_from(value).ok()?;
        }
        bytes.extend(number.to_be_bytes().into_iter().skip(1).take(chunk.len() - 1));
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_encodings_are_the_known_ones() {
        let mut environment = Environment::new();
        add(&mut environment);
        let cases = [
            ("{{ 'abc'|sha256 }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("{{ 'id:secret'|b64encode }}", "aWQ6c2VjcmV0"),
            ("{{ 'a'|b64encode }} {{ 'ab'|b64encode }} {{ 'äbc'|b64encode|b64decode }}", "YQ== YWI= äbc"),
            ("{{ 'a b&c'|urlencode }}", "a%20b%26c"),
            ("{{ 'hi'|hex }} {{ 'x'|upper }}", "6869 X"),
        ];
        for (template, expected) in cases {
            assert_eq!(environment.render_str(template, ()).unwrap(), expected, "{template}");
        }
        assert!(environment.render_str("{{ '!'|b64decode }}", ()).is_err());
    }
}
