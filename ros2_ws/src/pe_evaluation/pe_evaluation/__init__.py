"""Metrics, bags, statistics and reports of recorded and simulated runs."""
