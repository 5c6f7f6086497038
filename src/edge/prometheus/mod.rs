//! Asks Prometheus, within bounds, and says exactly what it answered.
