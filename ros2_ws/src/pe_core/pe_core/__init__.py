"""The game: unicycle, arena, robots, rules, observations, scenarios and policy bundles."""
