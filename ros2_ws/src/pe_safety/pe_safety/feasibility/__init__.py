"""A learned boundary of the states whose QP has, or will soon have, no solution."""
