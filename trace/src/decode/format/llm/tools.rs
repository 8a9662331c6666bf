//! The tools that a model was offered, in the one form that MLflow's UI draws.

use bytes::Bytes;

use crate::Text;
use crate::decode::json::{Kind, Raw};

use super::names::Fields;

/// Tool definitions above this size stay in the inputs alone.
const TOOLS_BYTES_MAX: usize = 256 * 1024;

/// A list of `{"type":"function","function":{"name","description","parameters"}}`.
pub(super) fn listed(asked: &Fields<'_>) -> Option<Text> {
    let config = asked.get("toolConfig");
    let tools = asked
        .get("tools")
        .or_else(|| config.and_then(|config| config.get("tools")))?;
    if tools.kind() != Kind::Array || tools.0.len() > TOOLS_BYTES_MAX {
        return None;
    }
    if tools.elements().all(|tool| tool.get("function").is_some()) {
        return Some(Text::trusted(Bytes::copy_from_slice(tools.0)));
    }
    let mut json = Vec::from(b"[");
    for tool in tools.elements() {
        let declared = tool
            .get("functionDeclarations")
            .or_else(|| tool.get("function_declarations"));
        match declared {
            Some(declared) => declared.elements().for_each(|tool| push(&mut json, tool)),
            None => push(&mut json, tool.get("toolSpec").unwrap_or(tool)),
        }
    }
    json.push(b']');
    (json.len() > 2).then(|| Text::trusted(Bytes::from(json)))
}

/// One tool; what has no name, as what an API does by itself, is named by its type.
fn push(json: &mut Vec<u8>, tool: Raw<'_>) {
    let first = |keys: &[&str]| keys.iter().find_map(|key| tool.get(key));
    let Some(name) = first(&["name", "type"]).filter(|name| name.kind() == Kind::String) else {
        return;
    };
    if json.len() > 1 {
        json.push(b',');
    }
    json.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    json.extend_from_slice(name.0);
    if let Some(text) = tool.get("description") {
        super::push_member(json, "description", text.0);
    }
    let schema = first(&["parameters", "input_schema", "inputSchema"]);
    if let Some(schema) = schema.filter(|schema| schema.kind() == Kind::Object) {
        let schema = schema.get("json").unwrap_or(schema);
        super::push_member(json, "parameters", schema.0);
    }
    json.extend_from_slice(b"}}");
}
