//! The pure engine through its public interface.

mod scaling;
