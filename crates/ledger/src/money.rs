//! Money: who moves it, what transfers, fees and bonds cost, and how rewards are paid.

pub(crate) mod accounts;
pub(crate) mod bank;
pub(crate) mod bonds;
pub(crate) mod fees;
pub(crate) mod rewards;
pub(crate) mod split;
