//! Numbers in arrays of arrays, 64 bytes at a time: what most of a numeric frame is.
//!
//! Each byte of a block becomes one bit in a mask for its class, and the grammar of
//! `number *( "," number )` and of `"],["` between rows is checked on the masks alone, with no
//! branch and no dependence from number to number. What these cannot tell (exponents, names,
//! strings, other white space, any fault) ends the run before it: the scanner goes on there,
//! element by element, and finds out.

use wide::u8x16;

use super::number::LONG_DIGITS;
use super::scan::Watch;

const BLOCK: usize = 64;

/// What one block proves well formed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Behind the last comma that is proved: white space may stand there, then an element.
    pub(super) next: usize,
    /// Commas between numbers.
    pub(super) numbers: usize,
    /// Commas between rows.
    pub(super) rows: usize,
}

/// Past as many elements of an array as a block shows. `at` is where a number begins; `nested`:
/// the array is itself an element of an array, so that rows may end. `None`: nothing is proved.
#[inline]
pub(super) fn run<W: Watch>(bytes: &[u8], at: usize, nested: bool, seen: &mut W) -> Option<Run> {
    let block = bytes.get(at..)?.first_chunk::<BLOCK>()?;
    let classes = Classes::of(block);
    if classes.has_long_integer() {
        seen.hard();
    }
    let limit = classes.faults(nested);
    let before = if limit == 0 {
        u64::MAX
    } else {
        (1 << limit.trailing_zeros()) - 1
    };
    let cuts = classes.comma & (classes.digit << 1) & before;
    let comma = cuts.checked_ilog2()? as usize;
    let rows = classes.row_commas() & ((1 << comma) - 1);
    Some(Run {
        next: at + comma + 1,
        numbers: cuts.count_ones() as usize,
        rows: rows.count_ones() as usize,
    })
}

/// One bit for each byte of a block, the first byte lowest.
#[derive(Default)]
struct Classes {
    digit: u64,
    zero: u64,
    point: u64,
    minus: u64,
    comma: u64,
    space: u64,
    opening: u64,
    closing: u64,
}

impl Classes {
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut found = Self::default();
        for (index, lane) in block.as_chunks::<16>().0.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let put = |mask: &mut u64, hits: u8x16| {
                *mask |= u64::from(hits.to_bitmask()) << (16 * index);
            };
            let is = |byte| lane.simd_eq(u8x16::splat(byte));
            // Less than ten, once '0' is taken off; what was below '0' wraps around.
            let value = lane - u8x16::splat(b'0');
            put(&mut found.digit, value.min(u8x16::splat(9)).simd_eq(value));
            put(&mut found.zero, is(b'0'));
            put(&mut found.point, is(b'.'));
            put(&mut found.minus, is(b'-'));
            put(&mut found.comma, is(b','));
            put(&mut found.space, is(b' '));
            put(&mut found.opening, is(b'['));
            put(&mut found.closing, is(b']'));
        }
        found
    }

    /// The digits behind a point: adding the first of each run carries to just behind it, and
    /// leaves no bit of the run.
    fn carried(&self) -> u64 {
        self.digit.wrapping_add(self.digit & self.point << 1)
    }

    /// Whether there are [`LONG_DIGITS`] digits in a row that are no fraction.
    fn has_long_integer(&self) -> bool {
        const LOWEST: u64 = u64::from_ne_bytes([0x01; 8]);
        const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);

        let whole = self.digit & self.carried();
        // A run of 15 fills one of the eight bytes of the mask; few frames have any such number.
        if (!whole).wrapping_sub(LOWEST) & whole & HIGHEST == 0 {
            return false;
        }
        let in_a_row = |runs: u64, more: u32| runs & runs >> more;
        let sixteen = [1, 2, 4, 8].into_iter().fold(whole, in_a_row);
        in_a_row(sixteen, LONG_DIGITS as u32 - 16) != 0
    }

    /// The commas between rows.
    fn row_commas(&self) -> u64 {
        self.comma & self.closing << 1
    }

    /// Bytes at which the text stops being plain numbers, their separators and rows. A byte is
    /// told by those before it, or by the one behind it where its own element ends too soon.
    fn faults(&self, nested: bool) -> u64 {
        let Self {
            digit,
            zero,
            point,
            minus,
            comma,
            space,
            opening,
            closing,
        } = *self;
        // Rows end with a bracket and a comma; where there are no rows, a bracket is a stranger.
        let brackets = if nested { opening | closing } else { 0 };
        let strange = !(digit | point | minus | comma | space | brackets);
        // A comma between rows, and one between numbers; a space belongs to the comma before it.
        let row_comma = self.row_commas();
        let after = |comma: u64| (comma << 1) & !space | (comma << 1 & space) << 1;
        let begins = after(comma ^ row_comma) | opening << 1 | 1;
        let first_digit = digit & (begins | (minus & begins) << 1);
        let fraction_ends = self.carried() & !digit;
        strange
            | begins & !(digit | minus)
            | minus & !(begins & digit >> 1)
            | first_digit & zero & digit >> 1
            | digit & !(first_digit | (digit | point) << 1)
            | point & !(digit << 1 & digit >> 1)
            | point & fraction_ends
            | comma & !((digit | closing) << 1)
            | space & !(comma << 1)
            | closing & !(digit << 1)
            | closing << 1 & !comma
            | opening & !after(row_comma)
            | after(row_comma) & !opening
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::{Seen, document};
    use super::*;

    const TAIL: &str = "7777777777777777777777777777777777777777777777777777777777777777";

    /// Where the run from the start of `text` ends, which is looked at with digits behind it.
    #[track_caller]
    fn check(text: &str, nested: bool, expect: Option<&str>) {
        let block = format!("{text}{TAIL}");
        let run = run(block.as_bytes(), 0, nested, &mut Seen::default());
        let rest = run.map(|run| block[run.next..].trim_start());
        let rest = rest.map(|rest| rest.strip_suffix(TAIL).unwrap_or(rest));
        assert_eq!(rest, expect, "{text}");
    }

    #[test]
    fn a_run_ends_behind_the_last_comma_before_a_stranger() {
        check("1,2,3", false, Some("3"));
        check("-1.5, 0.25, 10, -0,x", false, Some("x"));
        check("1, 2, \"a\", 3, 4", false, Some("\"a\", 3, 4"));
        check("1,2e5,3,", false, Some("2e5,3,"));
        check("1,null,3,", false, Some("null,3,"));
        check("1,2],[3,4],[5,6,", true, Some(""));
        check("1, 2], [3, 4], [5, 6", true, Some("6"));
        check("1,2],[3,4],", false, Some("2],[3,4],"));
        check("12345,", false, Some(""));
        check("12345", false, None);
    }

    #[test]
    fn a_fault_is_never_passed() {
        for fault in [
            "01", "-", "--1", "1-", "1.", ".5", "1.2.3", "1..2", "-.5", "1 2", "+1", "-01", "",
            "[1", "1]", "1],2", "1], 2", "1],[", "1],[]", "1],[[2", "1]],[[2", "1] ,[2",
        ] {
            check(
                &format!("3,{fault},4,5,"),
                false,
                Some(&format!("{fault},4,5,")),
            );
        }
        for fault in [
            "1],2", "1], 2", "1],[,2", "1],[],[2", "1],[[2", "1]],[[2", "1] ,[2", "[1", "1]]",
        ] {
            check(
                &format!("3,{fault},4,5,"),
                true,
                Some(&format!("{fault},4,5,")),
            );
        }
    }

    #[test]
    fn integers_of_19_digits_are_seen_wherever_they_stand_and_fractions_are_not() {
        const DIGITS: &str = "1234567890123456789012345";
        let befores =
            (0..20).flat_map(|pairs| ["", "11,"].map(|odd| odd.to_owned() + &"2,".repeat(pairs)));
        for before in befores {
            for (number, hard) in [
                (DIGITS[..18].to_owned(), false),
                (DIGITS[..19].to_owned(), true),
                (format!("-{}", &DIGITS[..19]), true),
                (format!("0.{}", &DIGITS[..20]), false),
                (format!("123.{}", &DIGITS[..18]), false),
            ] {
                let text = format!("{:x<64}", format!("{before}{number},"));
                let mut seen = Seen::default();
                run(text.as_bytes(), 0, false, &mut seen);
                assert_eq!(seen.hard, hard, "{text}");
            }
        }
    }

    fn element() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,9})?",
            1 => "[-0-9.,\\] \\[e]{0,4}",
            1 => Just("null".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn what_is_passed_is_well_formed(
            elements in prop::collection::vec((element(), prop_oneof![8 => Just(","), 2 => Just(", "), 2 => Just("],["), 1 => Just("], [")]), 12..40),
        ) {
            let text: String = elements.iter().flat_map(|(element, separator)| [element.as_str(), *separator]).collect();
            prop_assume!(text.starts_with(|first: char| first == '-' || first.is_ascii_digit()));
            if let Some(run) = run(text.as_bytes(), 0, true, &mut Seen::default()) {
                let passed = format!("[[{}1]]", &text[..run.next]);
                prop_assert_eq!(document(passed.as_bytes()), Ok(()), "{}", passed);
                prop_assert_eq!(passed.matches('[').count(), run.rows + 2, "{}", passed);
                prop_assert_eq!(passed.matches(',').count(), run.rows + run.numbers, "{}", passed);
            }
        }
    }
}
