//! "Did you mean": the nearest of the known words. One function; it knows nothing of scenarios.

/// The known word that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| {
            // A word cut short or drawn out is far by edits, yet plainly meant.
            *distance <= allowed || likeness(&word, candidate) > 0.9
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How alike two words are, from 0 to 1.
pub(super) fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(&plain(a), &plain(b))
}

/// Case and the kind of dash are never what matters.
fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["find-then-insert", "upsert", "upsert-retry", "insert-first"];
        let cases = [
            ("upsert-retri", Some("upsert-retry")),
            ("Upsert_Retry", Some("upsert-retry")),
            ("upsret", Some("upsert")),
            ("find-then-save", Some("find-then-insert")),
            ("two-phase-commit", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
