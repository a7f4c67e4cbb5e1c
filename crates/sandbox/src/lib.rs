//! A real local Kubernetes cluster: etcd, API server, controller manager, scheduler, simulated nodes.
