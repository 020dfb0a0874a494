//! The operating system's file system.

/// Stub.
pub struct OsStorage {}
