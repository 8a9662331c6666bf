//! No text makes the reader panic, and every fault has a line of the text.

use proptest::prelude::*;

use super::fixture::FULL;
use crate::{Config, Env};

fn lines_are_in_the_text(text: &str) {
    if let Err(errors) = Config::parse(text, "offpath.yaml", &Env::default()) {
        assert!(!errors.errors.is_empty());
        let lines = text.lines().count() + 1;
        assert!(
            errors.errors.iter().all(|error| error.line <= lines),
            "{errors}"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        lines_are_in_the_text(&text);
    }

    #[test]
    fn arbitrary_yaml_marks_never_panic(text in "[-:,&*!|>#{}\\[\\]'\"%@ \\n\\ta0~?.]{0,120}") {
        lines_are_in_the_text(&text);
    }

    #[test]
    fn the_full_example_with_a_part_replaced_never_panics(
        start in 0..FULL.len(),
        length in 0..40_usize,
        put in "[-:,{}\\[\\]'\" \\na0$/.]{0,10}",
    ) {
        let end = (start + length).min(FULL.len());
        let mut text = FULL.to_owned();
        text.replace_range(start..end, &put);
        lines_are_in_the_text(&text);
    }
}
