"""Learning: policies, rollouts, proximal policy optimisation, imitation, and the run that holds them together."""
