//! Rows and columns, whatever they were written in.

use crate::decode::attributes::Attributes;
use crate::decode::json::quoted;

use super::statistics::{self, Statistic};

/// What is known of one side's data without its values.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Frame {
    /// How it is written: a key of MLflow's scoring protocol, or `csv`.
    pub(crate) format: &'static str,
    /// Its size along each axis; `None` where the body was cut before it could be known.
    pub(crate) shape: Vec<Option<usize>>,
    /// The sizes of several tensors, where there are several.
    pub(crate) tensors: Vec<Vec<Option<usize>>>,
    /// Names of the first columns, where columns have names.
    pub(crate) columns: Vec<String>,
    /// Types of the first columns, by the first rows.
    pub(crate) types: Vec<&'static str>,
    /// What the first columns' numbers are like, where the route wants to know.
    pub(crate) statistics: Vec<Statistic>,
}

/// The attributes of one side's frame.
pub(super) struct Names {
    format: &'static str,
    shape: &'static str,
    columns: &'static str,
    types: &'static str,
    statistics: &'static str,
}

/// Of what was sent: `offpath.input.format` (`dataframe_split`, `dataframe_records`,
/// `instances`, `inputs`, `csv`, `open_inference`, `open_inference_binary`), `.shape` (JSON: rows,
/// columns; of tensors a list of shapes), `.columns` (names, a list) and `.types` (a list beside
/// the names: `long`, `double`, `string`, `boolean`, `datetime`, `array`, `object`, `null`,
/// `mixed`; of tensors the protocol's own). `.statistics`, where the route wants it: JSON, of each
/// column `{"name", "count", "nulls", "min", "max", "mean"}`.
pub(super) const INPUT: Names = Names {
    format: "offpath.input.format",
    shape: "offpath.input.shape",
    columns: "offpath.input.columns",
    types: "offpath.input.types",
    statistics: "offpath.input.statistics",
};

/// The same of what came back: `offpath.output.format` is `predictions`.
pub(super) const OUTPUT: Names = Names {
    format: "offpath.output.format",
    shape: "offpath.output.shape",
    columns: "offpath.output.columns",
    types: "offpath.output.types",
    statistics: "offpath.output.statistics",
};

impl Frame {
    /// The names as a JSON list.
    pub(crate) fn columns_json(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|name| quoted(name)).collect();
        format!("[{}]", names.join(","))
    }

    /// The shape as a JSON list; `null` for what is not known.
    pub(crate) fn shape_json(&self) -> String {
        if self.tensors.is_empty() {
            return axes_json(&self.shape);
        }
        let tensors = self.tensors.iter().map(|axes| axes_json(axes));
        format!("[{}]", tensors.collect::<Vec<String>>().join(","))
    }

    /// As attributes under these names.
    pub(super) fn put(&self, names: &Names, attributes: &mut Attributes) {
        attributes.put(names.format, self.format);
        if !self.shape.is_empty() || !self.tensors.is_empty() {
            attributes.put(names.shape, self.shape_json());
        }
        attributes.put_list(names.columns, self.columns.iter().map(String::as_str));
        attributes.put_list(names.types, self.types.iter().copied());
        if !self.statistics.is_empty() {
            let json = statistics::json(&self.statistics, &self.columns);
            attributes.put(names.statistics, json);
        }
    }
}

fn axes_json(axes: &[Option<usize>]) -> String {
    let axes = axes
        .iter()
        .map(|axis| axis.map_or("null".into(), |len| len.to_string()));
    format!("[{}]", axes.collect::<Vec<String>>().join(","))
}
