"""Opponents that are not compiled: bundles, which act on all games of theirs in one call."""

from __future__ import annotations

from pe_core.bundle import load_bundle
from pe_core.config import ConfigurationError
from pe_core.roles import ROLES
from training.field import parse_mix
from training.games import Player
from training.opponents.play import NUMBERS


def players_of(opponents: str, learner: str, dt: float) -> dict[str, Player]:
    """The bundles in a mix of opponents that are not compiled.

    Args:
        learner: role of who learns against them; dt: control period [s] that they must be made for.

    Raises:
        BundleError: one is refused.
        ConfigurationError: there is no such opponent, or it wants noise.
    """
    role = ROLES[1 - ROLES.index(learner)]
    players: dict[str, Player] = {}
    for name in parse_mix(opponents):
        if name not in NUMBERS:
            bundle = load_bundle(name, role=role, dt=dt)
            if bundle.schema.noise_size:
                raise ConfigurationError(
                    f"opponent '{name}': draws random numbers, which only compiled opponents may"
                )
            players[name] = bundle.act
    return players
