//! The Content Security Policy of a page: the one script that the page itself has, and no request but those that are named.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// What a policy names a script by.
fn script_hash(script: &str) -> String {
    STANDARD.encode(Sha256::digest(script.as_bytes()))
}

/// The policy for a page with this script, which may send requests to `connect` and to nobody else.
pub fn page_policy(script: &str, connect: Option<&str>) -> String {
    let hash = script_hash(script);
    let connect = connect.map_or_else(String::new, |to| format!(" connect-src {to};"));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline';{connect} base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_named_by_its_hash() {
        // As `printf abc | openssl sha256 -binary | base64` writes it.
        let policy = page_policy("abc", None);
        assert!(policy.contains("script-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=';"), "{policy}");
        assert!(!policy.contains("connect-src") && page_policy("abc", Some("'self'")).contains(" connect-src 'self';"));
    }
}
