//! Why a trace is kept, where only its content could tell.

use crate::{KeptBecause, Trace, Value};

/// Why, as an attribute of the root and as a tag.
pub(super) const BECAUSE: &str = "offpath.kept_because";

const BECAUSE_TAG: &str = "mlflow.traceTag.offpath.kept_because";

/// Inverse of the probability of being kept, as an attribute of the root and as a tag: what is
/// computed of traces that a search finds has no spans to look into.
pub(super) const WEIGHT: &str = "offpath.weight";

const WEIGHT_TAG: &str = "mlflow.traceTag.offpath.weight";

impl Trace {
    /// Says why it is kept after all, and with which weight.
    pub fn keep(&mut self, because: KeptBecause, weight: Option<f64>) {
        let Some(root) = self.spans.first_mut() else {
            return;
        };
        let attributes = &mut root.attributes;
        let keys = [BECAUSE, BECAUSE_TAG, WEIGHT, WEIGHT_TAG];
        attributes.retain(|(key, _)| !keys.contains(&&**key));
        let because = because.as_str();
        attributes.push((BECAUSE.into(), because.into()));
        attributes.push((BECAUSE_TAG.into(), because.into()));
        if let Some(weight) = weight {
            attributes.push((WEIGHT.into(), Value::Float(weight)));
            attributes.push((WEIGHT_TAG.into(), weight.to_string().into()));
        }
    }
}
