//! One rule and one page per control, the registry, and the generated guards. Pure.
