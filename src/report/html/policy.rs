//! The Content Security Policy of the page: no request at all, and the one script that the page itself has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// What a policy names a script by.
pub fn script_hash(script: &str) -> String {
    STANDARD.encode(Sha256::digest(script.as_bytes()))
}

/// The policy for a page with this script.
pub(super) fn policy(script: &str) -> String {
    let hash = script_hash(script);
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_named_by_its_hash() {
        // As `printf abc | openssl sha256 -binary | base64` writes it.
        assert!(policy("abc").contains("script-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=';"));
    }
}
