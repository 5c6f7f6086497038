//! Work on files, without a running operator. Nothing here changes a cluster.

pub mod convert;
