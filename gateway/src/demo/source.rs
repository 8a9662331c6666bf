//! Where the demo reads back what was kept: an MLflow server, or the spool.

use offpath_export::{Reader, SpoolView, StoredTrace};

/// See the module.
pub(super) enum Source {
    Mlflow(Reader),
    Spool(SpoolView),
}

impl Source {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Mlflow(_) => "MLflow",
            Self::Spool(_) => "the spool",
        }
    }

    /// The trace of this id (`tr-<32 hex>`), once it is there.
    pub(super) async fn trace(&self, id: &str) -> anyhow::Result<Option<StoredTrace>> {
        let view = match self {
            Self::Mlflow(reader) => return Ok(reader.trace(id).await?),
            Self::Spool(view) => view,
        };
        let mut found = None;
        view.each_trace(&mut |trace| {
            if id.strip_prefix("tr-") == Some(&*trace.trace_id.to_string()) {
                found = trace.stored();
            }
        });
        Ok(found)
    }
}
