//! Configuration in, running topology out.

mod config;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod problem;
mod properties;
mod topology;

pub use config::{ChannelConfig, Config, SinkConfig, SinkKind, SourceConfig};
pub use problem::ConfigError;
pub use topology::{AgentError, RunOptions, run};
