//! soma-client.
