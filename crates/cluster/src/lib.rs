//! The only user of the Kubernetes client: apply, caches, reviews, forwarding.
