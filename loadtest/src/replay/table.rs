//! The table that the result of a replay prints as.

use std::fmt;

use super::{ExchangeMismatch, Replayed};

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.load)?;
        for (reason, count) in &self.skipped {
            writeln!(f, "\nskipped      {count} traces: {reason}")?;
        }
        let answers = &self.answers;
        writeln!(
            f,
            "\nresponses    {} compared with the recorded ones, {} differ",
            answers.compared, answers.differing
        )?;
        for (kind, counts) in &answers.kinds {
            let (differing, compared) = (counts.differing, counts.compared);
            writeln!(f, "             {kind}: {differing} of {compared} differ")?;
        }
        for ExchangeMismatch {
            exchange,
            kind,
            detail,
        } in &answers.first
        {
            writeln!(f, "             exchange {exchange}, {kind}: {detail}")?;
        }
        Ok(())
    }
}
