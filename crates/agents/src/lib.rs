//! soma-agents.
