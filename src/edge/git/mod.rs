//! Reads a Git repository: fetch, walk the tree, parse the manifests. No checkout, no decision.
