//! Reconciles Tenants and their namespaces.
