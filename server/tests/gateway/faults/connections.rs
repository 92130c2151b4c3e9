//! Connections that are slow, idle, too many, or answered before they have been read.
