//! The mempool, between the real ledger and those who hand in.

mod attacks;
mod naive;
mod order;
mod world;
