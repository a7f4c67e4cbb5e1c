//! TLS with reload, health, tracing and graceful stop for Bulkhead's servers.
