//! Runs a topology of sources, channels and sinks.
