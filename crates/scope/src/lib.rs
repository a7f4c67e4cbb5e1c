//! Gateway policy: a parsed request to a scoped request or a denial. Pure.
