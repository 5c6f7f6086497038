//! The custom resources: what people write. Types only, and their conversion into the core's validated types.
