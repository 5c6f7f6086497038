//! Leadership by a Lease: every replica observes, only the leader acts.
