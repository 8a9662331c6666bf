//! What the documentation shows is a configuration.

use super::fixture::parse;
use crate::Env;

const COOKBOOK: &str = include_str!("../../../docs/cookbook.md");

#[test]
fn the_cookbooks_example_is_valid() {
    let yaml = COOKBOOK.split("```yaml\n").nth(1).unwrap();
    let yaml = yaml.split("```").next().unwrap();
    let config = parse(yaml, &Env::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["billing", "faq"]);
}
