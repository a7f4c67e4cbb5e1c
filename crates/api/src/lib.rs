//! The Tenant CustomResourceDefinition: wire types, schema, and parsing into the model. Pure.
