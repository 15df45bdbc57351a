"""Learned disturbance of the robust CBF-QP: a Gaussian process on the residual of the nominal motion."""
