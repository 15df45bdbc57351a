"""Who plays; in the order of every axis of robots."""

ROLES = ("pursuer", "evader")
