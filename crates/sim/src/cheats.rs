//! Those who try to be paid for what they did not do. Each is a strategy like the honest ones.

mod copied_data;
mod copying_auditor;
mod false_claim;
mod framing_cartel;
mod groundless_challenge;
mod lazy_auditor;
mod withheld_data;

pub use copied_data::CopiedData;
pub use copying_auditor::CopyingAuditor;
pub use false_claim::FalseClaim;
pub use framing_cartel::FramingCartel;
pub use groundless_challenge::groundless_challenges;
pub use lazy_auditor::LazyAuditor;
pub use withheld_data::WithheldData;
