//! What is to be done, decided from values alone. The reconcilers read, ask here, and write.

pub(crate) mod metadata;
pub(crate) mod nodes;
pub(crate) mod plan;
pub(crate) mod standing;
pub(crate) mod status;
