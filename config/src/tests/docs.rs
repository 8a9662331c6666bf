//! The documentation's examples are valid configurations.

use super::fixture::{MINIMAL, parse};
use crate::Env;

const COOKBOOK: &str = include_str!("../../../docs/cookbook.md");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// The first block of YAML on a page.
fn yaml(page: &str) -> &str {
    let rest = page.split("```yaml\n").nth(1).unwrap();
    rest.split("```").next().unwrap()
}

#[test]
fn the_cookbooks_example_is_valid() {
    let config = parse(yaml(COOKBOOK), &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["billing", "faq"]);
}

#[test]
fn the_references_smallest_file_is_the_tested_one() {
    assert_eq!(yaml(REFERENCE).trim_end(), MINIMAL.trim_end());
}
