//! Scenarios and properties of the whole ledger. Unit tests stand beside what they test.

mod archive;
mod attacks;
mod boundaries;
mod challenges;
mod claims;
mod competition;
mod equivocation;
mod fees;
mod golden;
mod histories;
mod missing;
mod models;
mod properties;
mod rejections;
mod scale;
mod staking;
mod strategies;
mod upgrades;
