//! Benches: criterion, and instruction counts.
