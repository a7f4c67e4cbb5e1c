//! The ledger's arithmetic: what an entry becomes when somebody takes, gives back, or dies. Plain
//! functions over values; whoever calls them writes the result on condition that the entry has
//! not changed meanwhile, and starts again from what it is now if it has.

pub mod account;
pub mod book;
pub mod hostnames;
pub mod ids;
pub mod names;
pub mod usage;
