//! From a channel to the outside world.
