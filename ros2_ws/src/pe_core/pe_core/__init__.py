"""The game: unicycle, arena, robots, rules, observations, scenarios and policy bundles."""

from pathlib import Path

from pe_core.kernel_cache import cover

cover(Path(__file__).parent)
