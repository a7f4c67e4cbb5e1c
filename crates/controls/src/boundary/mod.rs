//! Controls whose judges are policies inside the API server: they make a tenant a tenant, and
//! must hold while every process of ours is dead.

pub(crate) mod foreign_namespace;
pub(crate) mod namespace_shadows_domain;
pub(crate) mod status_write;
pub(crate) mod tenant_label_change;
