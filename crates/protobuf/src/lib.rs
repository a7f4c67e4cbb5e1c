//! Kubernetes protobuf bodies to JSON, by a table generated from the Go types. Pure.
