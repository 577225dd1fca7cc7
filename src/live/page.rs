//! The page that follows a run. It asks its own server for the figures, and nobody else for anything.

/// The script of the page, which its policy allows by a hash.
pub const POLICY_SCRIPT: &str = include_str!("page.js");

/// The page, with this policy.
pub fn page(policy: &str) -> String {
    include_str!("page.html").replace("{{ policy }}", policy).replace("{{ script }}", POLICY_SCRIPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_nobody_else() {
        let page = page("default-src 'none'");
        assert!(page.contains("default-src 'none'") && page.contains("fetch('state')"));
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://") && !elsewhere.contains("{{"));
    }
}
