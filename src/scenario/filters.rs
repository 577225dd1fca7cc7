//! Filters of templates beyond those of Jinja itself: digests and encodings that services ask for.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use minijinja::{Environment, Error, ErrorKind};
use sha2::{Digest, Sha256};

/// Adds them.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("sha256", |text: String| hex(&Sha256::digest(text.as_bytes())));
    environment.add_filter("hex", |text: String| hex(text.as_bytes()));
    environment.add_filter("b64encode", |text: String| encoded(&text));
    environment.add_filter("b64decode", |text: String| {
        decoded(&text).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "not a text in base64"))
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether it ends with padding or not.
const ANY_END: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A text, in base64.
pub(crate) fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

/// What a text in base64 says, in that of URLs as well.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let letters = text.trim().replace('-', "+").replace('_', "/");
    String::from_utf8(ANY_END.decode(letters).ok()?).ok()
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
            ("{{ 'YQ'|b64decode }} {{ ' YWI= '|b64decode }} {{ 'Pz8_Pj4-'|b64decode }}", "a ab ???>>>"),
            ("{{ 'a b&c'|urlencode }}", "a%20b%26c"),
            (
                "{{ 'hi'|hex }} {{ 'x'|upper }} {{ 'X'|lower }} {{ 'ann b'|title }} {{ 'ann'|capitalize }}",
                "6869 X x Ann B Ann",
            ),
            ("{{ ' a '|trim }}{{ 'a-b'|replace('-', '_') }}{{ none|default('c', true) }}{{ 'abc'|length }}", "aa_bc3"),
            (
                "{{ ['a', 'b']|join('+') }} {{ 'b'|list|first }} {{ [3, 1]|sort|last }} {{ '7'|int + 1 }} {{ -2|abs }}",
                "a+b b 3 8 2",
            ),
            (
                "{{ {'a': 'b'}|tojson }} {{ 2.5|round }} {{ 'abc'|reverse }} {{ 'a b'|split|last }}",
                "{\"a\": \"b\"} 2.0 cba b",
            ),
        ];
        for (template, expected) in cases {
            assert_eq!(environment.render_str(template, ()).unwrap(), expected, "{template}");
        }
        for wrong in ["!", "YQ===", "=", "Y=Q="] {
            assert!(environment.render_str(&format!("{{{{ '{wrong}'|b64decode }}}}"), ()).is_err(), "{wrong}");
        }
    }
}
