"""Control barrier functions, the exact quadratic program and the safety filter."""
