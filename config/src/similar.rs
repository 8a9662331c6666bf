//! "Did you mean": the known word that a misspelt one is closest to.

/// The closest known word, where it is close enough to be the one that was meant: one edit for
/// every three characters, rounded, and at least one.
pub(crate) fn similar<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Nobody misspells a key by hundreds of characters; this bounds the work.
    if word.len() > 64 {
        return None;
    }
    let edits_max = ((word.chars().count() + 1) / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: insertions, deletions and replacements from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        let mut left = index + 1;
        for ((b, above), above_left) in to.iter().zip(row.iter().skip(1)).zip(&row) {
            let replaced = above_left + usize::from(a != *b);
            left = replaced.min(left + 1).min(above + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
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
