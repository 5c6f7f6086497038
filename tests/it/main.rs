//! Integration tests: what people see of Homeostat, without a cluster.

mod crds;
