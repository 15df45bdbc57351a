"""Who plays; in the order of every axis of robots."""

ROLES = ("pursuer", "evader")

USUAL = {"pursuer": "cbf-beta-polygon", "evader": "lookahead"}
"""Policy bundles that play where none is named."""
