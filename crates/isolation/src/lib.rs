//! Tenant to the objects that isolate it, and Bulkhead's own RBAC. Pure.
