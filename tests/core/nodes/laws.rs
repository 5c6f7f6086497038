//! Laws over random stories.
