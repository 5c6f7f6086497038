//! Every metric of the operator: name, help, labels.
