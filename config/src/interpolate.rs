//! `${env:NAME}` in a string of the YAML.

use crate::Env;

const OPEN: &str = "${env:";

/// Replaces every `${env:NAME}`. A variable's value is not searched again. An unset variable is an
/// error, and so is a missing `}`; any other `$` is left as it is.
pub(crate) fn interpolate(text: &str, env: &Env) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        let (name, tail) = after
            .split_once('}')
            .ok_or_else(|| format!("`{OPEN}` has no closing `}}`"))?;
        let value = env
            .var(name)
            .ok_or_else(|| format!("environment variable `{name}` is not set"))?;
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// A message about the value of `text`, with `${env:NAME}` in place of what the variables in it hold.
pub(crate) fn unresolved(mut message: String, text: &str, env: &Env) -> String {
    /// What is shorter is a number or a word, and helps who reads the message, in bytes.
    const VALUE_BYTES_MIN: usize = 6;

    for after in text.split(OPEN).skip(1) {
        let name = after.split('}').next().unwrap_or_default();
        if let Some(value) = env.var(name).filter(|value| value.len() >= VALUE_BYTES_MIN) {
            message = message.replace(value, &format!("{OPEN}{name}}}"));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let env = Env::from_iter([("A", "1"), ("B", "${env:A}"), ("EMPTY", "")]);
        let got = interpolate(text, &env);
        assert_eq!(got.as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn variables_are_replaced_once_and_unset_ones_are_errors() {
        check("plain $ {} ${x}", Ok("plain $ {} ${x}"));
        check("${env:A}", Ok("1"));
        check("a${env:A}b${env:A}c${env:EMPTY}", Ok("a1b1c"));
        check("${env:B}x", Ok("${env:A}x"));
        check("${env:C}", Err("environment variable `C` is not set"));
        check("${env:}", Err("environment variable `` is not set"));
        check("${env:A", Err("`${env:` has no closing `}`"));
    }
}
