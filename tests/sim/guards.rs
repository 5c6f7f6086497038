//! Every guard is needed.
