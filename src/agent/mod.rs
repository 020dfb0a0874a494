//! Configuration in, running topology out.

mod config;
mod problem;
mod properties;
mod topology;

pub use config::{ChannelConfig, Config, SinkConfig, SinkKind, SourceConfig};
pub use problem::ConfigError;
pub use topology::{AgentError, RunOptions, run};
