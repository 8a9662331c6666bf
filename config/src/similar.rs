//! "Did you mean": the known word that a misspelled one is closest to.

/// The closest known word, if it is close enough to be the intended one: at most one edit for every
/// three characters, rounded, and at least one.
pub(crate) fn similar<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // No key is that long; this bounds the work.
    if word.len() > 64 {
        return None;
    }
    let edits_max = ((word.chars().count() + 1) / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::levenshtein(word, candidate), *candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expect: Option<&str>) {
        let known = ["path", "path_prefix", "upstream", "tls"];
        assert_eq!(similar(word, &known), expect, "{word}");
    }

    #[test]
    fn only_close_words_are_suggested() {
        check("upstreams", Some("upstream"));
        check("pathprefix", Some("path_prefix"));
        check("path-prefix", Some("path_prefix"));
        check("pth", Some("path"));
        check("tsl", None);
        check("paht_prefix", Some("path_prefix"));
        check("ssl", None);
        check("zzz", None);
        check("", None);
    }
}
