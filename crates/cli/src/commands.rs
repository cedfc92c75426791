//! One file per group of commands. Each reads, calls a library, and prints.

pub mod chain;
pub mod completions;
pub mod content;
pub mod data;
pub mod encryption;
pub mod forecast;
pub mod generate;
pub mod genesis;
pub mod global;
pub mod localnet;
pub mod model;
pub mod money;
pub mod named;
pub mod node;
pub mod recheck;
pub mod scoring;
pub mod sim;
pub mod strategy;
pub mod submit;
pub mod target;
pub mod train;
pub mod trainer;
pub mod transaction;
pub mod validator;
pub mod wallet;
pub mod why;
