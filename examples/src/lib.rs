//! The examples' home.
