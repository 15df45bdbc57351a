"""Approaches beside one another: the same starts, the same measures."""
