//! Whole networks on sockets and disks, as clients, strangers and those who run them see them. In simulated
//! time: soma-netsim.

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
mod upgrade;
mod watching;
