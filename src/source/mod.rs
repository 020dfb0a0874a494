//! From the outside world into a channel.
