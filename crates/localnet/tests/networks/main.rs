//! Whole networks: on sockets and disks, as clients, strangers and those who run them see them, and in
//! simulated time.

mod clients;
mod common;
mod folder;
mod hosting;
mod interface;
mod keeper;
mod process;
mod raw;
mod reading;
mod scoring;
mod seeds;
mod simulated;
mod simulation;
mod upgrade;
mod watching;
