//! The tenant-facing API proxy.
