//! The result of a replay as people read it.

use std::fmt;

use super::Replayed;

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.load)?;
        for (reason, count) in &self.skipped {
            writeln!(f, "\nskipped      {count} traces: {reason}")?;
        }
        let answers = &self.answers;
        writeln!(
            f,
            "\nanswers      {} compared with the recorded ones, {} differ",
            answers.compared, answers.differing
        )?;
        for (kind, counts) in &answers.kinds {
            let (differing, compared) = (counts.differing, counts.compared);
            writeln!(f, "             {kind}: {differing} of {compared} differ")?;
        }
        for told in &answers.first {
            let (exchange, kind, told) = (told.exchange, told.kind, &told.told);
            writeln!(f, "             exchange {exchange}, {kind}: {told}")?;
        }
        Ok(())
    }
}
