//! What two processes, a crash or a damaged database must not break.
