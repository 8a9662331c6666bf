//! Text in lines, as newline-delimited JSON has it.

/// A line that is not empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Without its line end.
    pub(crate) data: &'a [u8],
    /// Whether its line feed came.
    pub(crate) ended: bool,
    /// Where it ends, line feed and all, from the beginning.
    pub(crate) end: usize,
}

/// The lines, in order.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    let all = std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let feed = memchr::memchr(b'\n', rest);
        let (data, _) = rest.split_at(feed.unwrap_or(rest.len()));
        at += data.len() + usize::from(feed.is_some());
        Some(Line {
            data: data.trim_ascii(),
            ended: feed.is_some(),
            end: at,
        })
    });
    all.filter(|line| !line.data.is_empty())
}

/// Whether text is two JSON objects or more, a line each: some servers call that JSON.
pub(crate) fn are_objects(text: &[u8]) -> bool {
    let mut lines = lines(text);
    let object = |line: Option<Line<'_>>| {
        line.is_some_and(|line| line.data.starts_with(b"{") && line.data.ends_with(b"}"))
    };
    object(lines.next()) && lines.next().is_some_and(|line| line.data.starts_with(b"{"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_passed_over_and_ends_are_told() {
        let all: Vec<_> = lines(b"{}\r\n\n {\"a\":1}\ntorn").collect();
        let seen: Vec<_> = all
            .iter()
            .map(|line| (line.data, line.ended, line.end))
            .collect();
        assert_eq!(
            seen,
            [
                (b"{}".as_slice(), true, 4),
                (b"{\"a\":1}", true, 14),
                (b"torn", false, 18)
            ]
        );
        assert_eq!(lines(b"\n\n").count(), 0);
    }

    #[test]
    fn only_objects_on_lines_of_their_own_are_lines_of_objects() {
        assert!(are_objects(b"{\"a\":1}\n{\"a\":2"));
        assert!(!are_objects(b"{\"a\":\n1}"));
        assert!(!are_objects(b"{} trailing"));
        assert!(!are_objects(b"{}"));
    }
}
